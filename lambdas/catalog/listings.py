"""The catalog's data in PostgreSQL.

SQL statements consist only of constants of this module. All values are bound parameters.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lambdas.catalog.models import InquiryView, RatingEntryView
from lambdas.catalog.outbox import add_events
from lambdas.common.clock import timestamp
from lambdas.common.messaging.events import Event
from lambdas.common.storage.database import Database, constraint
from lambdas.common.web.http import AlreadyCreatedError


class NewListing(Struct, frozen=True, kw_only=True):
    """A listing to create. `images` are S3 keys."""

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
    """A stored listing. Times are in milliseconds since the epoch."""

    status: str
    rating_sum: int
    rating_count: int
    version: int
    created_at: int
    updated_at: int


class Changes(Struct, frozen=True, kw_only=True):
    """New values of a listing's columns. UNSET keeps the current value."""

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
    """A category. `listings` counts its active listings, but not its subcategories' listings."""

    slug: str
    name: str
    parent: str | None
    listings: int


class Search(Struct, frozen=True, kw_only=True):
    """The query for a page of listings that match all filters, sorted by `sort`.

    A listing must be in one of `categories`. `own` is True if the caller is the seller. Reserved
    and sold listings are then included. `after` is the position of the previous page's last
    `ListEntry`.
    """

    sort: str
    limit: int
    q: str | None = None
    categories: Sequence[str] | None = None
    currency: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    seller_id: str | None = None
    own: bool = False
    after: tuple[Any, str] | None = None


class ListEntry(Struct, frozen=True):
    """A listing in a list, and its position: its sort value and id."""

    listing: Listing
    position: tuple[Any, str]


class RatedListing(Struct, frozen=True):
    """A rated listing, and the time of the rating in milliseconds since the epoch."""

    listing: Listing
    rated_at: int


class Inquiry(Struct, frozen=True, kw_only=True):
    """A message to the seller. `created_at` is in milliseconds since the epoch."""

    inquiry_id: str
    sender_id: str
    message: str
    created_at: int

    @property
    def position(self) -> tuple[int, str]:
        return self.created_at, self.inquiry_id

    def view(self) -> InquiryView:
        return InquiryView(
            inquiry_id=self.inquiry_id,
            sender_id=self.sender_id,
            message=self.message,
            created_at=timestamp(self.created_at / 1000),
        )


class Rating(Struct, frozen=True, kw_only=True):
    """A rating with its comment. `created_at` is in milliseconds since the epoch."""

    user_id: str
    stars: int
    comment: str | None
    created_at: int

    @property
    def position(self) -> tuple[int, str]:
        return self.created_at, self.user_id

    def view(self) -> RatingEntryView:
        return RatingEntryView(
            user_id=self.user_id,
            stars=self.stars,
            comment=self.comment,
            created_at=timestamp(self.created_at / 1000),
        )


Entry = Inquiry | Rating


class UnknownCategoryError(Exception):
    """The category of the listing does not exist."""


class AlreadyRatedError(Exception):
    """The user has already rated this listing."""


# Each row is selected as one JSON text, because the driver decodes arrays and times slowly.
_ROW = """json_build_object(
    'listing_id', replace(l.listing_id::text, '-', ''), 'seller_id', l.seller_id,
    'title', l.title, 'description', l.description, 'price_amount', l.price_amount,
    'price_currency', l.price_currency, 'category', l.category, 'tags', l.tags, 'images', l.images,
    'condition', l.condition, 'status', l.status, 'rating_sum', l.rating_sum,
    'rating_count', l.rating_count, 'version', l.version,
    'created_at', floor(extract(epoch FROM l.created_at) * 1000)::bigint,
    'updated_at', floor(extract(epoch FROM l.updated_at) * 1000)::bigint
)::text"""

_GET = f"""
SELECT {_ROW} FROM catalog.listings l
WHERE l.listing_id = :listing_id::uuid AND l.status <> 'removed'
"""  # noqa: S608

_COLUMNS = NewListing.__struct_fields__
_CASTS = {"listing_id": "::uuid", "tags": "::text[]", "images": "::text[]"}
_INSERT = f"""
INSERT INTO catalog.listings AS l ({", ".join(_COLUMNS)})
VALUES ({", ".join(f":{name}{_CASTS.get(name, '')}" for name in _COLUMNS)}) RETURNING {_ROW}
"""  # noqa: S608

