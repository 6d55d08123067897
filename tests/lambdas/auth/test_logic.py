"""Tests the logic of the auth service, without AWS."""

import re
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from lambdas.auth.logic import (
    ACCESS_LIFETIME,
    ANONYMOUS,
    ANONYMOUS_LIFETIME,
    CONFIRM,
    FORGOT_PASSWORD,
    LOGIN,
    REFRESH_GRACE,
    REGISTER,
    RESEND_CONFIRMATION,
    RESET_PASSWORD,
    SESSION_LIFETIME,
)
from lambdas.auth.models import SignedIn, TokenPair, User
from lambdas.auth.rate_limit import Limit
from lambdas.auth.sessions import Account, Session
from lambdas.common.caller import Caller
from lambdas.common.problems import Problem
from lambdas.common.web.pagination import PageQuery
from tests.lambdas.auth.fakes import World

EMAIL, PASSWORD, ADDRESS = "ann@example.com", "Passw0rd!", "203.0.113.7"


@pytest.fixture
def world() -> World:
    world = World()
    world.identity.add(EMAIL, PASSWORD)
    return world


def login(world: World, password: str = PASSWORD) -> SignedIn:
    return world.service.login(EMAIL, password, "phone", address=ADDRESS)


def caller_of(world: World, tokens: TokenPair) -> Caller:
    return world.tokens.verify(tokens.access_token)


def expect_refresh_error(world: World, refresh_token: str) -> str:
    with pytest.raises(Problem) as refusal:
        world.service.refresh(refresh_token)
    assert refusal.value.status == 401
    return refusal.value.code


def test_register_publishes_an_event(world: World) -> None:
    user = world.service.register("bob@example.com", PASSWORD, "Bob", address=ADDRESS)
    assert user.email == "bob@example.com"
    assert world.events.published == [
        ("UserRegistered", user.user_id, {"userId": user.user_id, "displayName": "Bob"})
    ]


def test_login_creates_a_session(world: World) -> None:
    response = world.service.login("ann@example.com", PASSWORD, {"os": "x"}, address=ADDRESS)
    caller = caller_of(world, response)
    assert (caller.user_id, caller.roles, caller.capabilities) == (
        response.user.user_id,
        frozenset({"user"}),
        frozenset(),
    )
    assert (response.expires_in, caller.expires_at - world.clock()) == (ACCESS_LIFETIME, 900)
    session = world.session(caller.session_id)
    assert (session.device, session.expires_at - world.clock()) == ({"os": "x"}, SESSION_LIFETIME)
    assert response.refresh_token not in str(session)
    assert world.events.types == ["UserLoggedIn"]


def test_five_failed_logins_block_only_this_email_and_ip_address(world: World) -> None:
    for _ in range(LOGIN.attempts):
        with pytest.raises(Problem) as failure:
            login(world, "wrong")
        assert failure.value.status == 401
    with pytest.raises(Problem) as limited:
        login(world)
    assert limited.value.status == 429
    assert world.service.login(EMAIL, PASSWORD, None, address="198.51.100.1").access_token


def test_successful_logins_do_not_count_towards_the_limit(world: World) -> None:
    for _ in range(3 * LOGIN.attempts):
        login(world)


@pytest.mark.parametrize(
    "error", [Problem.forbidden("Confirm first.", "email_not_verified"), ConnectionError("outage")]
)
def test_unverified_emails_and_outages_do_not_count_towards_the_limit(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_email: str, _password: str) -> User:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(world.identity, "authenticate", fail)
        for _ in range(2 * LOGIN.attempts):
            with pytest.raises(type(error)):
                login(world)
    assert login(world)


def confirm(world: World, email: str, code: str, address: str = ADDRESS) -> None:
    world.service.confirm(email, code, address=address)


def reset(world: World, email: str, code: str, address: str = ADDRESS) -> None:
    world.service.reset_password(email, code, "N3w-passw", address=address)


