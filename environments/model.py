"""What an environment can say: every value the documentation varies, its type and its range; what holds between values is in rules.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

FunctionName = Literal[
    "auth",
    "profile",
    "chat",
    "post",
    "catalog",
    "ai",
    "authorizer",
    "health",
    "migration",
    "relay",
    "statistics",
    "delivery",
]
"""Every Lambda function of the platform, by the name of its folder in lambdas/."""

UNRESERVED: frozenset[FunctionName] = frozenset(
    {"authorizer", "health", "migration", "relay", "statistics", "delivery"}
)
"""Functions that never take reserved concurrency: a throttled authorizer or health check takes everything else down, and a throttled
consumer lets its messages grow old until they are given up."""

DATABASE_FUNCTIONS: tuple[FunctionName, ...] = ("catalog",)
"""Functions that hold one PostgreSQL connection per execution environment under reserved concurrency."""

UNRESERVED_CONNECTIONS = 10
"""Connections set aside for health (answers from a cached result), migration (one at a time) and PostgreSQL's superuser."""

API_TIMEOUT = 30
"""Seconds that a function behind API Gateway may take: the gateway itself waits 29, and an idempotency lease counts on it."""

LOG_RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""The retentions CloudWatch Logs accepts (PutRetentionPolicy)."""


def _accepted_retention(days: int) -> int:
    if days not in LOG_RETENTION_DAYS:
        allowed = ", ".join(map(str, LOG_RETENTION_DAYS))
        raise PydanticCustomError("log_retention", "one of {allowed}", {"allowed": allowed})
    return days


LogRetention = Annotated[int, AfterValidator(_accepted_retention)]
Port = Annotated[int, Field(ge=1, le=65535)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
DomainName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$", max_length=253)
]
HostPort = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:\d{2,5}$")]
BaseUrl = Annotated[
    str,
    Field(
        pattern=r"^(https://[^/\s?#@]+|http://(localhost|127\.0\.0\.1)(:\d+)?)(/[^/\s?#]+)*$",
        max_length=200,
    ),
]
"""Without a slash at the end; a key goes there, so it is TLS unless it stays on the machine."""
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]
Origin = Annotated[
    str, Field(pattern=r"^(\*|https://[^/\s*]+|http://(localhost|127\.0\.0\.1)(:\d+)?)$")
]
Capacity = Annotated[float, Field(ge=0, le=256, multiple_of=0.5)]
"""Aurora capacity units; steps of 0.5, 256 at most (Aurora Serverless v2)."""


class Section(BaseModel):
    """Base of every part of an environment: nothing is coerced, nothing unknown is accepted, nothing changes later."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Domains(Section):
    """Names the platform answers at; all in the hosted zone."""

    api: DomainName
    websocket: DomainName
    cdn: DomainName
    site: DomainName
    site_aliases: list[DomainName] = []
    """Further names of the site, `www` for example."""


class FunctionOverrides(Section):
    """What one function wants otherwise; an absent value means the environment's default."""

    memory_size: Annotated[int, Field(ge=128, le=10240)] | None = None
    """MB."""
    timeout: Annotated[int, Field(ge=1, le=900)] | None = None
    """Seconds."""
    reserved_concurrency: Annotated[int, Field(ge=1)] | None = None
    provisioned_concurrency: Annotated[int, Field(ge=0)] | None = None


DOCUMENTED_FUNCTIONS: dict[FunctionName, FunctionOverrides] = {
    "auth": FunctionOverrides(memory_size=512, timeout=10, reserved_concurrency=20),
    "chat": FunctionOverrides(memory_size=1024, timeout=30, provisioned_concurrency=5),
    "ai": FunctionOverrides(timeout=30),
    "migration": FunctionOverrides(timeout=300),
}
"""The documentation's right-sizing, the same in every environment unless its file says otherwise."""


@dataclass(frozen=True)
class FunctionSettings:
    """One function's sizes, after defaults, the function's own values and the environment's caps."""

    memory_size: int
    """MB."""
    timeout: int
    """Seconds."""
    reserved_concurrency: int | None
    """None: unreserved."""
    provisioned_concurrency: int


