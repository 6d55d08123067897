"""The CDKTF stack of one environment, which creates all modules and connects them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from cdktf import S3Backend, TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider, AwsProviderDefaultTags
from constructs import Construct

from environments import Environment, FunctionName
from environments.resource_names import ALIAS, GLOBAL_REGION, PROJECT
from modules.api.rest import RestApi
from modules.api.websocket import WebSocketApi
from modules.backups import Backups
from modules.base.artifact import Artifact
from modules.base.function import LambdaFunction
from modules.base.naming import Names
from modules.cdn import Cdn
from modules.cost import Cost
from modules.database import Database
from modules.deployment_identity import DeploymentIdentity
from modules.messaging import Messaging
from modules.monitoring import MonitoredResources, Monitoring
from modules.networking import Networking
from modules.secrets import write_secrets
from modules.security import Security
from modules.services.ai import Ai
from modules.services.auth import Auth
from modules.services.authorizer import Authorizer
from modules.services.catalog import Catalog
from modules.services.chat import Chat
from modules.services.delivery import Delivery
from modules.services.health import Health
from modules.services.migration import Migration
from modules.services.post import Post
from modules.services.profile import Profile
from modules.services.relay import Relay
from modules.services.service import ServicePlatform
from modules.services.statistics import Statistics
from modules.storage import Storage

TERRAFORM_VERSION = ">= 1.11"
"""Lock files in S3 and write-only arguments require Terraform 1.11."""
PROVIDER = {"source": "hashicorp/aws", "version": "5.100.0"}
"""The AWS provider, in the version from which the CDKTF bindings were generated.