_RATE = """
INSERT INTO catalog.ratings (listing_id, user_id, stars, comment)
VALUES (:listing_id::uuid, :user_id, :stars, :comment)
RETURNING floor(extract(epoch FROM created_at) * 1000)::bigint
"""
_COUNT_RATING = f"""
UPDATE catalog.listings AS l SET rating_sum = rating_sum + :stars, rating_count = rating_count + 1
WHERE l.listing_id = :listing_id::uuid AND l.status <> 'removed' RETURNING {_ROW}
"""  # noqa: S608

# Locks the listing while the wish is stored. A concurrent request that removes the listing waits
# for the lock, and then also deletes the wish.
_WISH = """
WITH found AS (
    SELECT listing_id FROM catalog.listings
    WHERE listing_id = :listing_id::uuid AND status <> 'removed' FOR SHARE
), added AS (
    INSERT INTO catalog.wishes (user_id, listing_id)
    SELECT :user_id, listing_id FROM found ON CONFLICT DO NOTHING
)
SELECT count(*) FROM found
"""
_UNWISH = "DELETE FROM catalog.wishes WHERE user_id = :user_id AND listing_id = :listing_id::uuid"
_DELETE_WISHES = "DELETE FROM catalog.wishes WHERE listing_id = :listing_id::uuid"

_INQUIRE = """
INSERT INTO catalog.inquiries (inquiry_id, listing_id, sender_id, message)
VALUES (:inquiry_id::uuid, :listing_id::uuid, :sender_id, :message)
ON CONFLICT DO NOTHING RETURNING 1
"""
_TIME = "to_timestamp(:after::bigint / 1000.0)"
_MILLISECONDS = "floor(extract(epoch FROM created_at) * 1000)::bigint"


def _entries(columns: str, table: str, key: str, condition: str) -> str:
    # Both sort keys are descending, so that PostgreSQL reads the index backwards and does not sort.
    return f"""
    SELECT {columns}, {_MILLISECONDS} FROM catalog.{table}
    WHERE listing_id = :listing_id::uuid {condition}
    ORDER BY created_at DESC, {key} DESC LIMIT :limit::bigint
    """  # noqa: S608


_ENTRIES_AFTER = f"AND (created_at, {{key}}) < ({_TIME}, :after_id{{cast}})"
_INQUIRIES = ("replace(inquiry_id::text, '-', ''), sender_id, message", "inquiries", "inquiry_id")
_RATINGS = ("user_id, stars, comment", "ratings", "user_id")
INQUIRIES = _entries(*_INQUIRIES, "")
INQUIRIES_AFTER = _entries(*_INQUIRIES, _ENTRIES_AFTER.format(key="inquiry_id", cast="::uuid"))
RATINGS = _entries(*_RATINGS, "")
_RATING = f"""
SELECT {_RATINGS[0]}, {_MILLISECONDS} FROM catalog.ratings
WHERE listing_id = :listing_id::uuid AND user_id = :user_id
"""  # noqa: S608
RATINGS_AFTER = _entries(*_RATINGS, _ENTRIES_AFTER.format(key="user_id", cast=""))

CATEGORIES = "SELECT slug, name, parent, listings FROM catalog.categories ORDER BY position, slug"


def _wishlist(condition: str) -> str:
    # Removing a listing deletes its wishes, so the join finds a listing for every wish.
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
    """A sort order by `column`.

    A page's cursor contains the column's value of the page's last listing, as JSON. `position` is
    the SQL expression that converts the column to JSON. `bound` is the SQL expression that converts
    the JSON value back to the column's type.
    """

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
        comparison = "<" if self.descending else ">"
        return f"({self.column}, listing_id) {comparison} ({self.bound}, :after_id::uuid)"


_ORDERS = {
    "newest": _Order(
        "created_at", "floor(extract(epoch FROM l.created_at) * 1000)::bigint", _TIME, True
    ),
    "price": _Order("price_amount", "l.price_amount", ":after::bigint", False),
    "-price": _Order("price_amount", "l.price_amount", ":after::bigint", True),
    "relevance": _Order("rank", "l.rank", ":after::float4", True),
}

RANKED_MATCHES = 2000
"""The number of newest matches that a search ranks, enough for 100 pages of 20. Without a limit, a
search for a frequent word would read and rank all listings that contain it."""

_MATCHES = "words @@ catalog.search_query(:q)"
# Whole words count more than the beginnings of words.
_RANK = """(ts_rank(words, catalog.exact_query(:q))
    + ts_rank(words, catalog.search_query(:q)) / 10)::float4"""