class Lambdas(Section):
    """Function sizes and where their packages run."""

    memory_size: Annotated[int, Field(ge=128, le=10240)] = 512
    """MB; documented default 512."""
    timeout: Annotated[int, Field(ge=1, le=API_TIMEOUT)] = 30
    """Seconds; documented default 30."""
    reserved_concurrency: Annotated[int, Field(ge=1)]
    """The cap of each service's concurrency; a function's own lower value wins."""
    provisioned_concurrency: Annotated[int, Field(ge=0)] = 0
    """Kept warm per service; 0 turns it off for every service."""
    package_platform: Literal["aws", "host"] = "aws"
    """`aws`: arm64 wheels for python3.13. `host`: wheels of the machine and interpreter that synthesize."""
    functions: dict[FunctionName, FunctionOverrides] = {}

    def own(self, function: FunctionName, size: str) -> int | None:
        """One size that a function wants for itself: what the file says, else the documented; None: the environment's default."""
        for source in (self.functions, DOCUMENTED_FUNCTIONS):
            value: int | None = getattr(source.get(function, FunctionOverrides()), size)
            if value is not None:
                return value
        return None


class CapacityRange(Section):
    """Provisioned capacity of a table or index and how it scales."""

    min: Annotated[int, Field(ge=1, le=40000)] = 5
    max: Annotated[int, Field(ge=1, le=40000)] = 100
    target_utilization: Annotated[int, Field(ge=20, le=90)] = 70
    """Percent; 20 to 90 is what Application Auto Scaling accepts."""


class DynamoDb(Section):
    """How the tables are billed and protected."""

    billing_mode: Literal["PAY_PER_REQUEST", "PROVISIONED"] = "PAY_PER_REQUEST"
    read: CapacityRange = CapacityRange()
    """Used when billing_mode is PROVISIONED; documented 5 to 100 at 70 %."""
    write: CapacityRange = CapacityRange()
    point_in_time_recovery: bool = False
    """For the tables where the documentation leaves it to the environment; sessions and profiles always have it."""
    timeline_shards: Annotated[int, Field(ge=1, le=16)] = 1
    """Partitions the timeline index spreads a month over; more for more than about 1,000 posts a second."""


class Rds(Section):
    """The Aurora PostgreSQL Serverless v2 cluster."""

    min_capacity: Capacity
    max_capacity: Annotated[float, Field(ge=1, le=256, multiple_of=0.5)]
    instances: Annotated[int, Field(ge=1, le=15)] = 1
    """2 or more: Multi-AZ, the second is the failover target."""
    engine_version: Annotated[str, Field(pattern=r"^\d{2}\.\d+$")] = "16.8"
    backup_retention_days: Annotated[int, Field(ge=1, le=35)] = 7

    @property
    def connection_limit(self) -> int:
        """max_connections as Aurora derives it from the maximum capacity.

        189 for the first capacity unit is the lowest ratio in the Aurora user guide's table for Serverless v2 (189 at 1, 823 at 4,
        3,360 at 16), so values between its rows are never overstated. At most 5,000; at most 2,000 when the minimum is 0 or 0.5.
        """
        ceiling = 2000 if self.min_capacity <= 0.5 else 5000
        return min(math.floor(189 * self.max_capacity), ceiling)


