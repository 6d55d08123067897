"""Tests of the rules for posts and likes, with fake stores."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lambdas.common.problems import Problem
from lambdas.common.web.http import AlreadyCreatedError
from lambdas.common.web.preconditions import IfMatch
from lambdas.post.models import CreatePost, PostQuery, PostView, UpdatePost
from tests.lambdas.post.fakes import World, person, visitor

ANN, BOB, EVE, MODERATOR = person("Ann"), person("Bob"), person("Eve"), person("Mod", "moderator")
ANY = IfMatch()


@pytest.fixture
def world() -> World:
    return World()


def post(world: World, content: str = "Hello", caller: Any = ANN, **fields: Any) -> PostView:
    return world.service.create(caller, CreatePost(content=content, **fields))


def expect_problem(call: Callable[..., object], *arguments: object) -> Problem:
    with pytest.raises(Problem) as problem:
        call(*arguments)
    return problem.value


def test_a_created_post_is_returned(world: World) -> None:
    created = post(world, title="Title", tags=("Python", "AWS"), images=("id-of-Ann/1",))
    result = msgspec.to_builtins(created)
    assert result == {
        "postId": created.post_id,
        "authorId": "id-of-Ann",
        "authorName": "Ann",
        "title": "Title",
        "content": "Hello",
        "tags": ("Python", "AWS"),
        "images": (f"https://cdn.test/images/{created.post_id}/1",),
        "likesCount": 0,
        "commentsCount": 0,
        "likedByMe": False,
        "createdAt": "2027-01-15T08:00:00.000Z",
        "updatedAt": "2027-01-15T08:00:00.000Z",
        "isEdited": False,
        "isAnonymous": False,
        "version": 1,
    }
    assert world.service.get(BOB, created.post_id) == created
    assert world.events == [
        {
            "type": "PostCreated",
            "actor": "id-of-Ann",
            "data": {"postId": created.post_id, "isAnonymous": False, "authorId": "id-of-Ann"},
        }
    ]


def test_author_names_come_from_profiles(world: World) -> None:
    created = post(world)
    world.names["id-of-Ann"] = "Ann B."
    assert world.service.get(BOB, created.post_id).author_name == "Ann B."
    views, _ = world.service.list_posts(BOB, PostQuery(), None)
    assert views[0].author_name == "Ann B."


def test_tags_that_differ_in_case_are_stored_once(world: World) -> None:
    assert post(world, tags=("Python", "AWS", "python", "Café", "CAFE\u0301")).tags == (
        "Python",
        "AWS",
        "Café",
    )


def test_lists_filter_by_author_and_tag_and_continue_from_a_position(world: World) -> None:
    created = [
        post(world, str(i), BOB if i % 2 else ANN, tags=("even",) if i % 4 == 0 else ())
        for i in range(9)
    ]

    def contents(query: PostQuery, before: str | None = None) -> str:
        views, _ = world.service.list_posts(EVE, query, before)
        return "".join(view.content for view in views)

    assert contents(PostQuery()) == "876543210"
    assert contents(PostQuery(author_id="id-of-Bob")) == "7531"
    assert contents(PostQuery(tag="EVEN")) == "840"
    assert contents(PostQuery(tag="even", author_id="id-of-Ann")) == "840"
    assert contents(PostQuery(tag="even", author_id="id-of-Bob")) == ""
    views, position = world.service.list_posts(EVE, PostQuery(limit=4), None)
    assert [view.post_id for view in views] == [p.post_id for p in created[:4:-1]]
    assert position is not None
    assert contents(PostQuery(limit=4), position) == "4321"


def test_a_patch_keeps_fields_that_it_omits(world: World) -> None:
    created = post(world, title="Title", tags=("a",))
    world.clock.advance(60)
    changed = world.service.update(ANN, created.post_id, UpdatePost(content="Bye", title=None), ANY)
    assert (changed.content, changed.title, changed.tags) == ("Bye", None, ("a",))
    assert (changed.version, changed.is_edited, changed.created_at) == (2, True, created.created_at)
    assert changed.updated_at > created.updated_at
    assert world.service.get(BOB, created.post_id) == changed
    assert world.service.update(ANN, created.post_id, UpdatePost(content="Bye"), ANY) == changed
    assert world.service.update(ANN, created.post_id, UpdatePost(), ANY) == changed


def test_only_the_author_can_change_a_post(world: World) -> None:
    created = post(world)
    for caller in (BOB, MODERATOR, visitor("Zoe")):
        problem = expect_problem(
            world.service.update, caller, created.post_id, UpdatePost(content="x"), ANY
        )
        assert (problem.status, problem.code) == (403, "not_the_author")


def test_a_patch_of_an_old_version_returns_412_and_changes_nothing(world: World) -> None:
    created = post(world)
    world.service.update(
        ANN, created.post_id, UpdatePost(content="Second"), IfMatch(frozenset({'"1"'}))
    )
    problem = expect_problem(
        lambda: world.service.update(
            ANN, created.post_id, UpdatePost(content="Third"), IfMatch(frozenset({'"1"'}))
        )
    )
    assert problem.status == 412
    assert world.service.get(ANN, created.post_id).content == "Second"


def test_a_patch_is_retried_after_a_concurrent_change_unless_it_has_if_match(world: World) -> None:
    created = post(world, images=("id-of-Ann/1",))
    world.posts.conflicts = 11
    changed = world.service.update(ANN, created.post_id, UpdatePost(content="Ours"), ANY)
    assert (changed.title, changed.content, changed.version) == ("changed concurrently", "Ours", 13)
    world.posts.conflicts = 1
    images = (*changed.images, "id-of-Ann/2")
    problem = expect_problem(
        lambda: world.service.update(
            ANN, created.post_id, UpdatePost(images=images), IfMatch(frozenset({'"13"'}))
        )
    )
    assert problem.status == 412
    assert world.images.stored == {f"images/{created.post_id}/1"}
    world.posts.conflicts = 99
    problem = expect_problem(
        lambda: world.service.update(ANN, created.post_id, UpdatePost(content="x"), ANY)
    )
    assert problem.status == 503


def test_a_patch_keeps_images_by_url_adds_uploads_by_key_and_deletes_others(world: World) -> None:
    created = post(world, images=("id-of-Ann/1", "id-of-Ann/2"))
    images = ("id-of-Ann/3", created.images[1])
    changed = world.service.update(ANN, created.post_id, UpdatePost(images=images), ANY)
    at = f"images/{created.post_id}/"
    assert changed.images == (f"https://cdn.test/{at}3", f"https://cdn.test/{at}2")
    assert world.images.stored == {f"{at}3", f"{at}2"}
    wrong = ("id-of-Bob/1", changed.images[0], "https://elsewhere.test/x.png")
    problem = expect_problem(
        lambda: world.service.update(ANN, created.post_id, UpdatePost(images=wrong), ANY)
    )
    assert [error.field for error in problem.errors] == ["images.0", "images.2"]
    assert world.service.update(ANN, created.post_id, UpdatePost(images=()), ANY).images == ()
    assert world.images.stored == set()


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        # A lost response: DynamoDB may have stored the post.
        (ConnectionError(), 1),
        (AlreadyCreatedError(), 0),
        (Problem.not_found("The alias was deleted.", "alias_not_found"), 0),
    ],
)
def test_copied_images_are_deleted_only_if_the_post_was_certainly_not_stored(
    world: World, error: Exception, kept: int
) -> None:
    world.posts.error = error
    with pytest.raises(type(error)):
        post(world, images=("id-of-Ann/1",))
    assert len(world.images.stored) == kept
    assert world.events == []


def test_an_image_that_a_request_contains_twice_is_stored_once(world: World) -> None:
    created = post(world, images=("id-of-Ann/1", "id-of-Ann/1"))
    assert len(created.images) == len(world.images.stored) == 1


@pytest.mark.parametrize("caller", [ANN, MODERATOR, person("Root", "admin")])
def test_author_and_moderators_can_delete_a_post(world: World, caller: Any) -> None:
    created = post(world)
    world.posts.conflicts = 11
    assert world.service.delete(caller, created.post_id) is False
    assert expect_problem(lambda: world.service.get(ANN, created.post_id)).status == 404
    assert expect_problem(lambda: world.service.delete(caller, created.post_id)).status == 404
    assert world.events[-1] == {
        "type": "PostDeleted",
        "actor": caller.user_id,
        "data": {"postId": created.post_id, "isAnonymous": False, "authorId": "id-of-Ann"},
    }


def test_other_users_cannot_delete_a_post(world: World) -> None:
    public, hidden = post(world), post(world, is_anonymous=True)
    for view in (public, hidden):
        problem = expect_problem(world.service.delete, BOB, view.post_id)
        assert (problem.status, problem.code) == (403, "not_the_author")


def test_a_repeated_like_counts_once(world: World) -> None:
    created = post(world)
    for caller in (ANN, BOB, BOB):
        world.service.like(caller, created.post_id)
    view = world.service.get(BOB, created.post_id)
    assert (view.likes_count, view.liked_by_me) == (2, True)
    assert not world.service.get(EVE, created.post_id).liked_by_me
    for _ in range(2):
        world.service.unlike(BOB, created.post_id)
    assert world.service.get(BOB, created.post_id).likes_count == 1
    events = [(event["type"], event["actor"]) for event in world.events[1:]]
    assert events == [
        ("PostLiked", "id-of-Ann"),
        ("PostLiked", "id-of-Bob"),
        ("PostUnliked", "id-of-Bob"),
    ]
    assert {event["data"]["authorId"] for event in world.events} == {"id-of-Ann"}


def test_a_deleted_post_cannot_be_liked(world: World) -> None:
    created = post(world)
    world.being_deleted.add(created.post_id)
    assert expect_problem(lambda: world.service.like(BOB, created.post_id)).status == 404
    assert expect_problem(lambda: world.service.like(BOB, "0" * 32)).status == 404


# --- anonymity ---


def test_an_anonymous_post_shows_an_alias_and_does_not_reveal_its_author(world: World) -> None:
    created = post(world, is_anonymous=True)
    alias = world.aliases["id-of-Ann", "post", created.post_id]
    world.service.like(ANN, created.post_id)
    for viewer in (ANN, BOB, MODERATOR):
        view = msgspec.to_builtins(world.service.get(viewer, created.post_id))
        assert "authorId" not in view
        assert (view["authorName"], view["isAnonymous"]) == (alias.display_name, True)
        assert view["aliasId"] == alias.alias_id
        assert "Ann" not in str(view)
    assert world.posts.items[created.post_id].author_id is None
    assert world.events[0] == {
        "type": "PostCreated",
        "actor": alias.alias_id,
        "data": {"postId": created.post_id, "isAnonymous": True},
    }
    assert "authorId" not in world.events[1]["data"]
    views, _ = world.service.list_posts(BOB, PostQuery(author_id="id-of-Ann"), None)
    assert views == []


def test_each_anonymous_post_has_a_different_alias(world: World) -> None:
    assert post(world, is_anonymous=True).author_name != post(world, is_anonymous=True).author_name


def test_the_author_can_change_and_delete_an_anonymous_post(world: World) -> None:
    created = post(world, is_anonymous=True)
    alias = world.aliases["id-of-Ann", "post", created.post_id]
    changed = world.service.update(ANN, created.post_id, UpdatePost(content="Changed"), ANY)
    assert (changed.content, changed.is_anonymous, changed.author_name) == (
        "Changed",
        True,
        alias.display_name,
    )
    assert (
        expect_problem(
            lambda: world.service.update(BOB, created.post_id, UpdatePost(content="x"), ANY)
        ).status
        == 403
    )
    assert world.service.delete(ANN, created.post_id) is True
    assert world.events[-1]["actor"] == alias.alias_id


def test_a_moderator_is_the_actor_of_a_deletion_except_of_their_own_anonymous_post(
    world: World,
) -> None:
    anns, own = post(world, is_anonymous=True), post(world, caller=MODERATOR, is_anonymous=True)
    assert world.service.delete(MODERATOR, anns.post_id) is False
    assert world.events[-1]["actor"] == MODERATOR.user_id
    assert world.service.delete(MODERATOR, own.post_id) is True
    assert (
        world.events[-1]["actor"] == world.aliases[MODERATOR.user_id, "post", own.post_id].alias_id
    )


def test_anonymous_users_always_post_anonymously(world: World) -> None:
    zoe = visitor("Zoe")
    assert post(world, caller=zoe).is_anonymous
    assert post(world, caller=zoe, is_anonymous=True).is_anonymous
    problem = expect_problem(lambda: post(world, caller=zoe, is_anonymous=False))
    assert (problem.status, problem.code) == (403, "anonymous_not_allowed")
