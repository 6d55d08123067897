"""The rules for listings, categories, wishlists and ratings, independent of HTTP and AWS."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from msgspec import UNSET, UnsetType, structs

from lambdas.catalog.currencies import CURRENCIES
from lambdas.catalog.listings import (
    AlreadyRatedError,
    Category,
    Changes,
    Entry,
    Inquiry,
    ListEntry,
    Listing,
    ListingStore,
    NewListing,
    RatedListing,
    Rating,
    Search,
    UnknownCategoryError,
)
from lambdas.catalog.models import (
    CategoryView,
    CreateListing,
    InquiryView,
    ListingQuery,
    ListingView,
    Price,
    RatingEntryView,
    RatingView,
    UpdateListing,
)
from lambdas.common.caller import Caller
from lambdas.common.clock import new_id, timestamp
from lambdas.common.logs import Logger
from lambdas.common.messaging.events import Event, EventFactory
from lambdas.common.messaging.relay import Relay
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.uploads import ImageUpload, SignedUpload, StoredObject, new_uploads
from lambdas.common.web.http import AlreadyCreatedError
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from lambdas.common.web.preconditions import IfMatch, repeat_if_changed

IMAGES_PREFIX = "images/catalog/"
"""The prefix of the S3 keys of images that CloudFront can read."""

TREE_MAX_AGE = 60.0
"""Seconds for which the category tree is cached. Only database migrations change categories."""

_TRANSITIONS: Mapping[str, frozenset[str]] = {
    "active": frozenset({"reserved", "sold", "removed"}),
    "reserved": frozenset({"active", "sold", "removed"}),
    # A sale is final, because ListingSold has been published and buyers can rate the listing.
    "sold": frozenset({"removed"}),
    "removed": frozenset(),
}
_ID_LENGTH = 32

E = TypeVar("E", bound=Entry)
V = TypeVar("V")


class _ListingChangedError(Exception):
    """Another request changed the listing after it was read."""


class ImageUploads(Protocol):
    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload: ...

    def use_all(
        self, user_id: str, positions: Mapping[str, int], target_prefix: str, *, field: str
    ) -> dict[str, StoredObject]: ...

    def remove(self, key: str) -> None: ...


class CatalogService:
    """The catalog operations of the API (docs/api/catalog.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        store: ListingStore,
        events: EventFactory,
        relay: Relay,
        uploads: ImageUploads,
        cursors: Cursors,
        image_url: Callable[[str], str],
        logger: Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`image_url` returns the URL of an image for its S3 key."""
        self._store = store
        self._events = events
        self._relay = relay
        self._uploads = uploads
        self._cursors = cursors
        self._image_url = image_url
        self._logger = logger
        self._monotonic = monotonic
        self._subtrees: Mapping[str, list[str]] = {}
        self._subtrees_read_at = float("-inf")

    def search(self, caller: Caller, query: ListingQuery) -> Page[ListingView]:
        """Returns a page of active listings.

        If `query.seller_id` is the caller, the page also has reserved and sold listings.
        """
        sort = query.sort or ("relevance" if query.q else "newest")
        errors = []
        if sort == "relevance" and query.q is None:
            errors.append(FieldError("sort", "must not be relevance without q"))
        if (
            query.min_price is not None
            and query.max_price is not None
            and query.min_price > query.max_price
        ):
            errors.append(FieldError("maxPrice", "must not be below minPrice"))
        if query.currency is None:
            if query.min_price is not None or query.max_price is not None or "price" in sort:
                rule = "is required with minPrice, maxPrice and sort by price"
                errors.append(FieldError("currency", rule))
        elif query.currency not in CURRENCIES:
            errors.append(_unknown_currency("currency"))
        categories = None
        if query.category is not None:
            categories = self._subtree(query.category)
            if categories is None:
                errors.append(_unknown_category())
        if errors:
            raise Problem.invalid(errors)
        # A seller's own list also contains reserved and sold listings. Its cursors have another
        # scope, so that they are not valid for lists of active listings.
        own = query.seller_id is not None and query.seller_id == caller.user_id
        scope = "catalog/listings/own" if own else "catalog/listings"
        after = self._cursors.position(query, scope)
        entries = self._store.search(
            Search(
                sort=sort,
                limit=query.limit + 1,
                q=query.q,
                categories=categories,
                currency=query.currency,
                min_price=query.min_price,
                max_price=query.max_price,
                seller_id=query.seller_id,
                own=own,
                after=after and (after[0], after[1]),
            )
        )
        return self._page(entries, query, scope)

    def get(self, listing_id: str) -> ListingView:
        return self._view(self._find(listing_id))

    def create(
        self, caller: Caller, body: CreateListing, listing_id: str | None = None
    ) -> ListingView:
        self._check(body.price, body.category)
        listing_id = listing_id or new_id()
        event = self._event(
            "ListingCreated", caller, listing_id, caller.user_id, category=body.category
        )
        with self._images(caller, body.images, {}) as images, _category_known():
            listing = self._store.add(
                NewListing(
                    listing_id=listing_id,
                    seller_id=caller.user_id,
                    title=body.title,
                    description=body.description,
                    price_amount=body.price.amount,
                    price_currency=body.price.currency,
                    category=body.category,
                    tags=body.tags,
                    images=images,
                    condition=body.condition,
                ),
                [event],
            )
        self._publish([event])
        return self._view(listing)

    @repeat_if_changed(_ListingChangedError)
    def update(
        self, caller: Caller, listing_id: str, if_match: IfMatch, body: UpdateListing
    ) -> ListingView:
        listing = self._own(caller, listing_id)
        if_match.check(listing.version)
        self._check(body.price, body.category)
        status = listing.status if body.status is UNSET else body.status
        if status != listing.status and status not in _TRANSITIONS[listing.status]:
            raise Problem.conflict(
                f"A listing that is {listing.status} cannot become {status}.", "status_transition"
            )
        kept = {self._image_url(key): key for key in listing.images}
        wanted = [] if body.images is UNSET else body.images
        with self._images(caller, wanted, kept) as keys, _category_known():
            images = UNSET if body.images is UNSET else keys
            changes = _changes(listing, body, images)
            if not any(value is not UNSET for value in structs.asdict(changes).values()):
                return self._view(listing)
            if listing.status == "sold" and changes.status is UNSET:
                # The ratings describe the listing as it was when sold.
                raise Problem.conflict("A sold listing cannot be changed.", "listing_sold")
            events = self._change_events(caller, listing, changes)
            changed = self._store.change(listing, changes, events)
            if changed is None:
                raise _ListingChangedError
        unused = set(listing.images) - set(() if changed.status == "removed" else changed.images)
        self._remove_images(sorted(unused))
        self._publish(events)
        return self._view(changed)

    def delete(self, caller: Caller, listing_id: str, if_match: IfMatch) -> None:
        self.update(caller, listing_id, if_match, UpdateListing(status="removed"))

    def sign_upload(self, caller: Caller, body: ImageUpload) -> SignedUpload:
        return self._uploads.sign(caller.user_id, body.content_type, body.content_length)

    def list_categories(self) -> list[CategoryView]:
        children = _children(self._store.list_categories())

        def view(category: Category) -> CategoryView:
            below = [view(child) for child in children.get(category.slug, ())]
            return CategoryView(
                slug=category.slug,
                name=category.name,
                parent=category.parent,
                count=category.listings + sum(child.count for child in below),
                children=below,
            )

        return [view(category) for category in children.get(None, ())]

    def list_wishlist(self, caller: Caller, query: PageQuery) -> Page[ListingView]:
        scope = f"catalog/wishlist/{caller.user_id}"
        after = self._cursors.position(query, scope)
        entries = self._store.list_wishlist(
            caller.user_id, query.limit + 1, after and (after[0], after[1])
        )
        return self._page(entries, query, scope)

    def wish(self, caller: Caller, listing_id: str) -> None:
        if not (_is_id(listing_id) and self._store.wish(caller.user_id, listing_id)):
            raise _listing_not_found()

    def unwish(self, caller: Caller, listing_id: str) -> None:
        """Removes a listing from the wishlist. Idempotent: a second call changes nothing."""
        if _is_id(listing_id):
            self._store.unwish(caller.user_id, listing_id)

    def rate(
        self,
        caller: Caller,
        listing_id: str,
        stars: int,
        comment: str | None,
        *,
        may_exist: bool = False,
    ) -> RatingView:
        """Rates a listing.

        `may_exist` is True if an earlier attempt of the same request may have stored the rating.
        An equal stored rating is then returned instead of an error.
        """
        listing = self._find(listing_id)
        if listing.seller_id == caller.user_id:
            raise Problem.forbidden("You cannot rate your own listing.", "own_listing")
        event = self._event("ListingRated", caller, listing_id, listing.seller_id, stars=stars)
        try:
            rated = self._store.rate(listing_id, caller.user_id, stars, comment, [event])
        except AlreadyRatedError:
            rating = self._store.find_rating(listing_id, caller.user_id)
            if not (may_exist and rating and (rating.stars, rating.comment) == (stars, comment)):
                raise Problem.conflict(
                    "You have already rated this listing.", "already_rated"
                ) from None
            rated = RatedListing(self._find(listing_id), rating.created_at)
        else:
            if rated is None:
                raise _listing_not_found()
            self._publish([event])
        average = _average(rated.listing)
        assert average is not None
        return RatingView(
            listing_id=listing_id,
            user_id=caller.user_id,
            stars=stars,
            comment=comment,
            created_at=timestamp(rated.rated_at / 1000),
            rating_average=average,
            rating_count=rated.listing.rating_count,
        )

    def list_ratings(self, listing_id: str, query: PageQuery) -> Page[RatingEntryView]:
        """Returns a page of a listing's ratings with their comments, newest first."""
        self._find(listing_id)
        return self._entries(
            query,
            f"catalog/ratings/{listing_id}",
            self._store.list_ratings,
            listing_id,
            Rating.view,
        )

    def list_inquiries(
        self, caller: Caller, listing_id: str, query: PageQuery
    ) -> Page[InquiryView]:
        """Returns a page of the messages to the seller about a listing, newest first."""
        self._own(caller, listing_id)
        return self._entries(
            query,
            f"catalog/inquiries/{listing_id}",
            self._store.list_inquiries,
            listing_id,
            Inquiry.view,
        )

    def _entries(
        self,
        query: PageQuery,
        scope: str,
        read: Callable[[str, int, tuple[int, str] | None], Sequence[E]],
        listing_id: str,
        view: Callable[[E], V],
    ) -> Page[V]:
        after = self._cursors.position(query, scope)
        found = read(listing_id, query.limit + 1, after and (after[0], after[1]))
        page = found[: query.limit]
        position = page[-1].position if len(found) > query.limit else None
        return self._cursors.page([view(entry) for entry in page], query, scope, position)

    def contact(self, caller: Caller, listing_id: str, message: str, inquiry_id: str) -> None:
        """Stores the message once per `inquiry_id`, and notifies the seller with an event."""
        listing = self._find(listing_id)
        if listing.seller_id == caller.user_id:
            raise Problem.forbidden(
                "You cannot contact yourself about your own listing.", "own_listing"
            )
        event = self._event(
            "SellerContacted", caller, listing_id, listing.seller_id, inquiryId=inquiry_id
        )
        if self._store.inquire(inquiry_id, listing_id, caller.user_id, message, [event]):
            self._publish([event])

    def _find(self, listing_id: str) -> Listing:
        listing = self._store.find(listing_id) if _is_id(listing_id) else None
        if listing is None:
            raise _listing_not_found()
        return listing

    def _own(self, caller: Caller, listing_id: str) -> Listing:
        listing = self._find(listing_id)
        if listing.seller_id != caller.user_id:
            raise Problem.forbidden("Only the seller can change a listing.", "not_the_seller")
        return listing

    def _check(self, price: Price | UnsetType, category: str | UnsetType) -> None:
        """Checks that the currency and the category exist. Raises Problem 422."""
        errors = []
        if price is not UNSET and price.currency not in CURRENCIES:
            errors.append(_unknown_currency("price.currency"))
        if category is not UNSET and self._subtree(category) is None:
            errors.append(_unknown_category())
        if errors:
            raise Problem.invalid(errors)

    def _subtree(self, slug: str) -> list[str] | None:
        """Returns the slugs of a category and all its descendants, or None if it does not exist."""
        if self._monotonic() - self._subtrees_read_at >= TREE_MAX_AGE:
            categories = self._store.list_categories()
            children = _children(categories)

            def below(slug: str) -> list[str]:
                return [
                    slug,
                    *(name for child in children.get(slug, ()) for name in below(child.slug)),
                ]

            self._subtrees = {category.slug: below(category.slug) for category in categories}
            self._subtrees_read_at = self._monotonic()
        return self._subtrees.get(slug)

    @contextmanager
    def _images(
        self, caller: Caller, wanted: Sequence[str], kept: Mapping[str, str]
    ) -> Iterator[list[str]]:
        """Yields the S3 keys of a listing's new list of images.

        `wanted` is the list in the request: URLs of current images, and keys of uploads. `kept`
        maps the URLs of the current images to their S3 keys. The uploads are copied to the prefix
        IMAGES_PREFIX. The copies are deleted if the listing was not stored. An image that `wanted`
        contains repeatedly has one key in the new list.
        """
        stored = self._uploads.use_all(
            caller.user_id, new_uploads(wanted, kept), IMAGES_PREFIX, field="images"
        )
        copies = {upload: image.key for upload, image in stored.items()}
        keys = {**kept, **copies}
        try:
            yield list(dict.fromkeys(keys[image] for image in wanted))
        # After any other error, the copies are kept, because the listing may already be stored.
        except (Problem, AlreadyCreatedError, _ListingChangedError):
            self._remove_images(list(copies.values()))
            raise

    def _remove_images(self, keys: Sequence[str]) -> None:
        """Deletes the images with these S3 keys. Logs errors instead of raising them.

        The calling method must ensure that no listing uses the images.
        """
        for key in keys:
            try:
                self._uploads.remove(key)
            except Exception:
                self._logger.exception("image not removed", key=key)

    def _change_events(self, caller: Caller, listing: Listing, changes: Changes) -> list[Event]:
        names = sorted(
            name for name, value in structs.asdict(changes).items() if value is not UNSET
        )
        fields = sorted({name.removesuffix("_amount").removesuffix("_currency") for name in names})
        status = listing.status if changes.status is UNSET else changes.status
        about = (caller, listing.listing_id, listing.seller_id)
        events = [self._event("ListingUpdated", *about, changed=fields, status=status)]
        if changes.status == "sold":
            events.append(self._event("ListingSold", *about))
        return events

    def _event(
        self, event_type: str, caller: Caller, listing_id: str, seller_id: str, **more: Any
    ) -> Event:
        data = {"listingId": listing_id, "sellerId": seller_id, **more}
        return self._events.create(event_type, actor_id=caller.user_id, data=data)

    def _publish(self, events: Sequence[Event]) -> None:
        """Publishes stored events. Only logs errors, because a scheduled run publishes the rest."""
        try:
            for _outcome in self._relay.publish([event.event_id for event in events]):
                pass
        except Exception:
            self._logger.exception("events not published: the scheduled run will retry")

    def _page(
        self, entries: Sequence[ListEntry], query: PageQuery, scope: str
    ) -> Page[ListingView]:
        """Returns a page of listings. If more pages follow, `entries` has more than `query.limit`
        entries.
        """
        page = entries[: query.limit]
        position = page[-1].position if len(entries) > query.limit else None
        return self._cursors.page(
            [self._view(item.listing) for item in page], query, scope, position
        )

    def _view(self, listing: Listing) -> ListingView:
        return ListingView(
            listing_id=listing.listing_id,
            seller_id=listing.seller_id,
            title=listing.title,
            description=listing.description,
            price=Price(amount=listing.price_amount, currency=listing.price_currency),
            category=listing.category,
            tags=listing.tags,
            images=[self._image_url(key) for key in listing.images],
            condition=listing.condition,
            status=listing.status,  # type: ignore[arg-type] # constrained by the table
            rating_average=_average(listing),
            rating_count=listing.rating_count,
            created_at=timestamp(listing.created_at / 1000),
            updated_at=timestamp(listing.updated_at / 1000),
            version=listing.version,
        )


def _changes(listing: Listing, body: UpdateListing, images: list[str] | UnsetType) -> Changes:
    """Returns the new values of the columns that the request changes."""
    price = body.price
    wanted: dict[str, Any] = {
        "title": body.title,
        "description": body.description,
        "price_amount": price if price is UNSET else price.amount,
        "price_currency": price if price is UNSET else price.currency,
        "category": body.category,
        "tags": body.tags,
        "images": images,
        "condition": body.condition,
        "status": body.status,
    }
    return Changes(
        **{name: value for name, value in wanted.items() if value != getattr(listing, name)}
    )


def _average(listing: Listing) -> float | None:
    return round(listing.rating_sum / listing.rating_count, 2) if listing.rating_count else None


def _children(categories: Sequence[Category]) -> dict[str | None, list[Category]]:
    children: dict[str | None, list[Category]] = {}
    for category in categories:
        children.setdefault(category.parent, []).append(category)
    return children


@contextmanager
def _category_known() -> Iterator[None]:
    """Raises Problem 422 if the category was deleted after the tree was cached."""
    try:
        yield
    except UnknownCategoryError:
        raise Problem.invalid([_unknown_category()]) from None


def _unknown_category() -> FieldError:
    return FieldError("category", "must be the slug of a category")


def _unknown_currency(field: str) -> FieldError:
    return FieldError(field, "must be a currency code of ISO 4217")


def _is_id(listing_id: str) -> bool:
    return len(listing_id) == _ID_LENGTH and set(listing_id) <= set("0123456789abcdef")


def _listing_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "listing_not_found", "There is no listing with this id.")
