"""Tests the IAM authentication tokens for the database and the cache."""

import datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import botocore.signers
import pytest

from lambdas.common.storage.iam_tokens import elasticache_token, rds_token
from tests.lambdas.support import REGION


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> boto3.session.Session:
    moment = datetime.datetime(2027, 1, 15, 8, tzinfo=datetime.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_args, **_kwargs: moment)
    return boto3.session.Session(region_name=REGION)


def test_the_database_token_equals_the_token_of_the_sdk(session: boto3.session.Session) -> None:
    endpoint = "db.cluster-x.us-east-1.rds.amazonaws.com"
    expected = session.client("rds").generate_db_auth_token(
        DBHostname=endpoint, Port=5432, DBUsername="health"
    )
    assert rds_token(session, f"{endpoint}:5432", "health") == expected


def test_the_cache_token_contains_the_replication_group_and_the_user(
    session: boto3.session.Session,
) -> None:
    token = elasticache_token(session, "Chat-Cache", "chat")
    parts = urlsplit(f"http://{token}")
    query = parse_qs(parts.query)
    assert (parts.netloc, parts.path) == ("chat-cache", "/")
    assert (query["Action"], query["User"], query["X-Amz-Expires"]) == (
        ["connect"],
        ["chat"],
        ["900"],
    )
    assert query["X-Amz-Credential"][0].endswith(f"/{REGION}/elasticache/aws4_request")
    assert query["X-Amz-Signature"]