@pytest.mark.parametrize(("limit", "call"), [(CONFIRM, confirm), (RESET_PASSWORD, reset)])
def test_wrong_codes_are_limited_equally_for_registered_and_unknown_emails(
    world: World, limit: Limit, call: Callable[..., None]
) -> None:
    responses = []
    for email in (EMAIL, "nobody@example.com"):
        statuses = []
        for _ in range(6):
            with pytest.raises(Problem) as refusal:
                call(world, email, "111111")
            statuses.append(int(refusal.value.status))
        responses.append((statuses, refusal.value.document(), refusal.value.headers))
    assert responses[0] == responses[1]
    assert responses[0][0] == [400] * limit.attempts + [429]
    assert "Retry-After" in responses[0][2]
    with pytest.raises(Problem) as refusal:
        call(world, EMAIL, "000000")
    assert refusal.value.status == 429
    call(world, EMAIL, "000000", address="198.51.100.1")


@pytest.mark.parametrize(("limit", "call"), [(CONFIRM, confirm), (RESET_PASSWORD, reset)])
def test_correct_codes_do_not_count_towards_the_limit(
    world: World, limit: Limit, call: Callable[..., None]
) -> None:
    for _ in range(2 * limit.attempts):
        call(world, EMAIL, "000000")


@pytest.mark.parametrize(
    ("limit", "call"),
    [
        (
            REGISTER,
            lambda service, i: service.register(
                f"u{i}@example.com", PASSWORD, "Ann", address=ADDRESS
            ),
        ),
        (
            RESEND_CONFIRMATION,
            lambda service, i: service.resend_confirmation(f"u{i}@example.com", address=ADDRESS),
        ),
        (
            FORGOT_PASSWORD,
            lambda service, i: service.forgot_password(f"u{i}@example.com", address=ADDRESS),
        ),
        (ANONYMOUS, lambda service, _: service.anonymous(address=ADDRESS)),
    ],
)
def test_calls_are_limited_per_network_address(world: World, limit: object, call: object) -> None:
    attempts = limit.attempts  # type: ignore[attr-defined]
    for i in range(attempts):
        call(world.service, i)  # type: ignore[operator]
    with pytest.raises(Problem) as limited:
        call(world.service, attempts)  # type: ignore[operator]
    assert limited.value.status == 429


def test_anonymous_sign_in_creates_a_session_with_capabilities(world: World) -> None:
    response = world.service.anonymous(address=ADDRESS)
    caller = world.tokens.verify(response.access_token)
    assert re.fullmatch(r"Anonymous_[A-Z][a-z]+_[1-9]\d\d", response.display_name)
    assert (caller.user_id, caller.roles, caller.is_anonymous) == (
        response.anonymous_id,
        frozenset(),
        True,
    )
    assert caller.capabilities == {"read", "post_anonymous", "chat_anonymous"}
    assert (response.expires_in, caller.expires_at - world.clock()) == (ANONYMOUS_LIFETIME, 3600)
    assert world.session(caller.session_id).expires_at == caller.expires_at
    me = world.service.me(caller)
    assert (me.user_id, me.email, me.display_name, me.roles) == (
        caller.user_id,
        None,
        response.display_name,
        (),
    )


def test_refresh_returns_new_tokens_and_extends_the_session(world: World) -> None:
    first = login(world)
    world.clock.advance(600)
    second = world.service.refresh(first.refresh_token)
    caller = caller_of(world, second)
    assert caller.session_id == caller_of(world, first).session_id
    assert caller.expires_at - world.clock() == ACCESS_LIFETIME
    assert world.session(caller.session_id).expires_at - world.clock() == SESSION_LIFETIME
    assert world.service.refresh(second.refresh_token).refresh_token not in {
        first.refresh_token,
        second.refresh_token,
    }


def test_a_refresh_reads_the_current_roles(world: World) -> None:
    tokens = login(world)
    world.identity.add(EMAIL, PASSWORD, "admin")
    assert caller_of(world, world.service.refresh(tokens.refresh_token)).roles == {"user", "admin"}


