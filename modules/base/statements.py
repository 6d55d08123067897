"""The permissions that functions of several services need, each in its narrowest form."""

from __future__ import annotations

from modules.base.bucket import Bucket
from modules.base.policy import Statement
from modules.base.table import Table
from modules.secrets import Parameter
from modules.storage import UPLOADS


def table_access(sid: str, table: Table, *operations: str) -> Statement:
    """Operations on a table's items, such as `GetItem`, without its indexes."""
    return Statement(sid=sid, actions=[f"dynamodb:{operation}" for operation in operations], resources=[table.arn])


def index_access(sid: str, table: Table) -> Statement:
    """Queries of a table's indexes."""
    return Statement(sid=sid, actions=["dynamodb:Query"], resources=table.index_arns)


def parameter_access(*parameters: Parameter) -> Statement:
    """Reading parameters, earlier versions included: a rotated key is asked for as `name:version`."""
    resources = [arn for parameter in parameters for arn in (parameter.arn, f"{parameter.arn}:*")]
    return Statement(sid="Parameters", actions=["ssm:GetParameter"], resources=resources)


def object_access(sid: str, bucket: Bucket, prefix: str, *operations: str) -> Statement:
    """Operations on the objects below a prefix (ending in `/`), such as `GetObject`."""
    actions = [f"s3:{operation}" for operation in operations]
    return Statement(sid=sid, actions=actions, resources=[f"{bucket.arn}/{prefix}*"])


def upload_access(bucket: Bucket, service: str) -> Statement:
    """A service's own corner of the upload prefix: it signs uploads, checks the bytes, copies them away and clears up."""
    return object_access("Uploads", bucket, f"{UPLOADS}{service}/", "GetObject", "PutObject", "DeleteObject")
