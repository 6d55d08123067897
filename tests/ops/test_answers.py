"""The small ones: users, logs, mails, lock files, health."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest

from ops.cloud import Cloud
from ops.deployment.health import get_health, wait_until_healthy
from ops.errors import OperatorError
from ops.local.mail import latest_code
from ops.upkeep import users
from ops.upkeep.logs import Line, parse_since, read
from ops.upkeep.users import Role, Users
from tests.ops.clouds import store_state
from tools.lockfiles import without_addresses


class TestUsers:
    @pytest.fixture
    def people(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Users:
        cognito = boto3.client("cognito-idp", region_name="us-east-1")
        pool = cognito.create_user_pool(PoolName="p", UsernameAttributes=["email"])["UserPool"][
            "Id"
        ]
        for role in Role:
            cognito.create_group(UserPoolId=pool, GroupName=role.value)
        cognito.admin_create_user(
            UserPoolId=pool,
            Username="ann@example.com",
            UserAttributes=[{"Name": "email", "Value": "ann@example.com"}],
        )
        monkeypatch.setattr(users, "outputs", lambda _: {"cognito_user_pool_id": pool})
        return Users(cloud)

    def test_a_role_is_granted_once_and_revoked_once(self, people: Users) -> None:
        email = "ann@example.com"
        assert [people.grant(email, Role.ADMIN), people.grant(email, Role.ADMIN)] == [True, False]
        assert people.show(email)["roles"] == ["user", "admin"]
        assert [people.revoke(email, Role.ADMIN), people.revoke(email, Role.ADMIN)] == [True, False]
        assert people.show(email)["roles"] == ["user"]

    def test_an_unknown_address_is_told(self, people: Users) -> None:
        with pytest.raises(
            OperatorError, match=r"No user has registered as bob@example\.com in dev"
        ):
            people.grant("bob@example.com", Role.MODERATOR)


class TestLogs:
    def test_a_json_message_becomes_one_readable_line(self) -> None:
        message = json.dumps(
            {"level": "INFO", "message": "logged in", "timestamp": "x", "correlation_id": "c1"}
        )
        assert (
            Line(0, message).as_text()
            == "1970-01-01T00:00:00.000Z INFO    logged in correlation_id=c1"
        )

    def test_the_runtimes_own_lines_stay_as_they_are(self) -> None:
        assert (
            Line(1500, "END RequestId: 1\n").as_text()
            == "1970-01-01T00:00:01.500Z END RequestId: 1"
        )

    @pytest.mark.parametrize(
        ("message", "expected"), [('{"a": 1}', {"a": 1}), ("text\n", "text"), ("[1]", "[1]")]
    )
    def test_json_keeps_objects(self, message: str, expected: Any) -> None:
        assert json.loads(Line(0, message).as_json())["message"] == expected

    @pytest.mark.parametrize(
        ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)]
    )
    def test_durations(self, text: str, seconds: int) -> None:
        assert parse_since(text, now=100_000) == (100_000 - seconds) * 1000

    @pytest.mark.parametrize("text", ["", "10", "m", "1.5h", "-1m"])
    def test_what_is_no_duration(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_since(text)

    def test_reads_since_the_start_oldest_first(self, cloud: Cloud) -> None:
        client, group = boto3.client("logs", region_name="us-east-1"), "/aws/lambda/auth-lambda-dev"
        client.create_log_group(logGroupName=group)
        store_state(cloud, {"log_groups": {"auth": group}})
        now = parse_since("0s")
        for stream, offset in (("b", -1000), ("a", -3000), ("c", -90_000)):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
            event = {"timestamp": now + offset, "message": stream}
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])  # type: ignore[list-item]
        assert [line.message for line in read(cloud, "auth", now - 60_000)] == ["a", "b"]

    def test_an_unknown_service_is_rejected(self, cloud: Cloud) -> None:
        store_state(cloud, {"log_groups": {"auth": "/aws/lambda/a", "chat": "/aws/lambda/b"}})
        with pytest.raises(OperatorError, match="dev has no service nobody: use one of auth, chat"):
            list(read(cloud, "nobody", 0))


class TestMail:
    MAILS: ClassVar[list[dict[str, Any]]] = [
        {
            "To": ["Ann@example.com"],
            "Timestamp": "2026-01-01T00:00:02",
            "BodyText": "Your code is 222222",
            "BodyHtml": None,
        },
        {
            "To": ["ann@example.com"],
            "Timestamp": "2026-01-01T00:00:01",
            "BodyText": "Your code is 111111",
            "BodyHtml": None,
        },
        {
            "To": ["ann@example.com"],
            "Timestamp": "2026-01-01T00:00:03",
            "BodyText": "Welcome",
            "BodyHtml": None,
        },
        {
            "To": ["bob@example.com"],
            "Timestamp": "2026-01-01T00:00:04",
            "BodyText": "",
            "BodyHtml": "<b>333333</b>",
        },
    ]

    @pytest.mark.parametrize(
        ("email", "code"),
        [("ann@example.com", "222222"), ("BOB@example.com", "333333"), ("eve@example.com", None)],
    )
    def test_the_latest_code_of_an_address(self, email: str, code: str | None) -> None:
        assert latest_code(self.MAILS, email) == code


class TestLockFiles:
    def test_a_pipfile_lock_keeps_versions_and_hashes_only(self) -> None:
        entry = {"hashes": ["sha256:1"], "version": "==1", "index": "pypi"}
        lock = {
            "_meta": {"sources": [{"url": "https://index"}]},
            "default": {"a": entry},
            "develop": {"b": dict(entry)},
        }
        kept = {"hashes": ["sha256:1"], "version": "==1"}
        assert without_addresses(lock) == {
            "_meta": {"sources": []},
            "default": {"a": kept},
            "develop": {"b": kept},
        }

    def test_a_package_lock_loses_its_resolved_addresses(self) -> None:
        lock = {
            "packages": {
                "node_modules/a": {
                    "version": "1",
                    "integrity": "sha512-1",
                    "resolved": "https://registry/a",
                }
            }
        }
        assert without_addresses(lock) == {
            "packages": {"node_modules/a": {"version": "1", "integrity": "sha512-1"}}
        }

    @pytest.mark.parametrize("name", ["Pipfile.lock", "package-lock.json"])
    def test_the_checked_in_ones_name_no_address(self, name: str) -> None:
        lock = json.loads((Path(__file__).parents[2] / name).read_text())
        assert without_addresses(json.loads(json.dumps(lock))) == lock


class TestHealth:
    @pytest.fixture
    def server(self) -> Iterator[tuple[str, list[int]]]:
        """A server that answers with the listed statuses, one after another, the last for good."""
        statuses: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps({"status": status}).encode())

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as http:
            threading.Thread(target=http.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{http.server_port}/health", statuses
            http.shutdown()

    def test_waits_until_the_answer_is_200(self, server: tuple[str, list[int]]) -> None:
        url, statuses = server
        statuses[:] = [503, 503, 200]
        assert wait_until_healthy(url, timeout=10).body == {"status": 200}

    def test_says_the_last_answer_when_it_never_is(self, server: tuple[str, list[int]]) -> None:
        url, statuses = server
        statuses[:] = [503]
        with pytest.raises(OperatorError, match=r'not healthy after 0 s: 503 \{"status": 503\}'):
            wait_until_healthy(url, timeout=0.1)

    def test_no_answer_is_an_answer(self) -> None:
        health = get_health("http://127.0.0.1:9/health")
        assert (health.ok, health.status) == (False, 0)
