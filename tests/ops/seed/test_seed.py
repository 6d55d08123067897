from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from environments import load_environment
from ops.errors import OperatorError
from ops.seed import remove_community, seed_community
from ops.seed.community import FOLDER, load_community
from tests.ops.clouds import FakeCloud

COMMUNITY = load_community()


@pytest.mark.parametrize("change", [seed_community, remove_community])
def test_only_the_local_platform_can_be_seeded(
    change: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEV_ACCOUNT_ID", "111111111111")
    with pytest.raises(OperatorError, match="ops seed works only on local"):
        change(FakeCloud(load_environment("dev"), {}))


def test_every_mentioned_user_belongs_to_the_community() -> None:
    mentioned = {
        person
        for room in COMMUNITY.rooms
        for person in [
            room.owner,
            *room.members,
            *(message.author for message in room.messages),
            *(person for message in room.messages for person in message.reactions),
        ]
    }
    for post in COMMUNITY.posts:
        mentioned |= {post.author, *post.likes, *(comment.author for comment in post.comments)}
    for listing in COMMUNITY.listings:
        authors = {rating.author for rating in listing.ratings}
        assert listing.seller not in authors, "sellers cannot rate their own listings"
        mentioned |= {listing.seller, *listing.wishlists, *authors}
    assert mentioned == set(COMMUNITY.people)


def test_people_write_and_react_only_in_rooms_that_they_joined() -> None:
    for room in COMMUNITY.rooms:
        for message in room.messages:
            assert {message.author, *message.reactions} <= {room.owner, *room.members}


def test_every_picture_exists_and_is_used() -> None:
    named = {post.picture for post in COMMUNITY.posts if post.picture}
    named |= {listing.picture for listing in COMMUNITY.listings}
    assert named == {path.stem for path in (FOLDER / "pictures").glob("*.png")}
