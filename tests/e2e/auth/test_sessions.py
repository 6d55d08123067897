"""Tests refresh tokens, and that a session ends when the user signs out or changes the password."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import PASSWORD, Person

NEW_PASSWORD = "Better-horse-2"


def test_a_refresh_replaces_the_refresh_token_and_keeps_the_session(person: Person) -> None:
    replaced, session = person.refresh_token, person.session_id
    response = person.refresh()
    assert response.keys() == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert person.refresh_token != replaced
    assert person.session_id == session
    person.get_me().expect(200)


def test_a_refresh_token_replaced_less_than_10_s_ago_returns_its_successor(person: Person) -> None:
    replaced = person.refresh_token
    person.refresh()
    again = person.try_refresh(replaced).expect(200)
    assert again["refreshToken"] == person.refresh_token
    person.get_me(again["accessToken"]).expect(200)


def test_reusing_a_refresh_token_10_s_after_its_replacement_ends_the_session(
    person: Person,
) -> None:
    replaced = person.refresh_token
    person.refresh()
    time.sleep(10.5)
    person.try_refresh(replaced).expect_problem(401, "refresh_token_reused")
    person.try_refresh().expect_problem(401, "invalid_refresh_token")
    person.get_me().expect_problem(401, "session_ended")


def test_a_refresh_token_replaced_twice_returns_the_newest_token(
    person: Person,
) -> None:
    first = person.refresh_token
    person.refresh()
    person.refresh()
    again = person.try_refresh(first).expect(200)
    assert again["refreshToken"] == person.refresh_token
    person.get_me().expect(200)


def test_a_forged_refresh_token_is_rejected_and_ends_no_session(person: Person) -> None:
    session, generation, kid, mac = person.refresh_token.split(".")
    other_mac = mac[:-2] + ("AA" if mac[-2:] != "AA" else "BB")
    for forged in (
        f"{session}.{generation}.{kid}.{other_mac}",
        f"{session}.{int(generation) + 1}.{kid}.{mac}",
        f"{session}.{generation}.999.{mac}",
        "a.b.c.d",
        "x",
        "...",
    ):
        person.try_refresh(forged).expect_problem(401, "invalid_refresh_token")
    person.get_me().expect(200)
    person.refresh()


def test_two_concurrent_refreshes_return_the_same_token(person: Person) -> None:
    replaced = person.refresh_token
    with ThreadPoolExecutor(2) as pool:
        first, second = (
            response.expect(200) for response in pool.map(person.try_refresh, [replaced, replaced])
        )
    assert first["refreshToken"] == second["refreshToken"] != replaced
    person.get_me(first["accessToken"]).expect(200)
    person.get_me(second["accessToken"]).expect(200)


def test_signing_out_ends_only_this_session(person: Person, api: Api) -> None:
    phone = person.access_token
    person.log_in()
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    person.get_me().expect_problem(401, "session_ended")
    person.try_refresh().expect_problem(401, "invalid_refresh_token")
    person.get_me(phone).expect(200)


def test_signing_out_of_all_devices_ends_all_sessions(person: Person, api: Api) -> None:
    phone = person.access_token
    person.log_in()
    api.post("/v1/auth/logout", {"allDevices": True}, token=person.access_token).expect(204)
    person.get_me().expect_problem(401, "session_ended")
    person.get_me(phone).expect_problem(401, "session_ended")


def test_sessions_are_listed_and_can_be_ended_separately(
    person: Person, other: Person, api: Api
) -> None:
    phone, phone_session = person.access_token, person.session_id
    person.log_in(deviceInfo={"model": "Laptop", "os": "Any"})
    listed = api.get("/v1/auth/sessions", token=person.access_token).expect(200)
    assert listed["nextCursor"] is None
    by_id = {item["sessionId"]: item for item in listed["items"]}
    assert by_id.keys() == {phone_session, person.session_id}
    laptop = by_id[person.session_id]
    assert laptop.keys() == {"sessionId", "device", "createdAt", "lastUsedAt", "current"}
    assert (laptop["device"], laptop["current"]) == ({"model": "Laptop", "os": "Any"}, True)
    assert by_id[phone_session]["current"] is False

    api.delete(f"/v1/auth/sessions/{other.session_id}", token=person.access_token).expect_problem(
        404
    )
    api.delete("/v1/auth/sessions/no-such-session", token=person.access_token).expect_problem(404)
    other.get_me().expect(200)
    api.delete(f"/v1/auth/sessions/{phone_session}", token=person.access_token).expect(204)
    person.get_me(phone).expect_problem(401, "session_ended")
    person.get_me().expect(200)


def test_protected_calls_require_a_token(api: Api) -> None:
    for method, path in [
        ("GET", "me"),
        ("GET", "sessions"),
        ("DELETE", "sessions/any"),
        ("POST", "logout"),
        ("POST", "change-password"),
    ]:
        api.call(method, f"/v1/auth/{path}").expect_problem(401, "unauthorized")


def test_a_changed_password_ends_the_other_sessions(person: Person, api: Api) -> None:
    phone = person.access_token
    person.log_in()

    def change(current: str, new: str) -> dict[str, str]:
        return {"currentPassword": current, "newPassword": new}

    path, token = "/v1/auth/change-password", person.access_token
    wrong = api.post(path, change("Wrong-horse-1", NEW_PASSWORD), token=token)
    assert wrong.list_invalid_fields() == {"currentPassword"}
    assert api.post(path, change(PASSWORD, "weak"), token=token).list_invalid_fields() == {
        "newPassword"
    }
    person.get_me(phone).expect(200)
    api.post(path, change(PASSWORD, NEW_PASSWORD), token=token).expect(204)
    person.get_me().expect(200)
    person.get_me(phone).expect_problem(401, "session_ended")
    person.try_log_in().expect_problem(401, "invalid_credentials")
    person.password = NEW_PASSWORD
    person.log_in()


def test_a_forgotten_password_is_reset(platform: Platform, person: Person, api: Api) -> None:
    before = platform.count_mails(person.email)
    for email in (person.email, "nobody@example.com"):
        response = api.post("/v1/auth/forgot-password", {"email": email})
        assert (response.status, response.body) == (202, b"")
    assert platform.count_mails(person.email) == before + 1
    code = person.read_code()

    def reset(code: str, password: str, email: str = person.email) -> dict[str, str]:
        return {"email": email, "code": code, "newPassword": password}

    path, wrong = "/v1/auth/reset-password", f"{(int(code) + 1) % 1_000_000:06d}"
    api.post(path, reset(wrong, NEW_PASSWORD)).expect_problem(400, "invalid_code")
    api.post(path, reset(code, NEW_PASSWORD, "nobody@example.com")).expect_problem(
        400, "invalid_code"
    )
    assert api.post(path, reset(code, "weak")).list_invalid_fields() == {"newPassword"}
    person.get_me().expect(200)
    api.post(path, reset(code, NEW_PASSWORD)).expect(204)
    person.get_me().expect_problem(401, "session_ended")
    person.try_log_in().expect_problem(401, "invalid_credentials")
    person.password = NEW_PASSWORD
    person.log_in()
    api.post(path, reset(code, NEW_PASSWORD)).expect_problem(400, "invalid_code")
