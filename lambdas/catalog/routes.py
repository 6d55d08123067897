"""The routes of the catalog service, and their access rules."""

from lambdas.common.caller import READ, USER
from lambdas.common.web.access import capability, role
from lambdas.common.web.router import Route

_READ = capability(READ)
_USER = role(USER)

ROUTES = (
    Route("GET", "/v1/catalog/listings", _READ, "search_listings"),
    Route("POST", "/v1/catalog/listings", _USER, "create_listing", idempotent=True),
    Route("GET", "/v1/catalog/listings/{listingId}", _READ, "get_listing"),
    Route("PATCH", "/v1/catalog/listings/{listingId}", _USER, "update_listing"),
    Route("DELETE", "/v1/catalog/listings/{listingId}", _USER, "delete_listing"),
    Route("POST", "/v1/catalog/uploads", _USER, "create_upload"),
    Route("GET", "/v1/catalog/categories", _READ, "list_categories"),
    Route("GET", "/v1/catalog/wishlist", _READ, "list_wishlist"),
    Route("PUT", "/v1/catalog/wishlist/{listingId}", _USER, "add_to_wishlist"),
    Route("DELETE", "/v1/catalog/wishlist/{listingId}", _USER, "remove_from_wishlist"),
    Route("GET", "/v1/catalog/listings/{listingId}/ratings", _READ, "list_ratings"),
    Route("GET", "/v1/catalog/listings/{listingId}/inquiries", _USER, "list_inquiries"),
    Route(
        "POST", "/v1/catalog/listings/{listingId}/ratings", _USER, "rate_listing", idempotent=True
    ),
    Route(
        "POST", "/v1/catalog/listings/{listingId}/contact", _USER, "contact_seller", idempotent=True
    ),
)
