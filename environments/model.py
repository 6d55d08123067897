"""Types and ranges of an environment's settings.

rules.py checks the rules that relate two or more settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from environments.resource_names import DEFAULT_REGION, PREFIX, PROJECT

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
"""The platform's Lambda functions. Each has the name of its folder in lambdas/."""

UNRESERVED: frozenset[FunctionName] = frozenset(
    {"authorizer", "health", "migration", "relay", "statistics", "delivery"}
)
"""Functions that must not have reserved concurrency.

A throttled authorizer or health check makes the whole platform unavailable. A throttled consumer
delays its messages until they expire.
"""

DATABASE_FUNCTIONS: tuple[FunctionName, ...] = ("catalog",)
"""Functions that hold one PostgreSQL connection per execution environment.

The reserved concurrency of a function therefore limits its number of connections.
"""

OTHER_CONNECTIONS = 10
"""Number of database connections reserved for health, migration and the superuser."""

ZONE_IDS: dict[str, list[str]] = {"us-east-1": ["use1-az1", "use1-az2", "use1-az4"]}
"""Default availability zone ids by region. In other regions, set `network.zone_ids`."""

INCOMPLETE_ZONES = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"})
"""The ids of old availability zones that lack NAT gateways. use1-az3 also lacks Lambda.

Lambda rejects subnets in use1-az3, and none of these zones supports NAT gateways (VPC user guide,
"Troubleshoot NAT gateways").
"""

API_TIMEOUT = 30
"""Maximum timeout in seconds of a function behind API Gateway.

It is also the default timeout in the specification.

API Gateway waits for only 29 s, so a longer timeout would not help a caller. The lease of an
idempotency key must be longer than API_TIMEOUT.
"""

REQUESTS_PER_CONCURRENCY = 10
"""Requests per second that one unit of Lambda concurrency handles, at about 100 ms per request.

Each route accepts this number times `lambdas.reserved_concurrency`. API Gateway rejects further
requests with 429 and Retry-After. Without this limit, Lambda would throttle the function, and the
client would get a 5xx. Lambda can still throttle a function whose reserved concurrency is lower
than `lambdas.reserved_concurrency`, such as auth. The function's alarm reports throttled requests.
"""

LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180,
    365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""The retention periods that CloudWatch Logs accepts (PutRetentionPolicy)."""


def _accepted_retention(days: int) -> int:
    if days not in LOG_RETENTION_DAYS:
        allowed = ", ".join(map(str, LOG_RETENTION_DAYS))
        raise PydanticCustomError("log_retention", "must be one of {allowed}", {"allowed": allowed})
    return days


LogRetention = Annotated[
    int,
    AfterValidator(_accepted_retention),
    Field(json_schema_extra={"enum": list(LOG_RETENTION_DAYS)}),
]
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
"""A URL without a trailing slash. It must use TLS except on loopback, to protect the API key."""
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]
Origin = Annotated[
    str, Field(pattern=r"^(\*|https://[^/\s*]+|http://(localhost|127\.0\.0\.1)(:\d+)?)$")
]
Capacity = Annotated[float, Field(ge=0, le=256, multiple_of=0.5)]
"""Aurora capacity units in steps of 0.5, at most 256 (Aurora Serverless v2)."""


class Section(BaseModel):
    """Base class of an environment's sections.

    Sections are immutable, do not convert types, and reject unknown keys.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Domains(Section):
    """The platform's domain names, all in the hosted zone."""

    api: DomainName
    """Name of the REST API."""
    websocket: DomainName
    """Name of the WebSocket API."""
    cdn: DomainName
    """Name of the distribution that serves images."""
    site: DomainName
    """Name of the static site."""
    site_aliases: list[DomainName] = []
    """Additional names of the site, for example `www`."""
    hsts_subdomains: bool = False
    """Whether Strict-Transport-Security (two years) also covers the subdomains of `site`.

    Turn this on only if every subdomain has TLS, including those outside the platform.
    """


