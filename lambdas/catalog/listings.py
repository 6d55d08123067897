"""The catalog's data in PostgreSQL. SQL is put together from the constants of this module alone; every value is bound."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lambdas.catalog.outbox import NewEvent, add_events
from lambdas.common.storage.database import constraint


class NewListing(Struct, frozen=True, kw_only=True):
    """A listing as its seller makes it; images by their keys."""

    listing_id: str
    seller_id: str
    title: str
    description: str
    price_amount: int
    price_currency: str
    category: str
    tags: list[str]
    images: list[str]
    condition: str | None


class Listing(NewListing, frozen=True, kw_only=True):
    """A listing as it is stored; times in milliseconds since the epoch."""

    status: str
    rating_sum: int
    rating_count: int
    version: int
    created_at: int
    updated_at: int


class Changes(Struct, frozen=True, kw_only=True):
    """New values of columns; UNSET stays as it is."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    price_amount: int | UnsetType = UNSET
    price_currency: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    images: list[str] | UnsetType = UNSET
    condition: str | UnsetType | None = UNSET
    status: str | UnsetType = UNSET


class Category(Struct, frozen=True):
    """`listings`: how many active listings are in this very category."""

    slug: str
    name: str
    parent: str | None
    listings: int


class Search(Struct, frozen=True, kw_only=True):
    """A page of listings: those that meet every filter given, in the order of `sort`, behind the position `after`.

    `categories` are alternatives. `own`: the seller asks, and sees what is reserved or sold as well. `after` holds the last item's sort
    value and id, as `Found` has them.
    """

    sort: str
    limit: int
    q: str | None = None
    categories: Sequence[str] | None = None
    min_price: int | None = None
    max_price: int | None = None
    seller_id: str | None = None
    own: bool = False
    after: tuple[Any, str] | None = None


class Found(Struct, frozen=True):
    """A listing in a list, and its place in the list's order."""

    listing: Listing
    position: tuple[Any, str]


class Rated(Struct, frozen=True):
    """A listing after it was rated, and when that was, in milliseconds since the epoch."""

    listing: Listing
    rated_at: int


class UnknownCategoryError(Exception):
    """There is no such category."""


class AlreadyRatedError(Exception):
    """The user has rated this listing before."""


class DatabaseAccess(Protocol):
    """The connection, as the store uses it."""

    def read(self, sql: str, **values: Any) -> list[list[Any]]: ...

    def transaction(self) -> Any: ...


# One value of text for a row: the driver decodes arrays and times in Python, character by character.
_ROW = """json_build_object(
    'listing_id', replace(l.listing_id::text, '-', ''), 'seller_id', l.seller_id, 'title', l.title, 'description', l.description,
    'price_amount', l.price_amount, 'price_currency', l.price_currency, 'category', l.category, 'tags', l.tags, 'images', l.images,
    'condition', l.condition, 'status', l.status, 'rating_sum', l.rating_sum, 'rating_count', l.rating_count, 'version', l.version,
    'created_at', floor(extract(epoch FROM l.created_at) * 1000)::bigint,
    'updated_at', floor(extract(epoch FROM l.updated_at) * 1000)::bigint
)::text"""

_GET = f"SELECT {_ROW} FROM catalog.listings l WHERE l.listing_id = :listing_id::uuid AND l.status <> 'removed'"  # noqa: S608

_COLUMNS = NewListing.__struct_fields__
_CASTS = {"listing_id": "::uuid", "tags": "::text[]", "images": "::text[]"}
_INSERT = f"""
INSERT INTO catalog.listings AS l ({", ".join(_COLUMNS)})
VALUES ({", ".join(f":{name}{_CASTS.get(name, '')}" for name in _COLUMNS)}) RETURNING {_ROW}
"""  # noqa: S608

_RATE = """
INSERT INTO catalog.ratings (listing_id, user_id, stars, comment) VALUES (:listing_id::uuid, :user_id, :stars, :comment)
RETURNING floor(extract(epoch FROM created_at) * 1000)::bigint
"""
_COUNT_RATING = f"""
UPDATE catalog.listings AS l SET rating_sum = rating_sum + :stars, rating_count = rating_count + 1
WHERE l.listing_id = :listing_id::uuid AND l.status <> 'removed' RETURNING {_ROW}
"""  # noqa: S608

# The listing is held until the wish is stored, so that it is not removed in between and leaves a wish behind.
_WISH = """
WITH found AS (
    SELECT listing_id FROM catalog.listings WHERE listing_id = :listing_id::uuid AND status <> 'removed' FOR SHARE
), added AS (
    INSERT INTO catalog.wishes (user_id, listing_id) SELECT :user_id, listing_id FROM found ON CONFLICT DO NOTHING
)
SELECT count(*) FROM found
"""
_UNWISH = "DELETE FROM catalog.wishes WHERE user_id = :user_id AND listing_id = :listing_id::uuid"
_FORGET_WISHES = "DELETE FROM catalog.wishes WHERE listing_id = :listing_id::uuid"

