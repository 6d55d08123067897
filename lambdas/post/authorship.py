"""Who wrote something: who may change it, and by which name it is shown."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import UNSET, Struct, UnsetType

from lambdas.common.caller import ADMIN, MODERATOR, Caller
from lambdas.common.people.aliases import Alias, ContextType
from lambdas.common.problems import Problem
from lambdas.post.records import Authored, Post


class Authors(Protocol):
    """Who stands behind anonymous items."""

    def author_of(self, item_id: str) -> str | None: ...


class Aliases(Protocol):
    def alias(self, user_id: str, context_type: ContextType, context: str) -> Alias: ...


class Names(Protocol):
    def display_names(
        self, user_ids: Collection[str], viewer: Caller | None, earlier: Mapping[str, str]
    ) -> dict[str, str]: ...


class Byline(Struct, frozen=True, kw_only=True):
    """What an item keeps of its author."""

    author_name: str
    author_id: str | None = None
    alias_id: str | None = None


class Authorship:
    """An author is asked for by the item's id, and only to find out whether it is the caller; no answer tells who it is."""

    def __init__(self, authors: Authors, aliases: Aliases, names: Names) -> None:
        self._authors = authors
        self._aliases = aliases
        self._names = names

    @staticmethod
    def is_anonymous_act(caller: Caller, wish: bool | UnsetType) -> bool:
        """Whether the caller writes anonymously: as wished, and always where the caller is an anonymous user.

        Raises Problem 403 when such a user wishes otherwise.
        """
        if not caller.is_anonymous:
            return wish is True
        if wish is False:
            raise Problem.forbidden("Anonymous users write anonymously.", "anonymous_not_allowed")
        return True

    def of_post(self, caller: Caller, post_id: str, *, anonymous: bool) -> Byline:
        """The byline of a new post. Each anonymous post has an alias of its own."""
        return self._alias(caller, "post", post_id) if anonymous else _public(caller)

    def of_comment(self, caller: Caller, post: Post, *, anonymous: bool) -> Byline:
        """The byline of a new comment.

        A user's anonymous comments below one post have one alias; where the post is the user's own and anonymous too, it is the
        post's, so that nobody can speak below their own post as if they were somebody else.
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
        """Raises Problem 403 unless the caller wrote it."""
        if not self.is_author(caller, item, item_id):
            raise Problem.forbidden("Only its author may change it.", "not_the_author")

    def deleting_actor(self, caller: Caller, item: Authored, item_id: str) -> str:
        """Who deletes it, as events name one. Raises Problem 403 unless the caller wrote it or moderates."""
        if self.is_author(caller, item, item_id):
            return item.actor_id
        if caller.roles.isdisjoint({MODERATOR, ADMIN}):
            raise Problem.forbidden(
                "Only its author and moderators may delete it.", "not_the_author"
            )
        return caller.user_id

    def names(self, items: Sequence[Authored], viewer: Caller) -> list[str]:
        """The name to show for each item's author: the alias, or what the author's profile shows to the viewer."""
        written = {item.author_id: item.author_name for item in items if item.author_id is not None}
        shown = self._names.display_names(written, viewer, written) if written else {}
        return [
            item.author_name if item.author_id is None else shown[item.author_id] for item in items
        ]

    def _alias(self, caller: Caller, context_type: ContextType, context: str) -> Byline:
        alias = self._aliases.alias(caller.user_id, context_type, context)
        return Byline(author_name=alias.display_name, alias_id=alias.alias_id)


def shown_id(item: Authored) -> str | UnsetType:
    """The author's id as answers have it: absent from an anonymous item."""
    return UNSET if item.author_id is None else item.author_id


def _public(caller: Caller) -> Byline:
    return Byline(author_name=caller.display_name, author_id=caller.user_id)
