"""The header Idempotency-Key: a repeated request returns the first response and changes nothing."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from lambdas.common.clock import SYSTEM_CLOCK, Clock, has_expired, new_id
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import ConditionFailedError, Table, succeeds
from lambdas.common.web.http import Creation, Request, Response
from lambdas.common.web.router import Operation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION = 24 * 60 * 60
"""Seconds for which a response is stored (docs/api/README.md)."""

LEASE_SECONDS = 35
"""Seconds after which an unfinished request counts as crashed. The API's Lambda functions run
up to 30 s."""

KEY_LENGTH = 255


class Idempotency:
    """Stores responses in a table, by caller, method, path and key.

    Only successes are stored. After an error of the caller (4xx) the key may be used again, even
    with another body. After any other error or a crash, the request may have succeeded in part.
    A repeated request must then have the same body, and has the same `Request.creation`.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock

    def run(self, request: Request, work: Operation) -> Response[Any]:
        """Returns the stored response, or runs `work` and stores its response.

        Without the header, only runs `work`. Raises Problem 400 (invalid key) or 409 (the key was
        used with another body, or the first request is still running).
        """
        key = request.header("Idempotency-Key")
        if key is None:
            return work(request)
        if not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
            raise Problem.bad_request(
                f"Idempotency-Key must have 1 to {KEY_LENGTH} printable characters.",
                "invalid_idempotency_key",
            )
        record = _digest([request.caller.user_id, request.method, *request.segments, key])
        # The parsed body is hashed, so that formatting and key order do not matter.
        body = hashlib.sha256(msgspec.json.encode(request.json, order="deterministic")).hexdigest()
        attempt = new_id()
        if not self._begin(record, body, attempt, request.creation):
            stored = self._table.get({"idempotency_key": record}) or {}
            # botocore repeats the write if DynamoDB's response was lost. The repeated write fails,
            # although the first one has claimed the key for this attempt.
            if stored.get("attempt") != attempt:
                if not self._take_over(record, body, attempt, stored):
                    return self._stored_response(stored, body)
                request.creation = Creation(
                    stored.get("creation_id", request.creation.id),
                    may_exist=True,
                    started_at=stored.get("started_at", request.creation.started_at),
                )
        try:
            response = work(request)
        except BaseException as error:
            if isinstance(error, Problem) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self._release(record, attempt)
            else:
                self._end_lease(record, attempt)
            raise
        self._complete(record, attempt, response)
        return response

    def _begin(self, record: str, body: str, attempt: str, creation: Creation) -> bool:
        """Claims the key if it is new or expired. Returns False if another request claimed it."""
        now = int(self._clock())
        item = {
            "idempotency_key": record,
            "body": body,
            "attempt": attempt,
            "creation_id": creation.id,
            "started_at": creation.started_at,
            "lease_ends_at": now + LEASE_SECONDS,
            "expires_at": now + RETENTION,
        }
        return succeeds(
            lambda: self._table.put(
                item,
                condition="attribute_not_exists(idempotency_key) OR expires_at <= :now",
                values={":now": now},
            )
        )

    def _take_over(self, record: str, body: str, attempt: str, stored: Mapping[str, Any]) -> bool:
        """Claims the key of a failed or crashed attempt that had the same body.

        Returns True on success.
        """
        now = int(self._clock())
        is_crashed = "answer" not in stored and has_expired(
            stored.get("lease_ends_at", now + LEASE_SECONDS), now, LEASE_SECONDS
        )
        return (
            is_crashed
            and stored["body"] == body
            and succeeds(
                lambda: self._table.update(
                    {"idempotency_key": record},
                    "SET attempt = :attempt, lease_ends_at = :end",
                    condition="attempt = :crashed AND attribute_not_exists(answer)",
                    values={
                        ":attempt": attempt,
                        ":end": now + LEASE_SECONDS,
                        ":crashed": stored["attempt"],
                    },
                )
            )
        )

    def _stored_response(self, stored: Mapping[str, Any], body: str) -> Response[Any]:
        if stored and stored["body"] != body:
            detail = "This Idempotency-Key was used with another body. Use a new key."
            raise Problem.conflict(detail, "idempotency_key_reused")
        if "answer" not in stored:
            detail = "A request with this Idempotency-Key is still running. Try again shortly."
            raise Problem.conflict(detail, "request_in_progress", retry_after=1)
        response = msgspec.json.decode(stored["answer"])
        return Response(HTTPStatus(response["status"]), response["body"], response["headers"])

    def _complete(self, record: str, attempt: str, response: Response[Any]) -> None:
        answer = {
            "status": int(response.status),
            "body": response.body,
            "headers": response.headers,
        }
        # The condition fails if another attempt took over after the lease expired.
        with suppress(ConditionFailedError):
            self._table.update(
                {"idempotency_key": record},
                "SET answer = :answer",
                condition="attempt = :attempt",
                values={":attempt": attempt, ":answer": msgspec.json.encode(answer).decode()},
            )

    def _end_lease(self, record: str, attempt: str) -> None:
        """Ends the lease, so that the next attempt does not have to wait until it expires."""
        with suppress(ConditionFailedError):
            self._table.update(
                {"idempotency_key": record},
                "SET lease_ends_at = :now",
                condition="attempt = :attempt",
                values={":attempt": attempt, ":now": int(self._clock())},
            )

    def _release(self, record: str, attempt: str) -> None:
        with suppress(ConditionFailedError):
            self._table.delete(
                {"idempotency_key": record},
                condition="attempt = :attempt",
                values={":attempt": attempt},
            )


def _digest(parts: list[str]) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
