"""What the service's events say. Of an anonymous item's author they say nothing: the actor is the alias, and no id is given."""

from typing import Any

from lambdas.post.records import Authored, Comment, Post


def post_data(post: Post) -> dict[str, Any]:
    """The data of PostCreated, PostDeleted, PostLiked and PostUnliked."""
    return {"postId": post.post_id, **_authorship(post)}


def comment_data(comment: Comment, post: Post | None = None) -> dict[str, Any]:
    """The data of CommentCreated and CommentDeleted. `post` is given where its author is to be told of it."""
    told = {"postAuthorId": post.author_id} if post and post.author_id else {}
    return {
        "postId": comment.post_id,
        "commentId": comment.comment_id,
        "parentId": comment.parent_id,
        **_authorship(comment),
        **told,
    }


def _authorship(item: Authored) -> dict[str, Any]:
    return {
        "isAnonymous": item.is_anonymous,
        **({"authorId": item.author_id} if item.author_id else {}),
    }
