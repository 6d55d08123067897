"""The data stores: the DynamoDB tables, the Aurora PostgreSQL cluster and the cache."""

from __future__ import annotations

from collections.abc import Sequence

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.db_subnet_group import DbSubnetGroup
from cdktf_cdktf_provider_aws.elasticache_replication_group import ElasticacheReplicationGroup
from cdktf_cdktf_provider_aws.elasticache_subnet_group import ElasticacheSubnetGroup
from cdktf_cdktf_provider_aws.elasticache_user import (
    ElasticacheUser,
    ElasticacheUserAuthenticationMode,
)
from cdktf_cdktf_provider_aws.elasticache_user_group import ElasticacheUserGroup
from cdktf_cdktf_provider_aws.rds_cluster import (
    RdsCluster,
    RdsClusterServerlessv2ScalingConfiguration,
)
from cdktf_cdktf_provider_aws.rds_cluster_instance import RdsClusterInstance
from cdktf_cdktf_provider_aws.rds_cluster_parameter_group import (
    RdsClusterParameterGroup,
    RdsClusterParameterGroupParameter,
)
from constructs import Construct

from environments.resource_names import DATABASE_MASTER, database_name
from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.log_group import LogGroup
from modules.base.naming import Names, service_tag
from modules.base.table import DynamoTable, Table
from modules.networking import CACHE_PORT, POSTGRESQL_PORT
from modules.tables import TABLES

PAUSE_AFTER = 300
"""Seconds without connections after which Aurora pauses, the minimum that it accepts."""
IDLE_SESSION_TIMEOUT_MS = 60_000
"""Milliseconds after which PostgreSQL closes an idle connection of a cluster that can pause.

A frozen execution environment keeps its connection open, and Aurora does not pause while there is a
connection.
"""

VALKEY_VERSION = "9.1"
"""The version of Valkey, which is also the version that the tests use."""