The source includes the namespace `hashicorp`, because some tools resolve `aws` alone to another
registry.
"""
HEALTH_TABLES = ("auth-sessions", "profile-profiles")
"""The tables that /health must check according to the specification."""


class PlatformStack(TerraformStack):
    """All resources of one environment.

    Args:
        environment: The environment's settings.
        artifacts: The packaged functions, by function name.
    """

    def __init__(
        self, scope: Construct, environment: Environment, *, artifacts: Mapping[str, Artifact]
    ) -> None:
        super().__init__(scope, environment.name)
        self.environment = environment
        self._artifacts = artifacts
        self.names = names = Names(environment)
        self._terraform_settings()
        self._edge_provider = self._providers()
        self._add_shared_resources()
        self._add_apis()
        functions = {
            function.service: function.name
            for function in (*self._add_services(), *self._add_internal_functions())
        }
        self._functions = {name: functions[name] for name in get_args(FunctionName)}
        self._add_backups()
        self._rest_api.deploy()
        self._add_monitoring()
        identity = DeploymentIdentity(self, "deployment-identity", names=names)
        identity.set_boundaries(self)
        outputs = self._outputs() | {
            f"{kind}_role_arn": arn for kind, arn in identity.role_arns.items()
        }
        for name, value in outputs.items():
            TerraformOutput(self, name, value=value, static_id=True)

    def _add_shared_resources(self) -> None:
        names = self.names
        self._networking = Networking(self, "networking", names=names)
        self._security = Security(self, "security", names=names)
        self._storage = Storage(self, "storage", names=names)
        self._messaging = Messaging(
            self,
            "messaging",
            names=names,
            kms_key_arn=self._security.kms_key_arn,
        )
        self._database = Database(
            self,
            "database",
            names=names,
            subnet_ids=self._networking.private_subnet_ids,
            database_security_group_id=self._networking.database_security_group_id,
            cache_security_group_id=self._networking.cache_security_group_id,
        )
        self._cdn = Cdn(
            self,
            "cdn",
            names=names,
            frontend=self._storage.frontend,
            avatars=self._storage.avatars,
            attachments=self._storage.attachments,
            access_log_bucket_domain=self._storage.access_logs.domain_name,
            edge_provider=self._edge_provider,
        )

    def _add_apis(self) -> None:
        names = self.names
        self._rest_api = RestApi(
            self,
            "rest-api",
            names=names,
            web_acl_arn=self._security.web_acl_arn,
            edge_provider=self._edge_provider,
        )
        self._websocket_api = WebSocketApi(self, "websocket-api", names=names)
        self._platform = ServicePlatform(
            names=names,
            artifacts=self._artifacts,
            artifact_bucket=self._storage.artifacts.name,
            alerts_topic_arn=self._messaging.alerts_topic_arn,
            rest_api=self._rest_api,
            tables=self._database.tables,
            bus_name=self._messaging.bus_name,
            bus_arn=self._messaging.bus_arn,
        )

    def _add_services(self) -> list[LambdaFunction]:
        """Creates the services with their routes, and the functions that services depend on."""
        platform, security, storage = self._platform, self._security, self._storage
        database, cdn_domain = self._database, self._cdn.cdn_domain
        authorizer = Authorizer(
            self,
            "authorizer",
            platform=platform,
            parameters=platform.parameters,
            tickets_table=platform.tables["chat-tickets"],
        )
        self._rest_api.use_authorizer(authorizer.function)
        self._delivery = Delivery(
            self,
            "delivery",
            platform=platform,
            websocket_api=self._websocket_api,
            tables=platform.tables,
            attachments=storage.attachments,
            cache=database.cache,
            network=self._networking.function_network("delivery"),
            kms_key_arn=security.kms_key_arn,
        )
        auth = Auth(
            self,
            "auth",
            platform=platform,
            user_pool_id=security.user_pool_id,
            user_pool_arn=security.user_pool_arn,
            user_pool_client_id=security.user_pool_client_id,
        )
        profile = Profile(
            self,
            "profile",
            platform=platform,
            avatars=storage.avatars,
            attachments=storage.attachments,
            cdn_domain=cdn_domain,
        )
        chat = Chat(
            self,
            "chat",
            platform=platform,
            websocket_api=self._websocket_api,
            authorizer=authorizer.function,
            attachments=storage.attachments,
            cache=database.cache,
            delivery=self._delivery,
            network=self._networking.function_network("chat"),
        )
        post = Post(
            self,
            "post",
            platform=platform,
            attachments=storage.attachments,
            cdn_domain=cdn_domain,
            deletions=self._messaging.deletions_queue,
        )
        catalog = Catalog(
            self,
            "catalog",
            platform=platform,
            database=database.connection,
            attachments=storage.attachments,
            cdn_domain=cdn_domain,
            network=self._networking.function_network("catalog"),
            kms_key_arn=security.kms_key_arn,
        )
        ai = Ai(self, "ai", platform=platform)
        constructs = (auth, profile, chat, post, catalog, ai, authorizer, self._delivery)
        return [construct.function for construct in constructs]

    def _add_internal_functions(self) -> list[LambdaFunction]:
        """Creates the health check, and the functions that no API invokes."""
        platform, database, security = self._platform, self._database, self._security
        health = Health(
            self,
            "health",
            platform=platform,
            network=self._networking.function_network("health"),
            tables=[database.tables[name] for name in HEALTH_TABLES],
            database=None if self.environment.rds.pauses else database.connection,
            cache=database.cache,
            version=_version(self._artifacts),
        )
        self._rest_api.add_health(health, health.function)
        migration = Migration(
            self,
            "migration",
            platform=platform,
            network=self._networking.function_network("migration"),
            database=database.connection,
            state_table=database.tables["migration-state"],
            kms_key_arn=security.kms_key_arn,
        )
        statistics = Statistics(
            self,
            "statistics",
            platform=platform,
            work_queue=self._messaging.work_queue,
            profiles=database.tables["profile-profiles"],
            counted_events=database.tables["profile-counted-events"],
        )
        self._relay = Relay(self, "relay", platform=platform, kms_key_arn=security.kms_key_arn)
        return [construct.function for construct in (health, migration, statistics, self._relay)]

    def _add_backups(self) -> None:
        tables = self._database.tables
        backups = Backups(
            self,
            "backups",
            names=self.names,
            tables={name: table for name, table in tables.items() if table.recoverable},
            bucket=self._storage.backups,
            kms_key_arn=self._security.kms_key_arn,
            alerts_topic_arn=self._messaging.alerts_topic_arn,
        )
        self._queues = {
            **self._messaging.queues,
            **self._relay.queues,
            **self._delivery.queues,
            **backups.queues,
        }

    def _add_monitoring(self) -> None:
        """Creates the dashboards, the alarms on shared resources, and the budget."""
        Monitoring(
            self,
            "monitoring",
            names=self.names,
            monitored=MonitoredResources(
                functions=self._functions,
                tables=self._database.tables,
                rest_api_name=self._rest_api.name,
                websocket_api_id=self._websocket_api.api_id,
                stage_name=self._rest_api.stage_name,
                queues=self._queues,
                bus_name=self._messaging.bus_name,
                rule_names=self._messaging.rule_names,
                database_cluster_id=self._database.cluster_id,
                cache_replication_group_id=self._database.cache.replication_group_id,
                distributions={
                    "site": self._cdn.site_distribution_id,
                    "avatars": self._cdn.avatars_distribution_id,
                },
            ),
            alerts_topic_arn=self._messaging.alerts_topic_arn,
        )
        Cost(
            self,
            "cost",
            environment=self.environment,
            alerts_topic_arn=self._messaging.alerts_topic_arn,
            edge_provider=self._edge_provider,
        )

    def _outputs(self) -> dict[str, object]:
        """Returns the Terraform outputs that the operator commands read."""
        environment, database, messaging = self.environment, self._database, self._messaging
        storage, security, functions = self._storage, self._security, self._functions
        parameters = self._platform.parameters.all()
        outputs: dict[str, object] = {
            "api_url": self._rest_api.url,
            "api_id": self._rest_api.api_id,
            "health_url": f"{self._rest_api.url}/health",
            "direct_health_url": f"{self._rest_api.direct_url}/health",
            "ws_url": self._websocket_api.url,
            "ws_api_id": self._websocket_api.api_id,
            "site_url": self._cdn.site_url,
            "site_distribution_id": self._cdn.site_distribution_id,
            "cdn_url": self._cdn.cdn_url,
            "avatars_distribution_id": self._cdn.avatars_distribution_id,
            "cognito_user_pool_id": security.user_pool_id,
            "cognito_client_id": security.user_pool_client_id,
            "frontend_bucket": storage.frontend.name,
            "avatars_bucket": storage.avatars.name,
            "attachments_bucket": storage.attachments.name,
            "backups_bucket": storage.backups.name,
            "artifacts_bucket": storage.artifacts.name,
            "event_bus_name": messaging.bus_name,
            "event_bus_arn": messaging.bus_arn,
            "alerts_topic_arn": messaging.alerts_topic_arn,
            "notifications_topic_arn": messaging.notifications_topic_arn,
            "queues": self._queues,
            "tables": {name: table.name for name, table in database.tables.items()},
            "recoverable_tables": [
                table.name for table in database.tables.values() if table.recoverable
            ],
            "functions": functions,
            "roles": {function: self.names.of(function, "role") for function in functions},
            "log_groups": {function: f"/aws/lambda/{name}" for function, name in functions.items()},
            "parameters": {label: parameter.name for label, parameter in parameters.items()},
            "arns": self._arns(),
            "vpc_id": self._networking.vpc_id,
            "database_endpoint": database.connection.endpoint,
            "database_name": database.connection.database,
            "database_cluster_id": database.cluster_id,
            "database_secret_arn": database.connection.secret_arn,
            "secrets": {
                parameter.key: {
                    "name": parameter.name,
                    "generated": parameter.generated,
                    "description": parameter.description,
                }
                for parameter in parameters.values()
            },
            "cache_endpoint": database.cache.endpoint,
            "state_bucket": environment.state.bucket,
            "version": _version(self._artifacts),
        }
        if environment.release_strategy == "gradual":
            outputs["next_step"] = (
                f"Traffic stays on the version each `{ALIAS}` alias names;"
                f" `python -m ops deploy {environment.name}` migrates and shifts it"
            )
        return outputs

    def _arns(self) -> dict[str, object]:
        names = self.names
        return {
            "functions": {
                function: names.arn("lambda", f"function:{name}")
                for function, name in self._functions.items()
            },
            "tables": {name: table.arn for name, table in self._database.tables.items()},
            "queues": {purpose: names.arn("sqs", name) for purpose, name in self._queues.items()},
            "user_pool": self._security.user_pool_arn,
            "key": self._security.kms_key_arn,
            "web_acl": self._security.web_acl_arn,
        }

    def write_additional_files(self, outdir: Path) -> None:
        """Writes Terraform files that CDKTF cannot create. Call it after synthesis.

        Args:
            outdir: The app's output folder, by default `cdktf.out`.
        """
        directory = outdir / "stacks" / self.environment.name
        for artifact in self._artifacts.values():
            artifact.copy_to(directory)
        write_secrets(directory, self.names)
        # The `terraform` block with the required version is in a separate file, because CDKTF
        # writes incorrect HCL if a stack overrides this block.
        (directory / "versions.tf").write_text(
            f'terraform {{\n  required_version = "{TERRAFORM_VERSION}"\n}}\n'
        )

    def _terraform_settings(self) -> None:
        state = self.environment.state
        emulated = self.environment.endpoints.aws is not None
        S3Backend(
            self,
            bucket=state.bucket,
            key=state.key,
            region=state.region,
            encrypt=True,
            # In the embedded AWS (for local use), buckets do not have separate host names.
            use_path_style=True if emulated else None,
            skip_credentials_validation=True if emulated else None,
            skip_metadata_api_check=True if emulated else None,
        )
        # CDKTF 0.21 has no parameter for this argument of the backend.
        self.add_override("terraform.backend.s3.use_lockfile", True)

    def _providers(self) -> AwsProvider:
        """Adds the default provider and the edge provider (us-east-1).

        Returns the edge provider.
        """
        environment = self.environment
        emulated = environment.endpoints.aws is not None
        edge = None
        for id_, alias, region in (
            ("aws", None, environment.region),
            ("aws-edge", "edge", GLOBAL_REGION),
        ):
            edge = AwsProvider(
                self,
                id_,
                alias=alias,
                region=region,
                allowed_account_ids=environment.allowed_account_ids,
                default_tags=[
                    AwsProviderDefaultTags(
                        tags={
                            "Project": PROJECT,
                            "Environment": environment.name,
                            "ManagedBy": "terraform",
                        }
                    )
                ],
                s3_use_path_style=True if emulated else None,
                skip_credentials_validation=True if emulated else None,
                skip_metadata_api_check="true" if emulated else None,
            )
        assert edge is not None
        self.add_override("terraform.required_providers.aws", PROVIDER)
        return edge


def _version(artifacts: Mapping[str, Artifact]) -> str:
    """Returns the version for /health: a digest of all functions' code."""
    digests = "".join(artifact.digest for _, artifact in sorted(artifacts.items()))
    return hashlib.sha256(digests.encode()).hexdigest()[:12]
