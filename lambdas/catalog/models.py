"""Request and response models of the catalog service."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.common.text import LINE, OPTIONAL_TEXT, TEXT
from lambdas.common.validation import Body
from lambdas.common.web.pagination import PageQuery

MAX_AMOUNT = 2**53 - 1
"""The largest integer that all JSON implementations read exactly (RFC 8259, section 6)."""

Status = Literal["active", "reserved", "sold", "removed"]
Sort = Literal["newest", "price", "-price", "relevance"]

Title = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=LINE,
        description="must have 1 to 200 characters, one of them visible, and no control characters",
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=5000,
        pattern=OPTIONAL_TEXT,
        description="must be empty, or have a visible character, at most 5000 characters, "
        "and no control characters except tabs and line ends",
    ),
]
Category = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9-]{1,50}\Z",
        description="must be the slug of a category",
        examples=["books"],
    ),
]
Tag = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=LINE,
        description="must have 1 to 50 characters, one of them visible, and no control characters",
    ),
]
Tags = Annotated[list[Tag], Meta(max_length=10, description="must be a list of at most 10 tags")]
Images = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=1000)]],
    Meta(max_length=10, description="must be the keys of at most 10 uploads"),
]
Condition = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=LINE,
        description="must have 1 to 50 characters, one of them visible, and no control characters",
    ),
]
Amount = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_AMOUNT,
        description="must be a whole number of the currency's smallest unit,"
        f" from 0 to {MAX_AMOUNT}",
    ),
]


Currency = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{3}\Z", description="must be a currency code of ISO 4217", examples=["EUR"]
    ),
]


class Price(Body, frozen=True, kw_only=True):
    """A price: `amount` in minor units of `currency` (ISO 4217)."""

    amount: Amount
    currency: Currency


class CreateListing(Body, frozen=True, kw_only=True):
    title: Title
    description: Description
    price: Price
    category: Category
    tags: Tags = field(default_factory=list)
    images: Images = field(default_factory=list)
    condition: Condition | None = None


class UpdateListing(Body, frozen=True, kw_only=True):
    """The fields to replace. `images` contains URLs of images to keep and keys of new uploads."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    images: Images | UnsetType = UNSET
    condition: Condition | UnsetType | None = UNSET
    status: (
        Annotated[Status, Meta(description="must be active, reserved, sold or removed")] | UnsetType
    ) = UNSET


class Rate(Body, frozen=True, kw_only=True):
    stars: Annotated[int, Meta(ge=1, le=5, description="must be a whole number from 1 to 5")]
    comment: (
        Annotated[
            str,
            Meta(max_length=1000, pattern=TEXT, description="must have 1 to 1000 characters"),
        ]
        | None
    ) = None


class Contact(Body, frozen=True, kw_only=True):
    message: Annotated[
        str, Meta(max_length=2000, pattern=TEXT, description="must have 1 to 2000 characters")
    ]


class ListingQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of listings.

    `sort` is by default `relevance` if `q` is set, else `newest`. Prices are compared only within
    one currency, so `min_price`, `max_price` and sorting by price require `currency`.
    """

    q: (
        Annotated[
            str, Meta(max_length=200, pattern=LINE, description="must have 1 to 200 characters")
        ]
        | None
    ) = None
    category: Category | None = None
    currency: Currency | None = None
    min_price: Amount | None = None
    max_price: Amount | None = None
    seller_id: Id | None = None
    sort: Annotated[Sort, Meta(description="must be newest, price, -price or relevance")] | None = (
        None
    )


class ListingView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listing in a response. `images` are URLs; `rating_average` is None without ratings."""

    listing_id: Id
    seller_id: Id
    title: str
    description: str
    price: Price
    category: str
    tags: list[str]
    images: list[str]
    condition: str | None
    status: Status
    rating_average: float | None
    rating_count: int
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class CategoryView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A node of the category tree. `count` includes the active listings of its subcategories."""

    slug: str
    name: str
    parent: str | None
    count: int
    children: list["CategoryView"]


class InquiryView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A message to the seller, as the seller reads it."""

    inquiry_id: Id
    sender_id: Id
    message: str
    created_at: Timestamp


class RatingEntryView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A rating in the list of a listing's ratings."""

    user_id: Id
    stars: int
    comment: str | None
    created_at: Timestamp


class RatingView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A new rating, and the listing's average and number of ratings with the new one."""

    listing_id: Id
    user_id: Id
    stars: int
    comment: str | None
    created_at: Timestamp
    rating_average: float
    rating_count: int