def search_statement(search: Search) -> tuple[str, dict[str, Any]]:
    """Returns the SQL statement for a page of listings, and its parameters.

    Every sort order except relevance reads an index, beginning at the position of the page.
    """
    order = _ORDERS[search.sort]
    values: dict[str, Any] = {"limit": search.limit}
    conditions = ["status <> 'removed'" if search.own else "status = 'active'"]

    def add_condition(condition: str, **bound: Any) -> None:
        if all(value is not None for value in bound.values()):
            conditions.append(condition)
            values.update(bound)

    add_condition(_MATCHES, q=search.q)
    add_condition("price_currency = :currency", currency=search.currency)
    add_condition("price_amount >= :min_price::bigint", min_price=search.min_price)
    add_condition("price_amount <= :max_price::bigint", max_price=search.max_price)
    add_condition("seller_id = :seller_id", seller_id=search.seller_id)
    if search.after:
        values["after"], values["after_id"] = search.after
    after = [order.after] if search.after else []
    end = f"ORDER BY {order.clause} LIMIT :limit::bigint"
    if search.sort == "relevance":
        # Only the inner query computes ranks, so the outer query excludes rows of earlier pages.
        add_condition("category = ANY(:categories::text[])", categories=search.categories)
        matches = f"""
            SELECT listing_id, {_RANK} AS rank FROM catalog.listings WHERE {_all(conditions)}
            ORDER BY created_at DESC, listing_id DESC LIMIT {RANKED_MATCHES}"""  # noqa: S608
        position = f"WHERE {order.after}" if after else ""
        best = f"SELECT * FROM ({matches}) m {position} {end}"  # noqa: S608
        rows = f"SELECT * FROM ({best}) m JOIN catalog.listings USING (listing_id)"  # noqa: S608
    elif search.categories and search.q is None and search.seller_id is None:
        # Reads the first rows of each category from the index, then selects the first of all these
        # rows.
        first = f"""
            SELECT * FROM catalog.listings
            WHERE category = c.slug AND {_all(conditions + after)} {end}"""  # noqa: S608
        rows = f"""
            SELECT l.* FROM unnest(:categories::text[]) AS c (slug)
            CROSS JOIN LATERAL ({first}) l {end}"""  # noqa: S608
        values["categories"] = search.categories
    else:
        add_condition("category = ANY(:categories::text[])", categories=search.categories)
        rows = f"SELECT * FROM catalog.listings WHERE {_all(conditions + after)} {end}"  # noqa: S608
    # Converts only the rows of the page to JSON.
    sql = f"SELECT {_ROW}, {order.position} FROM ({rows}) l ORDER BY {order.clause}"  # noqa: S608
    return sql, values


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions)