class FunctionOverrides(Section):
    """Settings of one function.

    The default of a setting is the specification's value for this function, or the value of the
    same setting in `lambdas` if the specification has none.
    """

    memory_size: Annotated[int, Field(ge=128, le=10240)] | None = None
    """Memory in MB."""
    timeout: Annotated[int, Field(ge=1, le=900)] | None = None
    """Timeout in seconds."""
    reserved_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of concurrent executions. At most `lambdas.reserved_concurrency`."""
    provisioned_concurrency: Annotated[int, Field(ge=0)] | None = None
    """Number of execution environments that Lambda keeps warm. At most the function's reserved
    concurrency."""


DOCUMENTED_FUNCTIONS: dict[FunctionName, FunctionOverrides] = {
    "auth": FunctionOverrides(memory_size=512, timeout=10, reserved_concurrency=20),
    "chat": FunctionOverrides(memory_size=1024, timeout=30, provisioned_concurrency=5),
    "ai": FunctionOverrides(timeout=30),
    "migration": FunctionOverrides(timeout=300),
}
"""The specification's settings by function. An environment's file can override them."""


@dataclass(frozen=True)
class FunctionSettings:
    """The settings of one function, which result from defaults, overrides and limits."""

    memory_size: int
    """Memory in MB."""
    timeout: int
    """Timeout in seconds."""
    reserved_concurrency: int | None
    """None means unreserved."""
    provisioned_concurrency: int


class Lambdas(Section):
    """Settings of functions, and the platform (OS and CPU) that dependencies are compiled for."""

    memory_size: Annotated[int, Field(ge=128, le=10240)] = 512
    """Memory in MB. The specification requires 512 by default."""
    timeout: Annotated[int, Field(ge=1, le=API_TIMEOUT)] = 30
    """Timeout in seconds. The specification requires 30 by default."""
    reserved_concurrency: Annotated[int, Field(ge=1)]
    """Reserved concurrency of auth, profile, chat, post, catalog and ai, unless the specification
    or `functions` sets a lower value."""
    provisioned_concurrency: Annotated[int, Field(ge=0)] = 0
    """Provisioned concurrency of auth, profile, chat, post, catalog and ai, unless the
    specification or `functions` sets another value. 0 turns it off for all functions, whatever
    the other values are."""
    package_platform: Literal["aws", "host"] = "aws"
    """`aws`: arm64 wheels for python3.13. `host`: wheels for this machine and interpreter."""
    functions: dict[FunctionName, FunctionOverrides] = {}
    """Settings of single functions, by name."""

    def function_value(self, function: FunctionName, setting: str) -> int | None:
        """Returns a setting of a function from the environment's file.

        The default is the specification's value, or None if the specification has none.
        """
        for source in (self.functions, DOCUMENTED_FUNCTIONS):
            value: int | None = getattr(source.get(function, FunctionOverrides()), setting)
            if value is not None:
                return value
        return None


class CapacityRange(Section):
    """Limits of the provisioned capacity of a table or index, in capacity units."""

    min: Annotated[int, Field(ge=1, le=40000)] = 5
    """Lower limit."""
    max: Annotated[int, Field(ge=1, le=40000)] = 100
    """Upper limit."""
    target_utilization: Annotated[int, Field(ge=20, le=90)] = 70
    """Target utilization in percent. Application Auto Scaling accepts 20 to 90."""


class DynamoDb(Section):
    """The billing mode and the protection of the DynamoDB tables."""

    billing_mode: Literal["PAY_PER_REQUEST", "PROVISIONED"] = "PAY_PER_REQUEST"
    """PAY_PER_REQUEST bills each request. PROVISIONED bills capacity that scales with the load."""
    read: CapacityRange = CapacityRange()
    """Read capacity if billing_mode is PROVISIONED. The default values of `min`, `max` and
    `target_utilization` are those that the specification requires.
    """
    write: CapacityRange = CapacityRange()
    """Write capacity if billing_mode is PROVISIONED."""
    point_in_time_recovery: bool = False
    """Whether the tables have point-in-time recovery. The sessions and profiles tables always have
    it, and tables whose data may be lost never have it."""
    timeline_shards: Annotated[int, Field(ge=1, le=16)] = 1
    """Number of partitions per month in the timeline index. Each accepts 1,000 posts per second."""


class Rds(Section):
    """The Aurora PostgreSQL Serverless v2 cluster."""

    min_capacity: Capacity
    """Minimum capacity in Aurora capacity units. With 0, an idle cluster pauses.

    The first request after a pause waits or gets a 503 with Retry-After, because resuming takes
    about 15 s. Each connection resumes the cluster. With 0, `/health` therefore does not check the
    database, and the catalog retries unpublished events twice a day instead of every minute.
    """
    max_capacity: Annotated[float, Field(ge=1, le=256, multiple_of=0.5)]
    """Maximum capacity in Aurora capacity units. It also determines the number of connections."""
    instances: Annotated[int, Field(ge=1, le=15)] = 1
    """Number of instances. With 2 or more, the cluster is Multi-AZ and can fail over."""
    engine_version: Annotated[str, Field(pattern=r"^\d{2}\.\d+$")] = "16.8"
    """Version of PostgreSQL, such as 16.8."""
    allow_major_version_upgrade: bool = False
    """Whether an apply may change the major version. The upgrade starts immediately, and the
    database is unavailable during the upgrade.

    Turn this on only for an upgrade (see docs/operations/upgrade-the-database.md).
    """
    backup_retention_days: Annotated[int, Field(ge=1, le=35)] = 7
    """Days for which the cluster can be restored to any second."""

    @property
    def pauses(self) -> bool:
        """Whether the cluster pauses when it has no connections."""
        return self.min_capacity == 0

    @property
    def major_version(self) -> str:
        """The major version of PostgreSQL, for example `16`."""
        return self.engine_version.partition(".")[0]

    @property
    def connection_limit(self) -> int:
        """The cluster's max_connections, which Aurora derives from the maximum capacity.

        189 connections per unit is the lowest ratio in the Aurora user guide's table for Serverless
        v2 (189 at 1 unit, 823 at 4, 3,360 at 16), so the result never exceeds the real limit. The
        limit is at most 5,000, or 2,000 if the minimum capacity is 0 or 0.5 units.
        """
        ceiling = 2000 if self.min_capacity <= 0.5 else 5000
        return min(math.floor(189 * self.max_capacity), ceiling)


class ElastiCache(Section):
    """The cache, which runs Valkey."""

    node_type: Annotated[str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")] = "cache.t4g.micro"
    """Instance type of each node."""
    replicas: Annotated[int, Field(ge=0, le=5)] = 0
    """Number of replicas. With 1 or more, the cache fails over across availability zones."""


class Network(Section):
    """The VPC. The functions chat, delivery, catalog, migration and health run in it."""

    availability_zones: Annotated[int, Field(ge=2, le=3)] = 2
    """Number of availability zones with subnets."""
    zone_ids: list[Annotated[str, Field(pattern=r"^[a-z]+\d+-az\d+$")]] = []
    """Availability zone ids (default: ZONE_IDS). The VPC uses the first `availability_zones` ids.

    A zone's name, such as us-east-1a, differs between accounts, but its id does not. A changed id
    replaces the zone's subnet and everything in it.
    """
    nat_gateways: Annotated[int, Field(ge=0, le=3)] = 1
    """Number of NAT gateways, for outbound traffic. With one in each availability zone, the failure
    of a zone does not interrupt the outbound traffic of the other zones."""
    ipv6_egress: bool = False
    """Whether outbound traffic uses IPv6 through an egress-only internet gateway, which is free and
    replaces the NAT gateways.

    The functions in the VPC then reach only those servers on the internet that support IPv6.
    """
    interface_endpoints: list[Literal["secretsmanager", "ssm", "events", "sqs", "rds", "logs"]] = []
    """AWS services that the VPC reaches by an interface endpoint instead of a NAT gateway."""


class Auth(Section):
    """The sessions of users."""

    account_seconds: Annotated[int, Field(ge=0, le=604_800)] = 0
    """Seconds for which a session remembers its user's email address and roles.

    With 0, each refresh of a token reads them from Cognito. Role changes by `ops user` always
    take effect at the next refresh. Other changes in Cognito, such as disabling a user, take effect
    up to this number of seconds later."""


class Chat(Section):
    """How frames (WebSocket messages) reach the rooms of the chat."""

    room_parts: Annotated[int, Field(ge=1, le=10)] = 1
    """Number of parts into which a room with more than 100 connections divides its connections.

    The parts receive frames in parallel.
    """
    signal_limit: Annotated[int, Field(ge=1, le=100)] = 100
    """Maximum number of connections that receive a typing, presence or read frame. If more
    connections would receive the frame, chat does not send it."""
    reconnect_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """Maximum seconds that a client waits after a failed attempt to connect. Each client waits for
    a random part of this time.

    `POST /v1/chat/tickets` returns this value. With 0, each client chooses its own
    waiting time."""


class Monitoring(Section):
    """Settings of metrics, and the retention of logs."""

    detailed_metrics: bool = False
    """Whether to turn on metrics of each route, Performance Insights of the database, and alarms on
    each table."""
    log_retention_days: LogRetention = 7
    """Days for which CloudWatch Logs keeps the logs."""


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
"""Events to which endpoints can subscribe. Reversals, such as PostUnliked, are excluded."""


class Subscription(Section):
    """An endpoint that receives events with all their fields, in EventBridge's format."""

    protocol: Literal["email", "https", "sqs", "lambda"]
    """How the endpoint receives events."""
    endpoint: Annotated[str, Field(min_length=1)]
    """An email address, a URL, or the ARN of a queue or function."""
    events: Annotated[list[NotificationEvent], Field(min_length=1)]
    """The types of event to send."""


