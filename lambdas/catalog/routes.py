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

ROUTES = (
    Route("GET", "/v1/catalog/listings", _READ, "search_listings", query=ListingQuery),
    Route(
        "POST", "/v1/catalog/listings", _USER, "create_listing", 201, CreateListing, idempotent=True
    ),
    Route("GET", "/v1/catalog/listings/{listingId}", _READ, "get_listing"),
    Route(
        "PATCH",
        "/v1/catalog/listings/{listingId}",
        _USER,
        "update_listing",
        body=UpdateListing,
        conditional=True,
        refusals=(409,),
    ),
    Route(
        "DELETE",
        "/v1/catalog/listings/{listingId}",
        _USER,
        "delete_listing",
        204,
        conditional=True,
        refusals=(409,),
    ),
    Route("POST", "/v1/catalog/uploads", _USER, "create_upload", 201, ImageUpload),
    Route("GET", "/v1/catalog/categories", _READ, "list_categories"),
    Route("GET", "/v1/catalog/wishlist", _READ, "list_wishlist", query=PageQuery),
    Route("PUT", "/v1/catalog/wishlist/{listingId}", _USER, "add_to_wishlist", 204, EmptyBody),
    Route("DELETE", "/v1/catalog/wishlist/{listingId}", _USER, "remove_from_wishlist", 204),
    Route(
        "GET", "/v1/catalog/listings/{listingId}/ratings", _READ, "list_ratings", query=PageQuery
    ),
    Route(
        "GET",
        "/v1/catalog/listings/{listingId}/inquiries",
        _USER,
        "list_inquiries",
        query=PageQuery,
    ),
    Route(
        "POST",
        "/v1/catalog/listings/{listingId}/ratings",
        _USER,
        "rate_listing",
        201,
        Rate,
        idempotent=True,
    ),
    Route(
        "POST",
        "/v1/catalog/listings/{listingId}/contact",
        _USER,
        "contact_seller",
        202,
        Contact,
        idempotent=True,
    ),
)
