"""The routes of the catalog service, and their access rules."""

from lambdas.catalog.models import Contact, CreateListing, ListingQuery, Rate, UpdateListing
from lambdas.common.caller import READ, USER
from lambdas.common.storage.uploads import ImageUpload
from lambdas.common.validation import EmptyBody
from lambdas.common.web.access import capability, role
from lambdas.common.web.pagination import PageQuery
from lambdas.common.web.router import Route

_READ = capability(READ)
_USER = role(USER)

_DATABASE = {"database_busy": 503, "database_unavailable": 503}

ROUTES = (
    Route(
        "GET",
        "/v1/catalog/listings",
        _READ,
        "search_listings",
        query=ListingQuery,
        error_codes=_DATABASE,
    ),
    Route(
        "POST",
        "/v1/catalog/listings",
        _USER,
        "create_listing",
        201,
        CreateListing,
        idempotent=True,
        error_codes=_DATABASE | {"upload_changed": 409},
    ),
    Route(
        "GET",
        "/v1/catalog/listings/{listingId}",
        _READ,
        "get_listing",
        error_codes=_DATABASE | {"listing_not_found": 404},
    ),
    Route(
        "PATCH",
        "/v1/catalog/listings/{listingId}",
        _USER,
        "update_listing",
        body=UpdateListing,
        conditional=True,
        error_codes=_DATABASE
        | {
            "not_the_seller": 403,
            "listing_not_found": 404,
            "listing_sold": 409,
            "status_transition": 409,
            "upload_changed": 409,
        },
    ),
    Route(
        "DELETE",
        "/v1/catalog/listings/{listingId}",
        _USER,
        "delete_listing",
        204,
        conditional=True,
        error_codes=_DATABASE | {"not_the_seller": 403, "listing_not_found": 404},
    ),
    Route("POST", "/v1/catalog/uploads", _USER, "create_upload", 201, ImageUpload),
    Route("GET", "/v1/catalog/categories", _READ, "list_categories", error_codes=_DATABASE),
    Route(
        "GET",
        "/v1/catalog/wishlist",
        _READ,
        "list_wishlist",
        query=PageQuery,
        error_codes=_DATABASE,
    ),
    Route(
        "PUT",
        "/v1/catalog/wishlist/{listingId}",
        _USER,
        "add_to_wishlist",
        204,
        EmptyBody,
        error_codes=_DATABASE | {"listing_not_found": 404},
    ),
    Route(
        "DELETE",
        "/v1/catalog/wishlist/{listingId}",
        _USER,
        "remove_from_wishlist",
        204,
        error_codes=_DATABASE,
    ),
    Route(
        "GET",
        "/v1/catalog/listings/{listingId}/ratings",
        _READ,
        "list_ratings",
        query=PageQuery,
        error_codes=_DATABASE | {"listing_not_found": 404},
    ),
    Route(
        "GET",
        "/v1/catalog/listings/{listingId}/inquiries",
        _USER,
        "list_inquiries",
        query=PageQuery,
        error_codes=_DATABASE | {"not_the_seller": 403, "listing_not_found": 404},
    ),
    Route(
        "POST",
        "/v1/catalog/listings/{listingId}/ratings",
        _USER,
        "rate_listing",
        201,
        Rate,
        idempotent=True,
        error_codes=_DATABASE
        | {"own_listing": 403, "listing_not_found": 404, "already_rated": 409},
    ),
    Route(
        "POST",
        "/v1/catalog/listings/{listingId}/contact",
        _USER,
        "contact_seller",
        202,
        Contact,
        idempotent=True,
        error_codes=_DATABASE | {"own_listing": 403, "listing_not_found": 404},
    ),
)
