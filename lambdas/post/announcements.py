"""Builds the data of the post service's events.

For an anonymous post or comment, the author's id is omitted.
"""

from typing import Any

from lambdas.post.records import Authored, Comment, Post


def post_data(post: Post) -> dict[str, Any]:
    """Returns the data of PostCreated, PostDeleted, PostLiked and PostUnliked."""
    return {"postId": post.post_id, **_authorship(post)}


def comment_data(comment: Comment, post: Post | None = None) -> dict[str, Any]:
    """Returns the data of CommentCreated and CommentDeleted.

    With `post`, the data also contains the id of the post's author, so that this user can be
    notified.
    """
    recipient = {"postAuthorId": post.author_id} if post and post.author_id else {}
    return {
        "postId": comment.post_id,
        "commentId": comment.comment_id,
        "parentId": comment.parent_id,
        **_authorship(comment),
        **recipient,
    }


def removed_likes_data(post_id: str, author_id: str, likes: int) -> dict[str, Any]:
    """Returns the data of PostLikesRemoved, which reports how many likes a deleted post had.

    The event is not published for anonymous posts.
    """
    return {"postId": post_id, "authorId": author_id, "likes": likes}


def _authorship(item: Authored) -> dict[str, Any]:
    return {
        "isAnonymous": item.is_anonymous,
        **({"authorId": item.author_id} if item.author_id else {}),
    }