class ElastiCache(Section):
    """The Redis-compatible cache."""

    node_type: Annotated[str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")] = "cache.t4g.micro"
    replicas: Annotated[int, Field(ge=0, le=5)] = 0
    """1 or more: automatic failover over zones."""


class Network(Section):
    """The VPC that chat, catalog, migration and health join."""

    availability_zones: Annotated[int, Field(ge=2, le=3)] = 2
    nat_gateways: Annotated[int, Field(ge=0, le=3)] = 1
    interface_endpoints: list[Literal["secretsmanager", "ssm", "events", "sqs", "rds", "logs"]] = []
    """AWS services reached inside the VPC, without a NAT gateway."""


class Monitoring(Section):
    """Metrics and logs."""

    detailed_metrics: bool = False
    log_retention_days: LogRetention = 7


NotificationEvent = Literal[
    "UserRegistered",
    "PasswordChanged",
    "MessageSent",
    "MemberJoined",
    "PostLiked",
    "CommentCreated",
    "ListingSold",
    "ListingRated",
    "SellerContacted",
]
"""Events that somebody wants to be told of; what undoes one (PostUnliked, CommentDeleted ...) notifies nobody."""


class Subscription(Section):
    """Somebody who is told of events: each arrives whole, as EventBridge has it."""

    protocol: Literal["email", "https", "sqs", "lambda"]
    endpoint: Annotated[str, Field(min_length=1)]
    """An address, a URL, or the ARN of a queue or function."""
    events: Annotated[list[NotificationEvent], Field(min_length=1)]
    """The types of event it is told of."""


class Notifications(Section):
    """Who is told of events."""

    subscriptions: list[Subscription] = []


class Budget(Section):
    """The monthly budget; documented 100 USD with an alert at 80 %."""

    monthly_usd: Annotated[int, Field(ge=1)] = 100
    alert_percent: Annotated[int, Field(ge=1, le=100)] = 80


class State(Section):
    """Where Terraform keeps the environment's state."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = (
        "multitask-terraform-state"
    )
    key: Annotated[str, Field(min_length=1)]
    """By default `multitask-platform/<name>/terraform.tfstate`: no environment has another's."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = "us-east-1"


class Capabilities(Section):
    """What the cloud can do; everything is on by default, and a file that turns one off says why."""

    application_autoscaling: bool = True
    """Application Auto Scaling of provisioned DynamoDB capacity."""
    xray_groups: bool = True
    api_gateway_account: bool = True
    """Access logging of API stages through the account's logging role."""
    cache_authentication: bool = True
    """TLS and IAM authentication between functions and the cache."""
    database_authentication: bool = True
    """TLS and IAM authentication between functions and the database."""
    waf_logging: bool = True
    """Logs of what the web firewall blocked."""
    waf_response_bodies: bool = True
    """Bodies of the platform's own on what the web firewall refuses."""
    bucket_tls_policy: bool = True
    """A bucket policy that denies plain HTTP."""
    queue_tls_policy: bool = True
    """A queue policy that denies plain HTTP."""
    database_log_export: bool = True
    """Aurora sends its log to CloudWatch Logs."""
    flow_logs: bool = True
    """VPC flow logs that CloudWatch Logs receives under a role."""
    private_network: bool = True
    """Functions in the VPC reach only what its routes allow; without it no NAT gateway is needed."""
    edge_tls: bool = True
    """Viewers reach CloudFront by TLS, and are sent there when they come without."""
    saved_queries: bool = True
    """Saved queries of CloudWatch Logs Insights."""
    version_metrics: bool = True
    """Aliases route by their weights, and Lambda's metrics tell versions apart."""


class Gemini(Section):
    """Google's models, by the interface of generateContent."""

    base_url: BaseUrl = "https://generativelanguage.googleapis.com/v1beta"
    model: ModelName = "gemini-3.5-flash-lite"
    """Google's small model for quick answers; by default it hardly reasons."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """None: the model's own default, and nothing is sent."""


class OpenAi(Section):
    """OpenAI's models, or those of any server with the interface of its chat completions."""

    base_url: BaseUrl = "https://api.openai.com/v1"
    model: ModelName = "gpt-6-luna"
    """OpenAI's small model for high volume."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = "none"
    """None: nothing is sent, for servers that know no such parameter. Reasoning would take the 25 s that a call has."""


class Ai(Section):
    """Who answers the ai service's calls, Gemini first, and how much one user may ask for."""

    gemini: Gemini = Gemini()
    openai: OpenAi = OpenAi()
    daily_quota: Annotated[int, Field(ge=20_000)] = 200_000
    """Tokens of one user in a UTC day. A call sets aside the most that it can take, a token for each byte it sends and the longest
    answer: for the longest text 30,000 in Latin letters, at worst, a long conversation in a script of four bytes, 130,000."""


class Endpoints(Section):
    """Addresses, where they are not AWS's own."""

    aws: HttpUrl | None = None
    """Base address of an emulated AWS: API Gateway and CloudFront are addressed below it."""
    database: HostPort | None = None
    """host:port that replaces the cluster's endpoint."""
    cache: HostPort | None = None
    """host:port that replaces the replication group's endpoint."""


class Environment(Section):
    """One environment of the platform."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,14}$")]
    """From the file's name; part of every resource's name."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = "us-east-1"
    allowed_account_ids: Annotated[
        list[Annotated[str, Field(pattern=r"^\d{12}$")]], Field(min_length=1)
    ]
    """The AWS accounts the provider may touch for this environment; the first is the one its ARNs name."""
    state: State
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    cors_origins: Annotated[list[Origin], Field(min_length=1)]
    """`*` alone, or https origins."""
    rate_limiting: bool = True
    domains: Domains | None = None
    """None: AWS's own addresses."""
    hosted_zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]{5,31}$")] | None = None
    lambdas: Lambdas
    dynamodb: DynamoDb = DynamoDb()
    rds: Rds
    elasticache: ElastiCache = ElastiCache()
    network: Network = Network()
    monitoring: Monitoring = Monitoring()
    ai: Ai = Ai()
    notifications: Notifications = Notifications()
    removal_policy: Literal["retain", "destroy"]
    """`retain`: what holds data is protected against deletion. `destroy`: everything goes with the environment."""
    release_strategy: Literal["all_at_once", "gradual"]
    """`all_at_once`: the apply moves the alias. `gradual`: a release does."""
    promoted_from: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,14}$")] | None = None
    """The environment whose commit `ops promote` brings here; None: it is no stage of the promotion, or the first."""
    approval: bool = False
    """Whether a promotion to here waits for somebody's approval."""
    budget: Budget = Budget()
    alert_email: Email | None = None
    billing_email: Email | None = None
    mail_identity_arn: (
        Annotated[str, Field(pattern=r"^arn:aws:ses:[a-z0-9-]+:\d{12}:identity/.+$")] | None
    ) = None
    """The SES identity Cognito mails from; None: Cognito's own sender, which stops at 50 mails a day."""
    bucket_suffix: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,19}[a-z0-9]$")] | None = None
    """Makes bucket names unique in the world."""
    github_repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """owner/name whose pipelines may assume the deployment roles; None: no such roles."""
    capabilities: Capabilities = Capabilities()
    endpoints: Endpoints = Endpoints()

    @model_validator(mode="before")
    @classmethod
    def _own_state(cls, values: Any) -> Any:
        state = values.get("state", {})
        if not isinstance(state, dict):
            return values
        key = f"multitask-platform/{values.get('name')}/terraform.tfstate"
        return {**values, "state": {"key": key, **state}}

    @property
    def account_id(self) -> str:
        """The account the environment lives in."""
        return self.allowed_account_ids[0]

    @property
    def retains_data(self) -> bool:
        """Whether what holds data outlives the environment."""
        return self.removal_policy == "retain"

    def function(self, function: FunctionName) -> FunctionSettings:
        """The sizes of one function: its own where it has some, the environment's otherwise, never above the environment's caps."""
        return FunctionSettings(
            memory_size=self.lambdas.own(function, "memory_size") or self.lambdas.memory_size,
            timeout=self.lambdas.own(function, "timeout") or self.lambdas.timeout,
            reserved_concurrency=self.reserved_concurrency(function),
            provisioned_concurrency=self.provisioned_concurrency(function),
        )

    def reserved_concurrency(self, function: FunctionName) -> int | None:
        """What is reserved for a function; None: unreserved."""
        if function in UNRESERVED:
            return None
        cap = self.lambdas.reserved_concurrency
        return min(self.lambdas.own(function, "reserved_concurrency") or cap, cap)

    def provisioned_concurrency(self, function: FunctionName) -> int:
        """How many execution environments of a function are kept warm."""
        default = self.lambdas.provisioned_concurrency
        if function in UNRESERVED or not default:
            return 0
        own = self.lambdas.own(function, "provisioned_concurrency")
        return default if own is None else own