class Database(Construct):
    """All data stores of an environment.

    Args:
        names: The environment's resource names.
        subnet_ids: The private subnets of Aurora and the cache, one for each availability zone.
        database_security_group_id: The security group of the database. It accepts the database's
            clients.
        cache_security_group_id: The security group of the cache. It accepts the cache's clients.

    Attributes:
        tables: The DynamoDB tables by name without environment, for example `auth-sessions`.
        connection: The connection details of Aurora.
        cache: The connection details of the cache.
        cluster_id: The Aurora cluster's identifier, as in its metrics.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        subnet_ids: Sequence[str],
        database_security_group_id: str,
        cache_security_group_id: str,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment = environment
        self._names = names
        self.tables: dict[str, Table] = {
            definition.name: DynamoTable(
                self, definition.name, names=names, definition=definition
            ).table
            for definition in TABLES
        }
        self.cluster_id = names.of("catalog", "aurora")
        self.connection = self._aurora(subnet_ids, database_security_group_id)
        self.cache = self._cache(subnet_ids, cache_security_group_id)

    def _aurora(self, subnet_ids: Sequence[str], security_group_id: str) -> DatabaseConnection:
        environment, names, tags = self._environment, self._names, service_tag("catalog")
        retain = environment.retains_data
        database = database_name(environment.name)
        subnets = DbSubnetGroup(
            self,
            "aurora-subnets",
            name=names.of("catalog", "aurora-subnets"),
            subnet_ids=list(subnet_ids),
            tags=tags,
        )
        parameters = RdsClusterParameterGroup(
            self,
            "aurora-parameters",
            # A major upgrade needs a new parameter group while the old group is still in use.
            name=names.of("catalog", f"aurora-parameters-{environment.rds.major_version}"),
            family=f"aurora-postgresql{environment.rds.major_version}",
            parameter=[
                RdsClusterParameterGroupParameter(name="rds.force_ssl", value="1"),
                RdsClusterParameterGroupParameter(name="log_statement", value="ddl"),
                # Logs statements that take 1,000 ms or more, but never their parameters.
                RdsClusterParameterGroupParameter(name="log_min_duration_statement", value="1000"),
                RdsClusterParameterGroupParameter(name="log_parameter_max_length", value="0"),
                *(
                    [
                        RdsClusterParameterGroupParameter(
                            name="idle_session_timeout", value=str(IDLE_SESSION_TIMEOUT_MS)
                        )
                    ]
                    if environment.rds.pauses
                    else []
                ),
            ],
            tags=tags,
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        logs = LogGroup(
            self,
            "aurora-logs",
            environment=environment,
            name=f"/aws/rds/cluster/{self.cluster_id}/postgresql",
            service="catalog",
        )
        cluster = RdsCluster(
            self,
            "aurora",
            cluster_identifier=self.cluster_id,
            engine="aurora-postgresql",
            engine_mode="provisioned",
            engine_version=environment.rds.engine_version,
            allow_major_version_upgrade=environment.rds.allow_major_version_upgrade or None,
            database_name=database,
            master_username=DATABASE_MASTER,
            manage_master_user_password=True,
            iam_database_authentication_enabled=True,
            storage_encrypted=True,
            port=POSTGRESQL_PORT,
            db_subnet_group_name=subnets.name,
            db_cluster_parameter_group_name=parameters.name,
            vpc_security_group_ids=[security_group_id],
            serverlessv2_scaling_configuration=RdsClusterServerlessv2ScalingConfiguration(
                min_capacity=environment.rds.min_capacity,
                max_capacity=environment.rds.max_capacity,
                seconds_until_auto_pause=PAUSE_AFTER if environment.rds.pauses else None,
            ),
            backup_retention_period=environment.rds.backup_retention_days,
            preferred_backup_window="04:00-05:00",
            preferred_maintenance_window="sun:05:30-sun:06:30",
            copy_tags_to_snapshot=True,
            enabled_cloudwatch_logs_exports=["postgresql"],
            deletion_protection=retain,
            skip_final_snapshot=not retain,
            final_snapshot_identifier=f"{self.cluster_id}-final" if retain else None,
            # In environments that retain data, changes wait for the maintenance window. A major
            # upgrade cannot wait, because the same apply deletes the old parameter group.
            apply_immediately=not retain or environment.rds.allow_major_version_upgrade,
            tags=tags,
            depends_on=[logs],
            lifecycle=TerraformResourceLifecycle(prevent_destroy=True) if retain else None,
        )
        for index in range(environment.rds.instances):
            RdsClusterInstance(
                self,
                f"aurora-{index}",
                identifier=f"{self.cluster_id}-{index}",
                cluster_identifier=cluster.id,
                engine="aurora-postgresql",
                engine_version=cluster.engine_version,
                instance_class="db.serverless",
                db_subnet_group_name=subnets.name,
                publicly_accessible=False,
                # The next apply would revert an automatic upgrade. To upgrade, set engine_version.
                auto_minor_version_upgrade=False,
                performance_insights_enabled=environment.monitoring.detailed_metrics,
                copy_tags_to_snapshot=True,
                promotion_tier=index,
                tags=tags,
            )
        return DatabaseConnection(
            endpoint=environment.endpoints.database or f"{cluster.endpoint}:{POSTGRESQL_PORT}",
            database=database,
            resource_id=cluster.cluster_resource_id,
            secret_arn=cluster.master_user_secret.get(0).secret_arn,
        )

    def _cache(self, subnet_ids: Sequence[str], security_group_id: str) -> CacheConnection:
        environment, names, tags = self._environment, self._names, service_tag("chat")
        replicas = environment.elasticache.replicas
        subnets = ElasticacheSubnetGroup(
            self,
            "cache-subnets",
            name=names.of("chat", "cache-subnets"),
            subnet_ids=list(subnet_ids),
            tags=tags,
        )
        user, group = self._cache_user()
        port = (
            int(environment.endpoints.cache.rpartition(":")[2])
            if environment.endpoints.cache
            else CACHE_PORT
        )
        cache = ElasticacheReplicationGroup(
            self,
            "cache",
            replication_group_id=names.of("chat", "cache"),
            description="Connections, presence and typing of the chat service",
            engine="valkey",
            engine_version=VALKEY_VERSION,
            node_type=environment.elasticache.node_type,
            num_cache_clusters=1 + replicas,
            automatic_failover_enabled=replicas > 0,
            multi_az_enabled=replicas > 0,
            port=port,
            subnet_group_name=subnets.name,
            security_group_ids=[security_group_id],
            at_rest_encryption_enabled="true",
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            user_group_ids=[group.user_group_id],
            # The cache's data is rebuilt within a minute, so snapshots are useless.
            snapshot_retention_limit=0,
            apply_immediately=not environment.retains_data,
            tags=tags,
        )
        return CacheConnection(
            endpoint=environment.endpoints.cache or f"{cache.primary_endpoint_address}:{port}",
            replication_group_id=names.of("chat", "cache"),
            replication_group_arn=cache.arn,
            username=user.user_name,
            user_arn=user.arn,
        )

    def _cache_user(self) -> tuple[ElasticacheUser, ElasticacheUserGroup]:
        """Creates the user that functions connect as, and the disabled user `default`.

        Both users and their group have the engine `redis`, which also serves Valkey. A group of the
        engine `valkey` accepts only users that authenticate with a password or IAM, and `default`
        does neither (ElastiCache user guide, "Role-Based Access Control"). A `redis` group must
        have a user named `default`.
        """
        tags = service_tag("chat")
        platform = ElasticacheUser(
            self,
            "cache-user",
            user_id=self._names.of("chat", "cache-user"),
            # For IAM authentication, ElastiCache requires that user_name equals user_id.
            user_name=self._names.of("chat", "cache-user"),
            engine="redis",
            access_string="on ~* +@all -@dangerous -@admin",
            authentication_mode=ElasticacheUserAuthenticationMode(type="iam"),
            tags=tags,
        )
        default = ElasticacheUser(
            self,
            "cache-default-user",
            user_id=self._names.of("chat", "cache-default-user"),
            user_name="default",
            engine="redis",
            access_string="off ~* -@all",
            # With `authentication_mode`, every plan would show a difference: the mode is set as
            # no-password-required, but DescribeUsers returns it as no-password.
            no_password_required=True,
            tags=tags,
        )
        group = ElasticacheUserGroup(
            self,
            "cache-users",
            user_group_id=self._names.of("chat", "cache-users"),
            engine="redis",
            user_ids=[default.user_id, platform.user_id],
            tags=tags,
        )
        return platform, group