class Notifications(Section):
    """Subscriptions of external endpoints to the platform's events."""

    subscriptions: list[Subscription] = []
    """The endpoints."""


class Budget(Section):
    """The monthly budget. The specification requires 100 USD, with an alert at 80 %.

    `ops synth` warns if the cost without requests reaches the alert's threshold. `ops review` warns
    if the estimated cost with the usage in `--usage` reaches the same threshold.
    """

    monthly_usd: Annotated[int, Field(ge=1)] = 100
    """Limit in USD per month."""
    alert_percent: Annotated[int, Field(ge=1, le=100)] = 80
    """Percent of the limit at which an alert is sent."""


class State(Section):
    """The location of the environment's Terraform state."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """Name of the bucket. By default `multitask-terraform-state-<account>`, because two accounts
    cannot have buckets with the same name."""
    key: Annotated[str, Field(min_length=1)]
    """Key of the state in the bucket. By default `multitask-platform/<name>/terraform.tfstate`."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = DEFAULT_REGION
    """Region of the bucket."""


class Capabilities(Section):
    """Features of the target cloud. All are on by default, because AWS has all of them.

    Emulators lack some.
    """

    api_gateway_account: bool = True
    """Access logging of API stages through the account's logging role."""
    private_network: bool = True
    """The VPC isolates its functions, so outbound traffic needs a NAT gateway or IPv6 egress."""
    version_metrics: bool = True
    """Aliases route by weight, and Lambda reports metrics per version."""