def test_a_session_caches_the_roles_for_the_configured_time() -> None:
    world = World(account_seconds=1000)
    world.identity.add(EMAIL, PASSWORD, "moderator")
    tokens: TokenPair = login(world)
    world.identity.add(EMAIL, PASSWORD, "admin")
    for _ in range(2):
        world.clock.advance(499)
        tokens = world.service.refresh(tokens.refresh_token)
        caller = caller_of(world, tokens)
        assert caller.roles == {"user", "moderator"}
        assert world.service.me(caller).roles == ("user", "moderator")
        assert world.service.me(caller).email == EMAIL
    # A refresh that uses the cached roles does not extend the time for which they are cached.
    world.clock.advance(2)
    tokens = world.service.refresh(tokens.refresh_token)
    assert caller_of(world, tokens).roles == {"user", "admin"}
    assert world.session(caller_of(world, tokens).session_id).account == Account(
        email=EMAIL, roles=("user", "admin"), read_at=int(world.clock())
    )


def test_a_session_of_a_deleted_account_ends_when_the_account_is_no_longer_cached() -> None:
    world = World(account_seconds=1000)
    world.identity.add(EMAIL, PASSWORD)
    tokens: TokenPair = login(world)
    world.identity.users.clear()
    tokens = world.service.refresh(tokens.refresh_token)
    world.clock.advance(1000)
    assert expect_refresh_error(world, tokens.refresh_token) == "invalid_refresh_token"


def test_sessions_cache_no_account_by_default(world: World) -> None:
    assert world.session(caller_of(world, login(world)).session_id).account is None


def test_refresh_stores_the_current_name_in_the_session(world: World) -> None:
    tokens = login(world)
    session_id = caller_of(world, tokens).session_id
    assert world.session(session_id).display_name == "Ann"
    world.identity.users[EMAIL] = structs.replace(
        world.identity.users[EMAIL], display_name="Ann B."
    )
    world.service.refresh(tokens.refresh_token)
    assert world.session(session_id).display_name == "Ann B."


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "InternalServerError"}}, "BatchGetItem"),
        EndpointConnectionError(endpoint_url="https://dynamodb"),
        Problem.unavailable(),
    ],
)
def test_sign_in_succeeds_if_profiles_cannot_be_read(world: World, failure: Exception) -> None:
    world.profiles.names["id-ann@example.com"] = "Ann of Tea"
    before = login(world)
    world.profiles.failure = failure
    caller = caller_of(world, before)
    world.service.refresh(before.refresh_token)
    assert world.session(caller.session_id).display_name == "Ann of Tea"
    assert world.service.me(caller).display_name == "Ann"
    assert login(world).user.display_name == "Ann"


def test_a_used_refresh_token_returns_its_successor_within_the_grace_period(world: World) -> None:
    first = login(world).refresh_token
    second = world.service.refresh(first)
    world.clock.advance(REFRESH_GRACE / 1000)
    repeated = world.service.refresh(first)
    assert repeated.refresh_token == second.refresh_token
    assert repeated.access_token != second.access_token
    assert world.service.refresh(repeated.refresh_token)


def test_a_used_refresh_token_revokes_the_session_after_the_grace_period(world: World) -> None:
    first = login(world)
    second = world.service.refresh(first.refresh_token)
    world.clock.advance(REFRESH_GRACE / 1000 + 0.001)
    assert expect_refresh_error(world, first.refresh_token) == "refresh_token_reused"
    assert expect_refresh_error(world, second.refresh_token) == "invalid_refresh_token"
    assert not world.sessions.items


