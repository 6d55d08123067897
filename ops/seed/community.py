"""Loads the data of the demonstration community from community.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

FOLDER = Path(__file__).parent


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(_Entry):
    """A chat message. `reactions` maps the key of a person to an emoji."""

    author: str
    content: str
    reactions: dict[str, str] = {}


class Room(_Entry):
    """A chat room with its history, oldest message first."""

    name: str
    description: str
    type: str
    owner: str
    members: tuple[str, ...]
    messages: tuple[Message, ...]


class Comment(_Entry):
    author: str
    content: str


class Post(_Entry):
    author: str
    title: str | None = None
    content: str
    tags: tuple[str, ...]
    picture: str | None = None
    likes: tuple[str, ...]
    comments: tuple[Comment, ...]


class Rating(_Entry):
    author: str
    stars: int
    comment: str


class Listing(_Entry):
    seller: str
    title: str
    description: str
    price: dict[str, Any]
    category: str
    condition: str
    tags: tuple[str, ...]
    picture: str
    wishlists: tuple[str, ...]
    ratings: tuple[Rating, ...]


class Community(_Entry):
    """All demonstration data. People are referred to by their keys in `people`."""

    people: dict[str, dict[str, Any]]
    """Bodies for PATCH /v1/profile, by the key of the person."""
    rooms: tuple[Room, ...]
    posts: tuple[Post, ...]
    listings: tuple[Listing, ...]


def load_community() -> Community:
    """Returns the data of community.yml."""
    text = (FOLDER / "community.yml").read_text(encoding="utf-8")
    return Community.model_validate(yaml.safe_load(text))


def read_picture(name: str) -> bytes:
    """Returns the content of the file pictures/NAME.png."""
    return (FOLDER / "pictures" / f"{name}.png").read_bytes()


def address(person: str) -> str:
    """Returns the email address of a person. The domain is reserved (RFC 2606)."""
    return f"{person}@demo.invalid"
