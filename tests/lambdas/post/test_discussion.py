"""Tests of the rules for comments, with fake stores."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from lambdas.common.problems import Problem
from lambdas.common.web.preconditions import IfMatch
from lambdas.post.models import CommentView, CreateComment, CreatePost, UpdateComment
from tests.lambdas.post.fakes import World, person, visitor

ANN, BOB, EVE, MODERATOR = person("Ann"), person("Bob"), person("Eve"), person("Mod", "moderator")
ANY = IfMatch()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def post_id(world: World) -> str:
    return world.service.create(ANN, CreatePost(content="Hello")).post_id


@pytest.fixture
def hidden_id(world: World) -> str:
    """The id of an anonymous post by Ann."""
    return world.service.create(ANN, CreatePost(content="Hello", is_anonymous=True)).post_id


def comment(
    world: World, post_id: str, content: str = "Hi", caller: Any = BOB, **fields: Any
) -> CommentView:
    return world.discussion.create(caller, post_id, CreateComment(content=content, **fields))


def expect_problem(call: Callable[..., object], *arguments: object) -> Problem:
    with pytest.raises(Problem) as problem:
        call(*arguments)
    return problem.value


def test_a_created_comment_is_returned(world: World, post_id: str) -> None:
    created = comment(world, post_id)
    assert msgspec.to_builtins(created) == {
        "commentId": created.comment_id,
        "postId": post_id,
        "parentId": None,
        "depth": 1,
        "authorId": "id-of-Bob",
        "authorName": "Bob",
        "content": "Hi",
        "createdAt": "2027-01-15T08:00:00.001Z",
        "updatedAt": "2027-01-15T08:00:00.001Z",
        "isEdited": False,
        "isAnonymous": False,
        "version": 1,
    }
    assert world.service.get(ANN, post_id).comments_count == 1
    assert world.events[-1] == {
        "type": "CommentCreated",
        "actor": "id-of-Bob",
        "data": {
            "postId": post_id,
            "commentId": created.comment_id,
            "parentId": None,
            "isAnonymous": False,
            "authorId": "id-of-Bob",
            "postAuthorId": "id-of-Ann",
        },
    }


def test_comments_are_listed_oldest_first(world: World, post_id: str) -> None:
    for i in range(5):
        comment(world, post_id, str(i))
    first, position = world.discussion.list_comments(ANN, post_id, 3, None)
    second, end = world.discussion.list_comments(ANN, post_id, 3, position)
    assert [view.content for view in (*first, *second)] == ["0", "1", "2", "3", "4"]
    assert end is None


def test_replies_have_at_most_five_levels(world: World, post_id: str) -> None:
    parent: str | None = None
    for depth in range(1, 6):
        created = comment(world, post_id, parent_id=parent)
        assert (created.depth, created.parent_id) == (depth, parent)
        parent = created.comment_id
    problem = expect_problem(lambda: comment(world, post_id, parent_id=parent))
    assert (problem.status, problem.errors[0].field) == (422, "parentId")


def test_a_reply_needs_a_parent_comment_of_the_same_post(
    world: World, post_id: str, hidden_id: str
) -> None:
    elsewhere = comment(world, hidden_id).comment_id
    for parent_id in (elsewhere, "0" * 32):
        problem = expect_problem(partial(comment, world, post_id, parent_id=parent_id))
        assert (problem.status, problem.errors[0].field) == (422, "parentId")
    parent = comment(world, post_id).comment_id
    world.comments.deleted_parent = True
    assert expect_problem(lambda: comment(world, post_id, parent_id=parent)).status == 422


def test_only_the_author_can_change_a_comment(world: World, post_id: str) -> None:
    created = comment(world, post_id)
    world.comments.conflicts = 11
    body = UpdateComment(content="Changed")
    changed = world.discussion.update(BOB, post_id, created.comment_id, body, ANY)
    assert (changed.content, changed.version, changed.is_edited) == ("Changed", 13, True)
    for same in (UpdateComment(), body):
        assert world.discussion.update(BOB, post_id, created.comment_id, same, ANY) == changed
    stale = IfMatch(frozenset({'"1"'}))
    assert (
        expect_problem(
            lambda: world.discussion.update(BOB, post_id, created.comment_id, body, stale)
        ).status
        == 412
    )
    for caller in (ANN, MODERATOR):
        assert (
            expect_problem(
                world.discussion.update, caller, post_id, created.comment_id, body, ANY
            ).status
            == 403
        )


@pytest.mark.parametrize("caller", [BOB, MODERATOR])
def test_author_and_moderators_can_delete_a_comment_but_not_its_replies(
    world: World, post_id: str, caller: Any
) -> None:
    created = comment(world, post_id)
    reply = comment(world, post_id, parent_id=created.comment_id)
    assert (
        expect_problem(lambda: world.discussion.delete(ANN, post_id, created.comment_id)).status
        == 403
    )
    assert world.discussion.delete(caller, post_id, created.comment_id) is False
    assert (
        expect_problem(lambda: world.discussion.delete(caller, post_id, created.comment_id)).status
        == 404
    )
    remaining, _ = world.discussion.list_comments(EVE, post_id, 20, None)
    assert [view.comment_id for view in remaining] == [reply.comment_id]
    assert world.service.get(EVE, post_id).comments_count == 1
    deleted = world.events[-1]
    assert (deleted["type"], deleted["actor"]) == ("CommentDeleted", caller.user_id)
    assert deleted["data"]["authorId"] == "id-of-Bob"


def test_a_comment_of_another_post_returns_404(world: World, post_id: str, hidden_id: str) -> None:
    created = comment(world, post_id)
    assert (
        expect_problem(lambda: world.discussion.delete(BOB, hidden_id, created.comment_id)).status
        == 404
    )
    assert (
        expect_problem(lambda: world.discussion.list_comments(BOB, "0" * 32, 20, None)).status
        == 404
    )


def test_comments_of_a_deleted_post_cannot_change(world: World, post_id: str) -> None:
    created = comment(world, post_id)
    world.being_deleted.add(post_id)
    for call in (
        lambda: comment(world, post_id),
        lambda: world.discussion.update(
            BOB, post_id, created.comment_id, UpdateComment(content="x"), ANY
        ),
        lambda: world.discussion.delete(BOB, post_id, created.comment_id),
    ):
        problem = expect_problem(call)
        assert (problem.status, problem.code) == (404, "post_not_found")


# --- anonymity ---


def test_a_user_has_one_alias_per_post(world: World, post_id: str, hidden_id: str) -> None:
    first, second = (comment(world, post_id, is_anonymous=True) for _ in range(2))
    alias = world.aliases["id-of-Bob", "comment", post_id]
    assert first.author_name == second.author_name == alias.display_name
    assert first.alias_id == second.alias_id == alias.alias_id
    assert comment(world, hidden_id, is_anonymous=True).author_name != first.author_name
    assert "authorId" not in msgspec.to_builtins(first)
    event = world.events[-2]
    assert event["actor"] == alias.alias_id
    assert "Bob" not in str(event)


def test_the_author_of_an_anonymous_post_comments_with_the_alias_of_the_post(
    world: World, hidden_id: str
) -> None:
    own = comment(world, hidden_id, caller=ANN, is_anonymous=True)
    assert own.author_name == world.service.get(EVE, hidden_id).author_name
    assert own.author_name != comment(world, hidden_id, caller=BOB, is_anonymous=True).author_name
    assert world.events[-2]["actor"] == world.events[0]["actor"]
    assert "Ann" not in str(world.events)


def test_an_anonymous_comment_on_the_authors_own_public_post_does_not_reveal_the_author(
    world: World, post_id: str
) -> None:
    own = comment(world, post_id, caller=ANN, is_anonymous=True)
    assert "Ann" not in str(own)
    assert "id-of-Ann" not in str(
        {**world.events[-1], "data": {**world.events[-1]["data"], "postAuthorId": None}}
    )


def test_the_author_can_change_and_delete_an_anonymous_comment(world: World, post_id: str) -> None:
    created = comment(world, post_id, is_anonymous=True)
    body = UpdateComment(content="Changed")
    assert world.discussion.update(BOB, post_id, created.comment_id, body, ANY).is_anonymous
    assert (
        expect_problem(
            lambda: world.discussion.update(EVE, post_id, created.comment_id, body, ANY)
        ).status
        == 403
    )
    assert (
        expect_problem(lambda: world.discussion.delete(EVE, post_id, created.comment_id)).status
        == 403
    )
    assert world.discussion.delete(BOB, post_id, created.comment_id) is True
    assert world.events[-1]["actor"] == world.aliases["id-of-Bob", "comment", post_id].alias_id
    assert "Bob" not in str(world.events)


def test_anonymous_users_always_comment_anonymously(world: World, post_id: str) -> None:
    zoe = visitor("Zoe")
    assert comment(world, post_id, caller=zoe).is_anonymous
    assert (
        expect_problem(lambda: comment(world, post_id, caller=zoe, is_anonymous=False)).status
        == 403
    )