def test_every_used_refresh_token_returns_the_newest_token_within_the_grace_period(
    world: World,
) -> None:
    tokens = [login(world).refresh_token]
    for _ in range(5):
        world.clock.advance(REFRESH_GRACE / 1000 / 5)
        tokens.append(world.service.refresh(tokens[-1]).refresh_token)
    for token in tokens[:-1]:
        assert world.service.refresh(token).refresh_token == tokens[-1]
    world.clock.advance(REFRESH_GRACE / 1000 / 5)
    assert world.service.refresh(tokens[0]).refresh_token == tokens[-1]
    world.clock.advance(0.001)
    assert world.service.refresh(tokens[1]).refresh_token == tokens[-1]
    assert expect_refresh_error(world, tokens[0]) == "refresh_token_reused"
    assert not world.sessions.items


def test_a_session_stores_a_limited_number_of_rotations(world: World) -> None:
    token = first = login(world).refresh_token
    for _ in range(150):
        token = world.service.refresh(token).refresh_token
    (session,) = world.sessions.items.values()
    assert len(session.earlier_rotations) == 100
    assert expect_refresh_error(world, first) == "refresh_token_reused"


@settings(max_examples=50)
@given(st.text() | st.from_regex(r"\A[a-z0-9]{0,9}\.[0-9]{1,3}\.[0-9]\.[A-Za-z0-9_-]{0,43}\Z"))
def test_forged_tokens_do_not_revoke_a_session(text: str) -> None:
    world = World()
    world.identity.add(EMAIL, PASSWORD)
    login(world)
    expect_refresh_error(world, text)
    assert len(world.sessions.items) == 1


@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_an_altered_token_does_not_revoke_its_session(world: World, part: int) -> None:
    token = login(world).refresh_token
    parts = token.split(".")
    changed = {0: parts[0][::-1], 1: "2", 2: "2", 3: parts[3][::-1]}[part]
    expect_refresh_error(world, ".".join([*parts[:part], changed, *parts[part + 1 :]]))
    expect_refresh_error(world, token + "=")
    assert world.service.refresh(token)


def test_concurrent_refreshes_return_the_same_new_token(world: World) -> None:
    token = login(world).refresh_token
    faster: list[TokenPair] = []
    world.sessions.before_rotation = lambda: faster.append(world.service.refresh(token))
    slower = world.service.refresh(token)
    assert slower.refresh_token == faster[0].refresh_token
    assert len(world.sessions.items) == 1


def test_a_session_revoked_during_its_refresh_stays_revoked(world: World) -> None:
    token = login(world).refresh_token
    world.sessions.before_rotation = world.sessions.items.clear
    expect_refresh_error(world, token)
    assert not world.sessions.items


def test_refresh_tokens_survive_one_rotation_of_the_key(world: World) -> None:
    token = login(world).refresh_token
    stale = login(world).refresh_token
    world.keys.newest = 2
    world.clock.advance(3600)
    renewed = world.service.refresh(token).refresh_token
    assert renewed.split(".")[2] == "2"
    world.keys.newest = 3
    world.clock.advance(3600)
    assert world.service.refresh(renewed)
    assert expect_refresh_error(world, stale) == "invalid_refresh_token"
    # A token whose signing key was removed does not revoke its session.
    assert len(world.sessions.items) == 2


def test_a_repeated_refresh_returns_the_same_token_after_a_rotation_of_the_key(
    world: World,
) -> None:
    first = login(world).refresh_token
    second = world.service.refresh(first)
    world.keys.newest = 2
    world.clock.advance(REFRESH_GRACE / 1000)
    assert world.service.refresh(first).refresh_token == second.refresh_token


def test_a_deleted_account_cannot_refresh(world: World) -> None:
    token = login(world).refresh_token
    world.identity.users.clear()
    expect_refresh_error(world, token)
    assert not world.sessions.items


def test_an_expired_session_cannot_refresh(world: World) -> None:
    token = login(world).refresh_token
    world.clock.advance(SESSION_LIFETIME)
    expect_refresh_error(world, token)


def test_logout_ends_this_session_or_all_sessions(world: World) -> None:
    first, second, third = (caller_of(world, login(world)) for _ in range(3))
    world.service.logout(first, all_devices=False)
    assert world.sessions.items.keys() == {second.session_id, third.session_id}
    world.service.logout(second, all_devices=True)
    assert not world.sessions.items
    assert world.events.types[-2:] == ["UserLoggedOut", "UserLoggedOut"]


