"""Calls every route of the auth function, from registration to a password reset."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.scenarios.context import ScenarioContext

AUTH = "/v1/auth"


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    person, api = context.create_person(), context.api
    person.register()
    person.register()  # the second registration replaces the unconfirmed first one
    yield f"POST {AUTH}/register"
    api.post(f"{AUTH}/resend-confirmation", {"email": person.email}).expect(202)
    yield f"POST {AUTH}/resend-confirmation"
    person.confirm()
    yield f"POST {AUTH}/confirm"
    person.try_log_in(password="Wrong-horse-1").expect_problem(401)
    person.log_in()
    yield f"POST {AUTH}/login"
    token = api.post(f"{AUTH}/anonymous", {}).expect(201)["accessToken"]
    api.get(f"{AUTH}/me", token=token).expect(200)
    yield f"POST {AUTH}/anonymous"
    person.refresh()
    yield f"POST {AUTH}/refresh"
    person.get_me().expect(200)
    yield f"GET {AUTH}/me"
    first = person.session_id
    person.log_in()
    sessions = api.get(f"{AUTH}/sessions", token=person.access_token).expect(200)["items"]
    assert len(sessions) == 2
    page = api.get(f"{AUTH}/sessions?limit=1", token=person.access_token).expect(200)
    assert page["nextCursor"]
    yield f"GET {AUTH}/sessions"
    api.delete(f"{AUTH}/sessions/{first}", token=person.access_token).expect(204)
    yield f"DELETE {AUTH}/sessions/{{sessionId}}"
    other_session_token = person.access_token
    person.log_in()
    passwords = {"currentPassword": person.password, "newPassword": "Better-horse-2"}
    api.post(f"{AUTH}/change-password", passwords, token=person.access_token).expect(204)
    person.get_me(other_session_token).expect_problem(401)
    person.password = "Better-horse-2"
    yield f"POST {AUTH}/change-password"
    api.post(f"{AUTH}/logout", token=person.access_token).expect(204)
    person.get_me().expect_problem(401)
    yield f"POST {AUTH}/logout"
    api.post(f"{AUTH}/forgot-password", {"email": person.email}).expect(202)
    yield f"POST {AUTH}/forgot-password"
    change = {"email": person.email, "code": person.read_code(), "newPassword": "Third-horse-3"}
    api.post(f"{AUTH}/reset-password", change).expect(204)
    yield f"POST {AUTH}/reset-password"
