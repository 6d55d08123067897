"""Tests which emoji are accepted as reactions, and how many per user and message."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from emoji import EMOJI_DATA, STATUS

from lambdas.chat.emojis import canonical
from lambdas.chat.reactions import PER_MESSAGE, PER_USER, ReactionStore
from lambdas.common.storage.dynamodb import Entry
from tests.lambdas.chat.conftest import ChatUser, World, ok
from tests.lambdas.support import document, problem, wrong_fields

ALL_EMOJI = [t for t, entry in EMOJI_DATA.items() if entry["status"] == STATUS["fully_qualified"]]


@pytest.fixture
def path(ann: ChatUser, room_id: str) -> str:
    return f"/rooms/{room_id}/messages/{ann.send(room_id)['messageId']}/reactions"


def react(user: ChatUser, path: str, emoji: str, method: str = "PUT") -> None:
    ok(user.call(method, f"{path}/{quote(emoji)}"), 204)


def counts(user: ChatUser, room_id: str) -> dict[str, int]:
    reactions: dict[str, int] = document(ok(user.call("GET", f"/rooms/{room_id}/messages")))[
        "items"
    ][0]["reactions"]
    return reactions


@pytest.mark.parametrize(
    ("text", "canonical_form"),
    [
        ("👍", "👍"),
        ("👍\ufe0f", "👍"),
        ("❤", "❤️"),
        ("❤️", "❤️"),
        ("©", "©️"),
        ("👍🏽", "👍🏽"),
        ("🏽", "🏽"),
        ("👩‍💻", "👩‍💻"),
        ("👩🏿‍❤‍💋‍👨🏻", "👩🏿‍❤️‍💋‍👨🏻"),
        ("🇩🇪", "🇩🇪"),
        ("1⃣", "1️⃣"),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
        ("🏳‍🌈", "🏳️‍🌈"),
    ],
)
def test_all_forms_of_an_emoji_become_its_canonical_form(text: str, canonical_form: str) -> None:
    assert canonical(text) == canonical_form


@pytest.mark.parametrize(
    "text",
    ["x", ":tea:", "1", "#", "👍👍", "👍 ", "🇩", "🇩🇩🇪", "\ufe0f", "❤\ufe0f\ufe0f", "❤\ufe0e",
     "\u200d", "a\ufe0f", "👩‍👩", "👍\u0301", "Buy my tea", "👍🏽🏽",
     "🏴󠁧󠁢", "☺︎", "\U0001f3fb\u200d"],
)  # fmt: skip
def test_other_texts_are_not_accepted_as_emoji(text: str) -> None:
    assert canonical(text) is None


def test_every_recommended_emoji_is_accepted() -> None:
    assert len(ALL_EMOJI) > 3900  # Unicode 17 recommends more than 3,900 emoji
    assert [text for text in ALL_EMOJI if canonical(text) != text] == []
    for text in ALL_EMOJI:
        assert canonical(text.replace("\ufe0f", "")) == text


def test_all_forms_of_an_emoji_are_the_same_reaction(
    ann: ChatUser, bob: ChatUser, room_id: str, path: str
) -> None:
    react(ann, path, "❤")
    react(bob, path, "❤️")
    react(ann, path, "❤️")
    assert counts(ann, room_id) == {"❤️": 2}
    react(bob, path, "❤", "DELETE")
    assert counts(ann, room_id) == {"❤️": 1}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_reaction_must_be_an_emoji(ann: ChatUser, path: str, method: str) -> None:
    for text in ("Hello", "a b", "x" * 2000, "👍👍"):
        response = ann.call(method, f"{path}/{quote(text)}")
        assert wrong_fields(problem(response, 422)) == {"emoji"}


def test_removed_reactions_are_deleted_from_the_counters(
    ann: ChatUser, bob: ChatUser, path: str, world: World, room_id: str
) -> None:
    react(ann, path, "👍")
    for emoji in ALL_EMOJI[: PER_MESSAGE * 2]:
        react(bob, path, emoji)
        react(bob, path, emoji, "DELETE")
    items = [item for item in world.items("messages") if "#reactions" in item["message_id"]]
    size = sum(len(str(item)) for item in items)
    assert size < 1000
    assert counts(ann, room_id) == {"👍": 1}


def test_reactions_are_limited_per_user_and_per_message(
    ann: ChatUser, bob: ChatUser, room_id: str, path: str, world: World
) -> None:
    for emoji in ALL_EMOJI[:PER_USER]:
        react(bob, path, emoji)
    response = bob.call("PUT", f"{path}/{quote(ALL_EMOJI[PER_USER])}")
    problem(response, 409, "too_many_reactions")
    react(bob, path, ALL_EMOJI[0])
    react(bob, path, ALL_EMOJI[0], "DELETE")
    react(bob, path, ALL_EMOJI[PER_USER])
    assert len(counts(ann, room_id)) == PER_USER
    for index in range(1, PER_MESSAGE // PER_USER):
        user = world.user(f"user-{index}")
        ok(user.call("POST", f"/rooms/{room_id}/join", {}))
        for emoji in ALL_EMOJI[100 * index : 100 * index + PER_USER]:
            react(user, path, emoji)
    assert len(counts(ann, room_id)) == PER_MESSAGE
    problem(ann.call("PUT", f"{path}/{quote(ALL_EMOJI[50])}"), 409, "too_many_reactions")
    # Allowed, because the message already has a reaction with this emoji.
    react(ann, path, ALL_EMOJI[100])
    react(bob, path, ALL_EMOJI[1], "DELETE")
    react(ann, path, ALL_EMOJI[50])


@pytest.mark.parametrize("before", [0, 1])
def test_reactions_are_counted_exactly_despite_concurrent_reactions(
    ann: ChatUser, bob: ChatUser, room_id: str, path: str, monkeypatch: pytest.MonkeyPatch,
    before: int,
) -> None:  # fmt: skip
    """Ann changes her reaction between the read and the write of each of Bob's first attempts."""
    build = ReactionStore._build_count
    changes = ["DELETE", "PUT", "DELETE"] if before else ["PUT", "DELETE", "PUT"]
    expected = 0 if before else 1

    def build_after_another_reaction(store: ReactionStore, *arguments: Any, **values: Any) -> Entry:
        if changes:
            method = changes.pop(0)
            with monkeypatch.context() as patch:
                patch.setattr(ReactionStore, "_build_count", build)
                react(ann, path, "👍", method)
        return build(store, *arguments, **values)

    if before:
        react(ann, path, "👍")
    monkeypatch.setattr(ReactionStore, "_build_count", build_after_another_reaction)
    react(bob, path, "👍")
    assert not changes
    assert counts(ann, room_id) == {"👍": expected + 1}
    changes += ["DELETE", "PUT"] if expected else ["PUT", "DELETE"]
    react(bob, path, "👍", "DELETE")
    monkeypatch.undo()
    assert counts(ann, room_id) == ({"👍": 1} if expected else {})