class Gemini(Section):
    """Google's models, called through the generateContent API."""

    base_url: BaseUrl = "https://generativelanguage.googleapis.com/v1beta"
    """URL of the API."""
    model: ModelName = "gemini-3.5-flash-lite"
    """The default is Google's small model for fast responses."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """The reasoning level to request. Without this key, the model's default applies."""


class OpenAi(Section):
    """OpenAI's models, or any server with a compatible chat completions API."""

    base_url: BaseUrl = "https://api.openai.com/v1"
    """URL of the API."""
    model: ModelName = "gpt-6-luna"
    """The default is OpenAI's small model for high volume."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = "none"
    """The reasoning effort to request. The default is "none", because more reasoning could exceed
    the 25 s that a call may take.

    With null, the request omits the parameter, which some servers reject.
    """


class Ai(Section):
    """The ai service's language models, in order of preference, and the quota of each user."""

    gemini: Gemini = Gemini()
    openai: OpenAi = OpenAi()
    daily_quota: Annotated[int, Field(ge=20_000)] = 200_000
    """Quota of tokens per user and UTC day.

    A call reserves one token for each byte that it sends, plus the maximum length of the response.
    The longest accepted text in Latin script reserves at most 30,000 tokens, and a long
    conversation in a script with four bytes per character 130,000.
    """