def test_the_callers_sessions_are_listed_by_most_recent_use(world: World) -> None:
    first = login(world)
    world.clock.advance(1)
    second = caller_of(world, login(world))
    world.clock.advance(1)
    caller = caller_of(world, world.service.refresh(first.refresh_token))
    world.service.anonymous(address=ADDRESS)
    views = world.service.list_sessions(caller, PageQuery()).items
    assert [(view.session_id, view.current) for view in views] == [
        (caller.session_id, True),
        (second.session_id, False),
    ]
    assert views[0].created_at < views[1].created_at < views[0].last_used_at


def test_sessions_are_listed_in_pages(world: World) -> None:
    caller = caller_of(world, login(world))
    for _ in range(6):
        login(world)
    expected = [v.session_id for v in world.service.list_sessions(caller, PageQuery()).items]
    listed: list[str] = []
    cursor = None
    for size in (3, 3, 1):
        page = world.service.list_sessions(caller, PageQuery(limit=3, cursor=cursor))
        assert len(page.items) == size
        listed += [view.session_id for view in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert listed == expected
    assert len(set(listed)) == 7


def test_delete_session_deletes_only_the_callers_sessions(world: World) -> None:
    caller = caller_of(world, login(world))
    other_caller = world.tokens.verify(world.service.anonymous(address=ADDRESS).access_token)
    for session_id in (other_caller.session_id, "unknown"):
        with pytest.raises(Problem) as refusal:
            world.service.delete_session(caller, session_id)
        assert refusal.value.status == 404
    world.service.delete_session(caller, caller.session_id)
    assert world.sessions.items.keys() == {other_caller.session_id}


def test_changing_the_password_ends_the_other_sessions(world: World) -> None:
    caller, _ = (caller_of(world, login(world)) for _ in range(2))
    world.service.change_password(caller, PASSWORD, "N3w-passw")
    assert world.sessions.items.keys() == {caller.session_id}
    assert world.events.published[-1] == (
        "PasswordChanged",
        caller.user_id,
        {"userId": caller.user_id},
    )
    assert login(world, "N3w-passw")


@pytest.mark.parametrize("change", ["change", "reset"])
def test_a_login_during_a_change_of_the_password_creates_no_session(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The login checks the old password before the change, and stores its session afterwards."""
    caller = caller_of(world, login(world))
    add = world.sessions.add

    def add_late(session: Session) -> None:
        monkeypatch.setattr(world.sessions, "add", add)
        if change == "change":
            world.service.change_password(caller, PASSWORD, "N3w-passw")
        else:
            world.service.reset_password(EMAIL, "000000", "N3w-passw", address=ADDRESS)
        add(session)

    monkeypatch.setattr(world.sessions, "add", add_late)
    with pytest.raises(Problem) as refusal:
        login(world)
    assert refusal.value.status == 401
    assert world.sessions.items.keys() == ({caller.session_id} if change == "change" else set())
    assert "UserLoggedIn" not in world.events.types[1:]
    assert login(world, "N3w-passw")


def test_wrong_current_passwords_are_limited_when_changing_the_password(world: World) -> None:
    caller = caller_of(world, login(world))
    statuses = []
    for _ in range(6):
        with pytest.raises(Problem) as refusal:
            world.service.change_password(caller, "wrong", "N3w-passw")
        statuses.append(int(refusal.value.status))
    assert statuses == [422] * 5 + [429]
    assert world.sessions.items


def test_resetting_the_password_ends_all_sessions(world: World) -> None:
    login(world)
    with pytest.raises(Problem):
        world.service.reset_password(EMAIL, "111111", "N3w-passw", address=ADDRESS)
    assert world.sessions.items
    world.service.reset_password("ann@example.com", "000000", "N3w-passw", address=ADDRESS)
    assert not world.sessions.items
    assert world.events.types[-1] == "PasswordChanged"
