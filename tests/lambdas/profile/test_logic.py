"""Tests the logic of the profile service with concurrent changes and failures, without AWS."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError
from msgspec import structs

from lambdas.common.people.aliases import Alias, ContextType
from lambdas.common.problems import Problem
from lambdas.common.storage.uploads import SignedForm, SignedUpload, StoredObject
from lambdas.common.web.preconditions import IfMatch
from lambdas.profile.logic import ProfileService
from lambdas.profile.models import Profile, UpdateProfile
from tests.lambdas.support import FakeClock, caller

OWNER = structs.replace(caller("user"), display_name="Ann")
ANY = IfMatch()


class MemoryProfiles:
    """Profiles by user.

    Before each write, the next function in `changes` simulates a concurrent request.
    """

    def __init__(self) -> None:
        self.items: dict[str, Profile] = {}
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.changes: list[Callable[[], object]] = []

    def find(self, user_id: str) -> Profile | None:
        assert len(user_id) < 2048, "DynamoDB rejects such a key"
        return self.items.get(user_id)

    def create(self, user_id: str, display_name: str, joined_at: str) -> Profile:
        profile = Profile(
            user_id=user_id, display_name=display_name, joined_at=joined_at, version=1
        )
        return self.items.setdefault(user_id, profile)

    def replace(
        self, before: Profile, after: Profile, event_type: str, data: Mapping[str, Any]
    ) -> bool:
        if self.changes:
            self.changes.pop(0)()
        if self.items[before.user_id].version != before.version:
            return False
        self.items[before.user_id] = after
        self.events.append((event_type, data))
        return True

    def change(self, **changes: Any) -> None:
        """Changes the profile as a concurrent request does."""
        profile = self.items[OWNER.user_id]
        self.items[OWNER.user_id] = structs.replace(profile, version=profile.version + 1, **changes)


class MemoryPictures:
    """Pictures by key. If `broken`, they cannot be deleted."""

    def __init__(self) -> None:
        self.served: set[str] = set()
        self.broken = False

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload:
        return SignedUpload(SignedForm("https://example.com", {}), "key")

    def use(self, user_id: str, key: str, target_prefix: str) -> StoredObject:
        stored = f"{target_prefix}{key}"
        self.served.add(stored)
        return StoredObject(stored, "image/png", 1)

    def remove(self, key: str) -> None:
        if self.broken:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "DeleteObject")
        self.served.discard(key)


class NoAliases:
    def get_or_create(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        raise AssertionError

    def regenerate(
        self, user_id: str, context_type: ContextType, context: str, alias_id: str
    ) -> Alias:
        raise AssertionError


class World:
    def __init__(self, logger: Logger) -> None:
        self.profiles, self.pictures = MemoryProfiles(), MemoryPictures()
        self.service = ProfileService(
            profiles=self.profiles,
            aliases=NoAliases(),
            pictures=self.pictures,
            picture_url=lambda key: f"https://cdn/{key}",
            logger=logger,
            clock=FakeClock(),
            sleep=lambda _seconds: None,
        )
        self.service.get_own(OWNER)

    @property
    def profile(self) -> Profile:
        return self.profiles.items[OWNER.user_id]


@pytest.fixture
def world(logger: Logger) -> World:
    return World(logger)


def status(call: Callable[[], object]) -> int:
    with pytest.raises(Problem) as refused:
        call()
    return refused.value.status


def test_a_change_is_retried_after_a_concurrent_change(world: World) -> None:
    world.profiles.changes = [
        *(lambda: world.profiles.change(location="Here") for _ in range(10)),
        lambda: world.profiles.change(bio="Old"),
    ]
    after = world.service.update(OWNER, UpdateProfile(bio="New"), ANY)
    assert (after.bio, after.location, after.version) == ("New", "Here", 13)
    assert world.profiles.events == [
        ("ProfileUpdated", {"userId": OWNER.user_id, "version": 13, "fields": ["bio"]})
    ]


def test_a_conditional_change_returns_412_after_a_concurrent_change(world: World) -> None:
    world.profiles.changes = [lambda: world.profiles.change(location="Here")]
    only_first = IfMatch(frozenset({'"1"'}))
    assert status(lambda: world.service.update(OWNER, UpdateProfile(bio="New"), only_first)) == 412
    assert world.profile.bio is None


def test_a_change_returns_503_after_repeated_concurrent_changes(world: World) -> None:
    world.profiles.changes = [lambda: world.profiles.change(location="x") for _ in range(100)]
    assert status(lambda: world.service.update(OWNER, UpdateProfile(bio="New"), ANY)) == 503
    assert len(world.profiles.changes) > 80


def test_unused_avatars_are_deleted(world: World) -> None:
    world.profiles.changes = [lambda: world.profiles.change(location="Here")]
    assert status(lambda: world.service.set_avatar(OWNER, "a", IfMatch(frozenset({"1"})))) == 412
    assert world.pictures.served == set()
    assert world.service.set_avatar(OWNER, "b", ANY).avatar_url == "https://cdn/avatars/b"
    world.service.set_avatar(OWNER, "c", ANY)
    assert world.pictures.served == {"avatars/c"}


def test_a_new_avatar_is_kept_if_the_outcome_of_the_write_is_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> bool:
        raise ClientError(
            {"Error": {"Code": "InternalServerError", "Message": ""}}, "TransactWriteItems"
        )

    monkeypatch.setattr(world.profiles, "replace", lost)
    with pytest.raises(ClientError):
        world.service.set_avatar(OWNER, "a", ANY)
    assert world.pictures.served == {"avatars/a"}


def test_failing_to_delete_a_replaced_avatar_is_logged(
    world: World, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    world.service.set_avatar(OWNER, "a", ANY)
    world.pictures.broken = True
    assert world.service.set_avatar(OWNER, "b", ANY).avatar_url == "https://cdn/avatars/b"
    assert [(line["message"], line["key"]) for line in logged()] == [
        ("deleting an unused avatar failed", "avatars/a")
    ]


def test_an_interrupted_deletion_of_an_avatar_can_be_repeated(world: World) -> None:
    world.service.set_avatar(OWNER, "a", ANY)
    world.pictures.broken = True
    with pytest.raises(ClientError):
        world.service.delete_avatar(OWNER)
    assert world.profile.avatar_key == "avatars/a"
    world.pictures.broken = False
    world.service.delete_avatar(OWNER)
    assert world.profile.avatar_key is None
    assert not world.pictures.served


def test_deleting_the_avatar_also_deletes_a_concurrently_set_one(world: World) -> None:
    world.service.set_avatar(OWNER, "a", ANY)
    world.profiles.changes = [lambda: world.service.set_avatar(OWNER, "b", ANY)]
    world.service.delete_avatar(OWNER)
    assert world.profile.avatar_key is None
    assert not world.pictures.served


def test_a_profile_is_created_for_a_session_without_a_name(world: World) -> None:
    nameless = structs.replace(OWNER, user_id="nameless", display_name="")
    assert world.service.get_own(nameless).display_name == "Someone"