class ListingStore:
    """Stores listings, wishes, ratings and inquiries, each in one transaction with its events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, listing_id: str) -> Listing | None:
        """Returns the listing, or None if it does not exist or was removed."""
        return _one(self._database.read(_GET, listing_id=listing_id))

    def search(self, search: Search) -> list[ListEntry]:
        sql, values = search_statement(search)
        return [_list_entry(row, position) for row, position in self._database.read(sql, **values)]

    def list_categories(self) -> list[Category]:
        """Returns all categories. Categories with the same parent are in display order."""
        return [Category(*row) for row in self._database.read(CATEGORIES)]

    def list_wishlist(
        self, user_id: str, limit: int, after: tuple[int, str] | None
    ) -> list[ListEntry]:
        """Returns the listings on the user's wishlist, the latest wish first."""
        values: dict[str, Any] = {"user_id": user_id, "limit": limit}
        if after:
            values["after"], values["after_id"] = after
        rows = self._database.read(WISHLIST_AFTER if after else WISHLIST, **values)
        return [_list_entry(row, position) for row, position in rows]

    def add(self, new: NewListing, events: Sequence[Event]) -> Listing:
        """Stores a listing.

        Raises UnknownCategoryError, or AlreadyCreatedError if a listing with this id exists.
        """
        with _constraints(), self._database.transaction() as run:
            listing = _one(run(_INSERT, **msgspec.structs.asdict(new)))
            add_events(run, events)
        assert listing is not None
        return listing

    def change(self, listing: Listing, changes: Changes, events: Sequence[Event]) -> Listing | None:
        """Writes the changes of a listing. Returns None if it has changed since it was read.

        Raises UnknownCategoryError.
        """
        names = [
            name for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET
        ]
        assignments = [f"{name} = :{name}{_CASTS.get(name, '')}" for name in names]
        assignments += ["version = version + 1", "updated_at = now()"]
        sql = f"""
            UPDATE catalog.listings AS l SET {", ".join(assignments)}
            WHERE l.listing_id = :listing_id::uuid AND l.version = :expected
            AND l.status <> 'removed' RETURNING {_ROW}
        """  # noqa: S608
        values = {name: getattr(changes, name) for name in names}
        with _constraints(), self._database.transaction() as run:
            changed = _one(
                run(sql, listing_id=listing.listing_id, expected=listing.version, **values)
            )
            if changed is None:
                return None
            if changed.status == "removed":
                run(_DELETE_WISHES, listing_id=listing.listing_id)
            add_events(run, events)
        return changed

    def rate(
        self,
        listing_id: str,
        user_id: str,
        stars: int,
        comment: str | None,
        events: Sequence[Event],
    ) -> RatedListing | None:
        """Adds a rating to a listing. Returns the listing, or None if it does not exist.

        Raises AlreadyRatedError.
        """
        with _constraints(), self._database.transaction() as run:
            # Updating the listing first serializes concurrent ratings.
            listing = _one(run(_COUNT_RATING, listing_id=listing_id, stars=stars))
            if listing is None:
                return None
            [[rated_at]] = run(
                _RATE, listing_id=listing_id, user_id=user_id, stars=stars, comment=comment
            )
            add_events(run, events)
        return RatedListing(listing, rated_at)

    def find_rating(self, listing_id: str, user_id: str) -> Rating | None:
        """Returns the user's rating of a listing, or None if the user has not rated it."""
        rows = self._database.read(_RATING, listing_id=listing_id, user_id=user_id)
        return _to_rating(rows[0]) if rows else None

    def wish(self, user_id: str, listing_id: str) -> bool:
        """Adds a listing to the user's wishlist. Idempotent.

        Returns False if the listing does not exist or was removed.
        """
        with self._database.transaction() as run:
            [[matches]] = run(_WISH, user_id=user_id, listing_id=listing_id)
        return bool(matches)

    def unwish(self, user_id: str, listing_id: str) -> None:
        with self._database.transaction() as run:
            run(_UNWISH, user_id=user_id, listing_id=listing_id)

    def list_inquiries(
        self, listing_id: str, limit: int, after: tuple[int, str] | None
    ) -> list[Inquiry]:
        """Returns the messages to the seller of a listing, newest first."""
        rows = self._entries(INQUIRIES, INQUIRIES_AFTER, listing_id, limit, after)
        return [Inquiry(**dict(zip(Inquiry.__struct_fields__, r, strict=True))) for r in rows]

    def list_ratings(
        self, listing_id: str, limit: int, after: tuple[int, str] | None
    ) -> list[Rating]:
        """Returns the ratings of a listing, newest first."""
        rows = self._entries(RATINGS, RATINGS_AFTER, listing_id, limit, after)
        return [_to_rating(row) for row in rows]

    def _entries(
        self,
        first: str,
        following: str,
        listing_id: str,
        limit: int,
        after: tuple[int, str] | None,
    ) -> list[list[Any]]:
        values: dict[str, Any] = {"listing_id": listing_id, "limit": limit}
        if after:
            values["after"], values["after_id"] = after
        return self._database.read(following if after else first, **values)

    def inquire(
        self,
        inquiry_id: str,
        listing_id: str,
        sender_id: str,
        message: str,
        events: Sequence[Event],
    ) -> bool:
        """Stores a message to the seller. Returns False if it is already stored."""
        with self._database.transaction() as run:
            is_new = bool(
                run(
                    _INQUIRE,
                    inquiry_id=inquiry_id,
                    listing_id=listing_id,
                    sender_id=sender_id,
                    message=message,
                )
            )
            if is_new:
                add_events(run, events)
        return is_new


@contextmanager
def _constraints() -> Iterator[None]:
    """Translates constraint violations to errors of this module."""
    errors: dict[str | None, type[Exception]] = {
        "ratings_once": AlreadyRatedError,
        "listings_category_exists": UnknownCategoryError,
        "listings_pkey": AlreadyCreatedError,
    }
    try:
        yield
    except Exception as error:
        translated = errors.get(constraint(error))
        if translated is None:
            raise
        raise translated from error


def _one(rows: Sequence[Sequence[Any]]) -> Listing | None:
    return msgspec.json.decode(rows[0][0], type=Listing) if rows else None


def _to_rating(row: Sequence[Any]) -> Rating:
    return Rating(**dict(zip(Rating.__struct_fields__, row, strict=True)))


def _list_entry(row: str, position: Any) -> ListEntry:
    listing = msgspec.json.decode(row, type=Listing)
    return ListEntry(listing, (position, listing.listing_id))