_INQUIRE = """
INSERT INTO catalog.inquiries (inquiry_id, listing_id, sender_id, message)
VALUES (:inquiry_id::uuid, :listing_id::uuid, :sender_id, :message)
"""
CATEGORIES = "SELECT slug, name, parent, listings FROM catalog.categories ORDER BY position, slug"

_TIME = "to_timestamp(:after::bigint / 1000.0)"


def _wishlist(condition: str) -> str:
    # Whoever removes a listing removes the wishes for it: none is missing in a page.
    return f"""
    SELECT {_ROW}, floor(extract(epoch FROM w.created_at) * 1000)::bigint FROM (
        SELECT listing_id, created_at FROM catalog.wishes WHERE user_id = :user_id {condition}
        ORDER BY created_at DESC, listing_id DESC LIMIT :limit::bigint
    ) w JOIN catalog.listings l USING (listing_id)
    ORDER BY w.created_at DESC, w.listing_id DESC
    """  # noqa: S608


WISHLIST = _wishlist("")
WISHLIST_AFTER = _wishlist(f"AND (created_at, listing_id) < ({_TIME}, :after_id::uuid)")


class _Order(Struct, frozen=True):
    """A sort order. `column` is the sort value, `position` gives it as JSON has it, `bound` makes it of that again."""

    column: str
    position: str
    bound: str
    descending: bool

    @property
    def clause(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"{self.column} {direction}, listing_id {direction}"

    @property
    def after(self) -> str:
        return f"({self.column}, listing_id) {'<' if self.descending else '>'} ({self.bound}, :after_id::uuid)"


_ORDERS = {
    "newest": _Order(
        "created_at", "floor(extract(epoch FROM l.created_at) * 1000)::bigint", _TIME, True
    ),
    "price": _Order("price_amount", "l.price_amount", ":after::bigint", False),
    "-price": _Order("price_amount", "l.price_amount", ":after::bigint", True),
    "relevance": _Order("rank", "l.rank", ":after::float4", True),
}

RANKED = 2000
"""So many of the newest matches are ranked. A word that stands in more listings than that would make every search for it read, and
rank, all of them; few read on to the 100th page of 20."""

_MATCHES = "search @@ websearch_to_tsquery('english', :q)"
_RANK = "ts_rank(search, websearch_to_tsquery('english', :q))"


def search_statement(search: Search) -> tuple[str, dict[str, Any]]:
    """The SQL of a page and its values. Each order goes along an index from the position on; nothing before it is read."""
    order = _ORDERS[search.sort]
    values: dict[str, Any] = {"limit": search.limit}
    conditions = ["status <> 'removed'" if search.own else "status = 'active'"]

    def where(condition: str, **bound: Any) -> None:
        if all(value is not None for value in bound.values()):
            conditions.append(condition)
            values.update(bound)

    where(_MATCHES, q=search.q)
    where("price_amount >= :min_price::bigint", min_price=search.min_price)
    where("price_amount <= :max_price::bigint", max_price=search.max_price)
    where("seller_id = :seller_id", seller_id=search.seller_id)
    if search.after:
        values["after"], values["after_id"] = search.after
    after = [order.after] if search.after else []
    end = f"ORDER BY {order.clause} LIMIT :limit::bigint"
    if search.sort == "relevance":
        # The rank is known only once a row has been found: the position is a condition on what was found.
        where("category = ANY(:categories::text[])", categories=search.categories)
        matches = f"""
            SELECT listing_id, {_RANK} AS rank FROM catalog.listings WHERE {_all(conditions)}
            ORDER BY created_at DESC, listing_id DESC LIMIT {RANKED}"""  # noqa: S608
        best = f"SELECT * FROM ({matches}) m {'WHERE ' + order.after if after else ''} {end}"  # noqa: S608
        rows = f"SELECT * FROM ({best}) m JOIN catalog.listings USING (listing_id)"  # noqa: S608
    elif search.categories and search.q is None and search.seller_id is None:
        # The first rows of each category, which its index has in this order; then the first of those.
        first = f"SELECT * FROM catalog.listings WHERE category = c.slug AND {_all(conditions + after)} {end}"  # noqa: S608
        rows = f"SELECT l.* FROM unnest(:categories::text[]) AS c (slug) CROSS JOIN LATERAL ({first}) l {end}"  # noqa: S608
        values["categories"] = search.categories
    else:
        where("category = ANY(:categories::text[])", categories=search.categories)
        rows = f"SELECT * FROM catalog.listings WHERE {_all(conditions + after)} {end}"  # noqa: S608
    # Rows become JSON only here, when they are few.
    return f"SELECT {_ROW}, {order.position} FROM ({rows}) l ORDER BY {order.clause}", values  # noqa: S608


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions)