class Endpoints(Section):
    """Addresses of emulators that replace the AWS services of an environment."""

    aws: HttpUrl | None = None
    """Base URL of the AWS emulator.

    The URLs of the APIs begin with it, and the site uses the same port.
    """
    database: HostPort | None = None
    """host:port that replaces the database cluster's endpoint."""
    cache: HostPort | None = None
    """host:port that replaces the endpoint of the cache's replication group."""
    authority: Annotated[str, Field(min_length=1)] | None = None
    """Path of a PEM file with the certificate authority of the emulators."""


class Environment(Section):
    """One environment of the platform."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,14}$")]
    """The environment file's name without `.yml`. It is part of every resource's name."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = DEFAULT_REGION
    """AWS region of all regional resources."""
    allowed_account_ids: Annotated[
        list[Annotated[str, Field(pattern=r"^\d{12}$")]], Field(min_length=1, max_length=1)
    ]
    """The id of the account that the environment is deployed to, as a list with one element.
    Commands and the AWS provider reject credentials of other accounts."""
    state: State
    like: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,14}$")] | None = None
    """Environment or example whose sizes replace those of this file: its values of `log_level`,
    `rate_limiting`, `lambdas` (except `package_platform`), `dynamodb`, `rds`, `elasticache`,
    `network`, `auth`, `chat` and `monitoring`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that functions log."""
    cors_origins: Annotated[list[Origin], Field(min_length=1)]
    """Either only `*`, or https origins. http is allowed for loopback."""
    rate_limiting: bool = True
    """Whether registrations, logins and mails are limited per network address and user."""
    domains: Domains | None = None
    """The custom domains. Without this section, the APIs and the site have AWS's addresses."""
    site_routes: Literal["single_page", "pages"] = "single_page"
    """What the site shows at a path without a file extension. `single_page`: index.html, whose
    scripts show the page. `pages`: index.html in the folder of this path, as Astro writes it."""
    hosted_zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]{5,31}$")] | None = None
    """Id of the public Route 53 zone that contains all domains."""
    lambdas: Lambdas
    dynamodb: DynamoDb = DynamoDb()
    rds: Rds
    elasticache: ElastiCache = ElastiCache()
    network: Network = Network()
    auth: Auth = Auth()
    chat: Chat = Chat()
    monitoring: Monitoring = Monitoring()
    ai: Ai = Ai()
    notifications: Notifications = Notifications()
    removal_policy: Literal["retain", "destroy"]
    """`retain` protects data stores against deletion. `destroy` lets `ops remove` delete them."""
    release_strategy: Literal["all_at_once", "gradual"]
    """`all_at_once`: each apply points the alias `live` at the new version. `gradual`: `ops deploy`
    shifts traffic to the new version in steps."""
    promoted_from: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,14}$")] | None = None
    """The environment whose commit `ops promote` deploys to this environment. Without it, promotion
    to this environment is forbidden."""
    approval: bool = False
    """Whether a promotion to this environment requires approval."""
    budget: Budget = Budget()
    alert_email: Email | None = None
    """Email address that receives alarms. AWS first sends it a request for confirmation."""
    billing_email: Email | None = None
    """Email address that receives cost alerts. AWS first sends it a request for confirmation."""
    mail_identity_arn: (
        Annotated[str, Field(pattern=r"^arn:aws:ses:[a-z0-9-]+:\d{12}:identity/.+$")] | None
    ) = None
    """The SES identity that sends Cognito's mail. Without it, Cognito sends at most 50 a day."""
    bucket_suffix: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,19}[a-z0-9]$")] | None = None
    """Suffix that makes bucket names globally unique."""
    github_repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """owner/name of the repository whose workflows may assume the deployment roles.

    Without this key, no such roles are created.
    """
    quotas: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Quotas that AWS has granted to the account, by their name in ops/capacity/quotas.yml.

    `ops capacity` uses them instead of AWS's defaults. `ops doctor` compares them with the
    account's quotas in AWS."""
    capabilities: Capabilities = Capabilities()
    endpoints: Endpoints = Endpoints()

    @model_validator(mode="before")
    @classmethod
    def _set_default_state(cls, values: Any) -> Any:
        state = values.get("state", {})
        if not isinstance(state, dict):
            return values
        accounts = values.get("allowed_account_ids")
        account = accounts[0] if isinstance(accounts, list) and accounts else None
        # An invalid account id is reported when the model validates allowed_account_ids.
        suffix = account if isinstance(account, str) and account.isdigit() else "unknown"
        location = {
            "bucket": f"{PREFIX}-terraform-state-{suffix}",
            "key": f"{PROJECT}/{values.get('name')}/terraform.tfstate",
        }
        return {**values, "state": {**location, **state}}

    @property
    def account_id(self) -> str:
        """The account that the environment is deployed to."""
        return self.allowed_account_ids[0]

    @property
    def zone_ids(self) -> list[str]:
        """The ids of the availability zones that the VPC uses."""
        ids = self.network.zone_ids or ZONE_IDS.get(self.region, [])
        return ids[: self.network.availability_zones]

    @property
    def retains_data(self) -> bool:
        """Whether data stores are kept when the environment is deleted."""
        return self.removal_policy == "retain"

    def function(self, function: FunctionName) -> FunctionSettings:
        """Returns a function's settings: the values in the file, or else the defaults.

        The reserved concurrency is at most `lambdas.reserved_concurrency`.
        """
        return FunctionSettings(
            memory_size=self.lambdas.function_value(function, "memory_size")
            or self.lambdas.memory_size,
            timeout=self.lambdas.function_value(function, "timeout") or self.lambdas.timeout,
            reserved_concurrency=self.reserved_concurrency(function),
            provisioned_concurrency=self.provisioned_concurrency(function),
        )

    @property
    def request_rate(self) -> int:
        """Requests per second that each route of the APIs accepts."""
        return self.lambdas.reserved_concurrency * REQUESTS_PER_CONCURRENCY

    def reserved_concurrency(self, function: FunctionName) -> int | None:
        """Returns a function's reserved concurrency. None means unreserved."""
        if function in UNRESERVED:
            return None
        cap = self.lambdas.reserved_concurrency
        return min(self.lambdas.function_value(function, "reserved_concurrency") or cap, cap)

    def provisioned_concurrency(self, function: FunctionName) -> int:
        """Returns the number of execution environments kept warm for a function."""
        default = self.lambdas.provisioned_concurrency
        if function in UNRESERVED or not default:
            return 0
        own = self.lambdas.function_value(function, "provisioned_concurrency")
        return default if own is None else own
