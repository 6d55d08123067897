"""Tests refresh tokens, signing out, and password changes, which end sessions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.support import PASSWORD, Api, Person, Platform

NEW_PASSWORD = "Better-horse-2"


def test_a_refresh_replaces_the_token(person: Person) -> None:
    spent, session = person.refresh_token, person.session_id
    response = person.refresh()
    assert response.keys() == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert person.refresh_token != spent
    assert person.session_id == session
    person.me().expect(200)


def test_a_token_replaced_a_moment_ago_returns_the_same_successor(person: Person) -> None:
    spent = person.refresh_token
    person.refresh()
    again = person.try_refresh(spent).expect(200)
    assert again["refreshToken"] == person.refresh_token
    person.me(again["accessToken"]).expect(200)


def test_a_token_used_long_after_its_replacement_ends_the_session(person: Person) -> None:
    spent = person.refresh_token
    person.refresh()
    time.sleep(10.5)
    person.try_refresh(spent).problem(401, "refresh_token_reused")
    person.try_refresh().problem(401, "invalid_refresh_token")
    person.me().problem(401, "session_ended")


def test_a_spent_token_returns_the_newest_one_if_its_successor_is_spent(person: Person) -> None:
    first = person.refresh_token
    person.refresh()
    person.refresh()
    again = person.try_refresh(first).expect(200)
    assert again["refreshToken"] == person.refresh_token
    person.me().expect(200)


def test_an_invented_token_ends_no_session(person: Person) -> None:
    session, generation, kid, mac = person.refresh_token.split(".")
    other_mac = mac[:-2] + ("AA" if mac[-2:] != "AA" else "BB")
    for invented in (
        f"{session}.{generation}.{kid}.{other_mac}",
        f"{session}.{int(generation) + 1}.{kid}.{mac}",
        f"{session}.{generation}.999.{mac}",
        "a.b.c.d",
        "x",
        "...",
    ):
        person.try_refresh(invented).problem(401, "invalid_refresh_token")
    person.me().expect(200)
    person.refresh()


def test_two_concurrent_refreshes_return_the_same_token(person: Person) -> None:
    spent = person.refresh_token
    with ThreadPoolExecutor(2) as pool:
        first, second = (
            response.expect(200) for response in pool.map(person.try_refresh, [spent, spent])
        )
    assert first["refreshToken"] == second["refreshToken"] != spent
    person.me(first["accessToken"]).expect(200)
    person.me(second["accessToken"]).expect(200)


def test_signing_out_ends_this_session_only(person: Person, api: Api) -> None:
    phone = person.access_token
    person.log_in()
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    person.me().problem(401, "session_ended")
    person.try_refresh().problem(401, "invalid_refresh_token")
    person.me(phone).expect(200)


def test_signing_out_everywhere_ends_all(person: Person, api: Api) -> None:
    phone = person.access_token
    person.log_in()
    api.post("/v1/auth/logout", {"allDevices": True}, token=person.access_token).expect(204)
    person.me().problem(401, "session_ended")
    person.me(phone).problem(401, "session_ended")


def test_sessions_are_listed_and_ended_one_by_one(person: Person, other: Person, api: Api) -> None:
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

    api.delete(f"/v1/auth/sessions/{other.session_id}", token=person.access_token).problem(404)
    api.delete("/v1/auth/sessions/no-such-session", token=person.access_token).problem(404)
    other.me().expect(200)
    api.delete(f"/v1/auth/sessions/{phone_session}", token=person.access_token).expect(204)
    person.me(phone).problem(401, "session_ended")
    person.me().expect(200)


def test_protected_calls_require_a_token(api: Api) -> None:
    for method, path in [
        ("GET", "me"),
        ("GET", "sessions"),
        ("DELETE", "sessions/any"),
        ("POST", "logout"),
        ("POST", "change-password"),
    ]:
        api.call(method, f"/v1/auth/{path}").problem(401, "unauthorized")


def test_a_changed_password_ends_the_other_sessions(person: Person, api: Api) -> None:
    phone = person.access_token
    person.log_in()

    def change(current: str, new: str) -> dict[str, str]:
        return {"currentPassword": current, "newPassword": new}

    path, token = "/v1/auth/change-password", person.access_token
    wrong = api.post(path, change("Wrong-horse-1", NEW_PASSWORD), token=token)
    assert wrong.wrong_fields() == {"currentPassword"}
    assert api.post(path, change(PASSWORD, "weak"), token=token).wrong_fields() == {"newPassword"}
    person.me(phone).expect(200)
    api.post(path, change(PASSWORD, NEW_PASSWORD), token=token).expect(204)
    person.me().expect(200)
    person.me(phone).problem(401, "session_ended")
    person.try_log_in().problem(401, "invalid_credentials")
    person.password = NEW_PASSWORD
    person.log_in()


def test_a_forgotten_password_is_reset(platform: Platform, person: Person, api: Api) -> None:
    before = platform.mails_to(person.email)
    for email in (person.email, "nobody@example.com"):
        response = api.post("/v1/auth/forgot-password", {"email": email})
        assert (response.status, response.body) == (202, b"")
    assert platform.mails_to(person.email) == before + 1
    code = person.code()

    def reset(code: str, password: str, email: str = person.email) -> dict[str, str]:
        return {"email": email, "code": code, "newPassword": password}

    path, wrong = "/v1/auth/reset-password", f"{(int(code) + 1) % 1_000_000:06d}"
    api.post(path, reset(wrong, NEW_PASSWORD)).problem(400, "invalid_code")
    api.post(path, reset(code, NEW_PASSWORD, "nobody@example.com")).problem(400, "invalid_code")
    assert api.post(path, reset(code, "weak")).wrong_fields() == {"newPassword"}
    person.me().expect(200)
    api.post(path, reset(code, NEW_PASSWORD)).expect(204)
    person.me().problem(401, "session_ended")
    person.try_log_in().problem(401, "invalid_credentials")
    person.password = NEW_PASSWORD
    person.log_in()
    api.post(path, reset(code, NEW_PASSWORD)).problem(400, "invalid_code")