class ListingStore:
    """Listings and what belongs to them. What raises events stores them in the same transaction."""

    def __init__(self, database: DatabaseAccess) -> None:
        self._database = database

    def find(self, listing_id: str) -> Listing | None:
        """The listing, unless it was removed."""
        return _one(self._database.read(_GET, listing_id=listing_id))

    def search(self, search: Search) -> list[Found]:
        sql, values = search_statement(search)
        return [_found(row, position) for row, position in self._database.read(sql, **values)]

    def categories(self) -> list[Category]:
        """All categories, those of one parent in their order."""
        return [Category(*row) for row in self._database.read(CATEGORIES)]

    def wishlist(self, user_id: str, limit: int, after: tuple[int, str] | None) -> list[Found]:
        """The listings that the user wishes for, the latest wish first."""
        values: dict[str, Any] = {"user_id": user_id, "limit": limit}
        if after:
            values["after"], values["after_id"] = after
        rows = self._database.read(WISHLIST_AFTER if after else WISHLIST, **values)
        return [_found(row, position) for row, position in rows]

    def add(self, new: NewListing, events: Sequence[NewEvent]) -> Listing:
        """Raises UnknownCategoryError."""
        with _constraints(), self._database.transaction() as run:
            listing = _one(run(_INSERT, **msgspec.structs.asdict(new)))
            add_events(run, events)
        assert listing is not None
        return listing

    def change(
        self, listing: Listing, changes: Changes, events: Sequence[NewEvent]
    ) -> Listing | None:
        """Writes the changes unless the listing has changed since it was read (its version): None then.

        Raises UnknownCategoryError.
        """
        names = [
            name for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET
        ]
        assignments = [f"{name} = :{name}{_CASTS.get(name, '')}" for name in names]
        sql = f"""
            UPDATE catalog.listings AS l SET {", ".join([*assignments, "version = version + 1", "updated_at = now()"])}
            WHERE l.listing_id = :listing_id::uuid AND l.version = :expected AND l.status <> 'removed' RETURNING {_ROW}
        """  # noqa: S608
        values = {name: getattr(changes, name) for name in names}
        with _constraints(), self._database.transaction() as run:
            changed = _one(
                run(sql, listing_id=listing.listing_id, expected=listing.version, **values)
            )
            if changed is None:
                return None
            if changed.status == "removed":
                run(_FORGET_WISHES, listing_id=listing.listing_id)
            add_events(run, events)
        return changed

    def rate(
        self,
        listing_id: str,
        user_id: str,
        stars: int,
        comment: str | None,
        events: Sequence[NewEvent],
    ) -> Rated | None:
        """The listing with the rating counted in, None where there is none (any more). Raises AlreadyRatedError."""
        with _constraints(), self._database.transaction() as run:
            # The listing first: whoever rates it at the same time waits here, and then counts on.
            listing = _one(run(_COUNT_RATING, listing_id=listing_id, stars=stars))
            if listing is None:
                return None
            [[rated_at]] = run(
                _RATE, listing_id=listing_id, user_id=user_id, stars=stars, comment=comment
            )
            add_events(run, events)
        return Rated(listing, rated_at)

    def wish(self, user_id: str, listing_id: str) -> bool:
        """Whether there is such a listing; wishing twice is wishing once."""
        with self._database.transaction() as run:
            [[found]] = run(_WISH, user_id=user_id, listing_id=listing_id)
        return bool(found)

    def unwish(self, user_id: str, listing_id: str) -> None:
        with self._database.transaction() as run:
            run(_UNWISH, user_id=user_id, listing_id=listing_id)

    def inquire(
        self,
        inquiry_id: str,
        listing_id: str,
        sender_id: str,
        message: str,
        events: Sequence[NewEvent],
    ) -> None:
        """Keeps a message to the seller."""
        with self._database.transaction() as run:
            run(
                _INQUIRE,
                inquiry_id=inquiry_id,
                listing_id=listing_id,
                sender_id=sender_id,
                message=message,
            )
            add_events(run, events)


@contextmanager
def _constraints() -> Iterator[None]:
    """Says what a broken constraint means."""
    meanings = {"ratings_once": AlreadyRatedError, "listings_category_exists": UnknownCategoryError}
    try:
        yield
    except Exception as error:
        meaning = meanings.get(constraint(error))
        if meaning is None:
            raise
        raise meaning from error


def _one(rows: Sequence[Sequence[Any]]) -> Listing | None:
    return msgspec.json.decode(rows[0][0], type=Listing) if rows else None


def _found(row: str, position: Any) -> Found:
    listing = msgspec.json.decode(row, type=Listing)
    return Found(listing, (position, listing.listing_id))
