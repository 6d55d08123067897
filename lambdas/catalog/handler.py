"""The catalog function: handles API requests, and on a schedule publishes the events that requests
stored but could not publish.
"""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from lambdas.catalog.listings import ListingStore
from lambdas.catalog.logic import CatalogService
from lambdas.catalog.models import (
    CategoryView,
    Contact,
    CreateListing,
    InquiryView,
    ListingQuery,
    ListingView,
    Rate,
    RatingEntryView,
    RatingView,
    UpdateListing,
)
from lambdas.catalog.outbox import AuroraOutbox
from lambdas.catalog.routes import ROUTES
from lambdas.common.clients import Clients
from lambdas.common.logs import Logger, create_logger
from lambdas.common.messaging.events import EventFactory, EventPublisher
from lambdas.common.messaging.relay import NotPublishedError, Relay
from lambdas.common.people.pictures import PictureSettings
from lambdas.common.problems import Problem
from lambdas.common.settings import read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.storage.database import Database, DatabaseSettings
from lambdas.common.storage.uploads import (
    IMAGE_LIMIT,
    IMAGE_TYPES,
    ImageUpload,
    SignedUpload,
    Uploads,
)
from lambdas.common.validation import EmptyBody, validate
from lambdas.common.web.http import Event, Request, Response
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from lambdas.common.web.preconditions import IfMatch, Versioned
from lambdas.common.web.router import Router
from lambdas.common.web.service import Handler, ServiceSettings, create_router, entry_point

SCHEDULE = "aws.events"
"""The `source` of scheduled events. API Gateway's events have no `source`."""


class CatalogSettings(ServiceSettings, frozen=True, kw_only=True):
    event_bus_name: str
    s3_bucket_attachments: str


class CatalogApi:
    def __init__(self, service: CatalogService) -> None:
        self._service = service

    def search_listings(self, request: Request) -> Response[Page[ListingView]]:
        """Searches the active listings.

        If `sellerId` is the caller's id, the results include reserved and sold listings.
        `minPrice`, `maxPrice` and sorting by price require `currency`.
        """
        query = validate(ListingQuery, request.query, from_text=True)
        return Response(body=self._service.search(request.caller, query))

    def create_listing(self, request: Request) -> Versioned[ListingView]:
        """Creates a listing. `images` contains keys of uploads."""
        body = validate(CreateListing, request.json)
        listing = request.creation.find_or_create(
            self._service.get, partial(self._service.create, request.caller, body)
        )
        return Versioned(listing, listing.version, HTTPStatus.CREATED)

    def get_listing(self, request: Request) -> Versioned[ListingView]:
        """Returns a listing."""
        return _with_version(self._service.get(_listing_id(request)))

    def update_listing(self, request: Request) -> Versioned[ListingView]:
        """Replaces the fields of a listing with those in the body. Only the seller can do this.

        The only permitted change of a sold listing is the status `removed`.
        """
        body = validate(UpdateListing, request.json)
        return _with_version(
            self._service.update(request.caller, _listing_id(request), IfMatch.of(request), body)
        )

    def delete_listing(self, request: Request) -> Response[None]:
        """Removes a listing. Only the seller can do this."""
        self._service.delete(request.caller, _listing_id(request), IfMatch.of(request))
        return Response.no_content()

    def create_upload(self, request: Request) -> Response[SignedUpload]:
        """Returns a signed form for the upload of an image.

        The form is valid for 5 minutes. After the upload, use the key in `images` of a listing.
        """
        body = validate(ImageUpload, request.json)
        return Response.created(self._service.sign_upload(request.caller, body))

    def list_categories(self, _request: Request) -> Response[Page[CategoryView]]:
        """Returns the tree of categories on one page."""
        return Response(body=Page(items=self._service.list_categories(), next_cursor=None))

    def list_wishlist(self, request: Request) -> Response[Page[ListingView]]:
        """Lists the listings on the caller's wish list."""
        query = validate(PageQuery, request.query, from_text=True)
        return Response(body=self._service.list_wishlist(request.caller, query))

    def add_to_wishlist(self, request: Request) -> Response[None]:
        """Adds a listing to the caller's wish list."""
        validate(EmptyBody, request.json)
        self._service.wish(request.caller, _listing_id(request))
        return Response.no_content()

    def remove_from_wishlist(self, request: Request) -> Response[None]:
        """Removes a listing from the caller's wish list."""
        self._service.unwish(request.caller, _listing_id(request))
        return Response.no_content()

    def rate_listing(self, request: Request) -> Response[RatingView]:
        """Rates a listing. Users can rate a listing once, and not their own."""
        body = validate(Rate, request.json)
        rating = self._service.rate(
            request.caller,
            _listing_id(request),
            body.stars,
            body.comment,
            may_exist=request.creation.may_exist,
        )
        return Response.created(rating)

    def list_ratings(self, request: Request) -> Response[Page[RatingEntryView]]:
        """Lists the ratings of a listing, newest first."""
        query = validate(PageQuery, request.query, from_text=True)
        return Response(body=self._service.list_ratings(_listing_id(request), query))

    def list_inquiries(self, request: Request) -> Response[Page[InquiryView]]:
        """Lists the messages about a listing to its seller, newest first."""
        query = validate(PageQuery, request.query, from_text=True)
        return Response(
            body=self._service.list_inquiries(request.caller, _listing_id(request), query)
        )

    def contact_seller(self, request: Request) -> Response[None]:
        """Stores a message to the seller, and notifies the seller with an event."""
        body = validate(Contact, request.json)
        self._service.contact(
            request.caller, _listing_id(request), body.message, request.creation.id
        )
        return Response.accepted()


