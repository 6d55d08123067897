"""Determines who may change a post or comment, and which name is shown as its author's."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import UNSET, Struct, UnsetType

from lambdas.common.caller import PLATFORM_ADMIN, PLATFORM_MODERATOR, Caller
from lambdas.common.people.aliases import Alias, ContextType
from lambdas.common.problems import Problem
from lambdas.post.records import Authored, Post


class Authors(Protocol):
    """Finds the authors of anonymous items."""

    def author_of(self, item_id: str) -> str | None: ...


class Aliases(Protocol):
    def get_or_create(self, user_id: str, context_type: ContextType, context: str) -> Alias: ...


class Names(Protocol):
    def display_names(
        self, user_ids: Collection[str], viewer: Caller | None, earlier: Mapping[str, str]
    ) -> dict[str, str]: ...


class Byline(Struct, frozen=True, kw_only=True):
    """The author fields of a new post or comment."""

    author_name: str
    author_id: str | None = None
    alias_id: str | None = None


class Authorship:
    """Checks and displays authors without revealing the author of an anonymous post or comment.

    The real author is read only to compare it with the caller.
    """

    def __init__(self, authors: Authors, aliases: Aliases, names: Names) -> None:
        self._authors = authors
        self._aliases = aliases
        self._names = names

    @staticmethod
    def is_anonymous_act(caller: Caller, requested: bool | UnsetType) -> bool:
        """Returns True if the caller is an anonymous user or requests to write anonymously.

        Raises Problem 403 if an anonymous user sets `isAnonymous` to false.
        """
        if not caller.is_anonymous:
            return requested is True
        if requested is False:
            raise Problem.forbidden(
                "Anonymous users can only write anonymously.", "anonymous_not_allowed"
            )
        return True

    def of_post(self, caller: Caller, post_id: str, *, anonymous: bool) -> Byline:
        """Returns the byline of a new post. Each anonymous post gets a separate alias."""
        return self._alias(caller, "post", post_id) if anonymous else _public(caller)

    def of_comment(self, caller: Caller, post: Post, *, anonymous: bool) -> Byline:
        """Returns the byline of a new comment.

        All anonymous comments of a user on a post have the same alias. On a user's own anonymous
        post, this is the post's alias, so that authors cannot pose as someone else.
        """
        if not anonymous:
            return _public(caller)
        if post.is_anonymous and self.is_author(caller, post, post.post_id):
            return Byline(author_name=post.author_name, alias_id=post.alias_id)
        return self._alias(caller, "comment", post.post_id)

    def is_author(self, caller: Caller, item: Authored, item_id: str) -> bool:
        if item.is_anonymous:
            return self._authors.author_of(item_id) == caller.user_id
        return item.author_id == caller.user_id

    def check_author(self, caller: Caller, item: Authored, item_id: str) -> None:
        """Raises Problem 403 if the caller is not the author of the item."""
        if not self.is_author(caller, item, item_id):
            raise Problem.forbidden("Only the author can change this.", "not_the_author")

    def deleting_actor(self, caller: Caller, item: Authored, item_id: str) -> str:
        """Returns the actor id for the event that reports the deletion.

        Raises Problem 403 if the caller is neither the author nor a moderator.
        """
        if self.is_author(caller, item, item_id):
            return item.actor_id
        if caller.roles.isdisjoint({PLATFORM_MODERATOR, PLATFORM_ADMIN}):
            raise Problem.forbidden(
                "Only the author and moderators can delete this.", "not_the_author"
            )
        return caller.user_id

    def names(self, items: Sequence[Authored], viewer: Caller) -> list[str]:
        """Returns the author's name for each item: an alias, or a name that `viewer` may see."""
        stored = {item.author_id: item.author_name for item in items if item.author_id is not None}
        visible = self._names.display_names(stored, viewer, stored) if stored else {}
        return [
            item.author_name if item.author_id is None else visible[item.author_id]
            for item in items
        ]

    def _alias(self, caller: Caller, context_type: ContextType, context: str) -> Byline:
        alias = self._aliases.get_or_create(caller.user_id, context_type, context)
        return Byline(author_name=alias.display_name, alias_id=alias.alias_id)


def shown_id(id_: str | None) -> str | UnsetType:
    """Returns the id, or UNSET for None, so that the response omits the field."""
    return UNSET if id_ is None else id_


def _public(caller: Caller) -> Byline:
    return Byline(author_name=caller.display_name, author_id=caller.user_id)