class CatalogFunction:
    """The entry point for Lambda: handles a request, or publishes the events in the outbox."""

    def __init__(self, router: Router, relay: Relay, logger: Logger) -> None:
        self._router = router
        self._relay = relay
        self._logger = logger

    def __call__(self, event: Event, context: object) -> dict[str, Any]:
        if event.get("source") != SCHEDULE:
            return self._router(event, context)
        self._logger.set_correlation_id(None)
        swept = 0
        try:
            for outcome in self._relay.sweep():
                swept += len(outcome.published)
                if outcome.failed and not outcome.published:
                    raise NotPublishedError(
                        f"No event of a batch of {len(outcome.failed)} was published: see the log"
                    )
        except Problem as problem:
            # The database is unavailable. Other alarms report this.
            self._logger.error(
                "stored events not published: the next run will retry", code=problem.code
            )
            return {"swept": swept}
        if swept:
            self._logger.warning("published events that requests did not publish", events=swept)
        return {"swept": swept}


def build(environ: Mapping[str, str]) -> Handler:
    settings = read(CatalogSettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    database = Database(read(DatabaseSettings, environ), clients.session, logger)
    publisher = EventPublisher(lambda: clients.events, settings.event_bus_name, logger)
    relay = Relay(AuroraOutbox(database), publisher)
    service = CatalogService(
        store=ListingStore(database),
        events=EventFactory("catalog", logger),
        relay=relay,
        uploads=Uploads(
            lambda: clients.s3,
            settings.s3_bucket_attachments,
            "catalog",
            types=IMAGE_TYPES,
            limit=IMAGE_LIMIT,
        ),
        cursors=Cursors(KeyRing(ParameterKeySource(clients.ssm, settings.cursor_key_parameter))),
        image_url=read(PictureSettings, environ).picture_url,
        logger=logger,
    )
    router = create_router(settings, clients, ROUTES, CatalogApi(service), logger)
    return CatalogFunction(router, relay, logger)


def _listing_id(request: Request) -> str:
    return request.path_parameters["listingId"]


def _with_version(listing: ListingView) -> Versioned[ListingView]:
    return Versioned(listing, listing.version)


handler = entry_point(build)
