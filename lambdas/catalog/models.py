"""What the catalog takes and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lambdas.common.validation import Body
from lambdas.common.web.pagination import PageQuery

MOST = 2**53 - 1
"""The largest amount: every integer up to it is exact in any program that reads JSON (RFC 8259, 6)."""

Status = Literal["active", "reserved", "sold", "removed"]
Sort = Literal["newest", "price", "-price", "relevance"]

# PostgreSQL stores every character but NUL; other control characters have no place in a line of text.
_LINE = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+\Z"
_TEXT = r"^[^\x00]*\Z"
_WRITTEN = r"^(?=[\s\S]*\S)[^\x00]+\Z"

Title = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=_LINE,
        description="must have 1 to 200 characters, none of them a control character",
    ),
]
Description = Annotated[
    str, Meta(max_length=5000, pattern=_TEXT, description="must have at most 5000 characters")
]
Category = Annotated[
    str, Meta(pattern=r"^[a-z0-9-]{1,50}\Z", description="must be the slug of a category")
]
Tag = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=_LINE,
        description="must have 1 to 50 characters, none of them a control character",
    ),
]
Tags = Annotated[list[Tag], Meta(max_length=10, description="must be at most 10 tags")]
Images = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=1000)]],
    Meta(max_length=10, description="must be the keys of at most 10 uploads"),
]
Condition = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=_LINE,
        description="must have 1 to 50 characters, none of them a control character",
    ),
]
Amount = Annotated[
    int,
    Meta(
        ge=0,
        le=MOST,
        description=f"must be a whole number of the currency's smallest unit, from 0 to {MOST}",
    ),
]


class Price(Body, frozen=True, kw_only=True):
    """Money: `amount` in minor units of `currency` (ISO 4217)."""

    amount: Amount
    currency: Annotated[
        str, Meta(pattern=r"^[A-Z]{3}\Z", description="must be a currency code of ISO 4217")
    ]


class CreateListing(Body, frozen=True, kw_only=True):
    title: Title
    description: Description
    price: Price
    category: Category
    tags: Tags = field(default_factory=list)
    images: Images = field(default_factory=list)
    condition: Condition | None = None


class UpdateListing(Body, frozen=True, kw_only=True):
    """What is absent stays. An image is kept by its address, and a new one named by its upload's key."""

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
            Meta(max_length=1000, pattern=_WRITTEN, description="must have 1 to 1000 characters"),
        ]
        | None
    ) = None


class Contact(Body, frozen=True, kw_only=True):
    message: Annotated[
        str, Meta(max_length=2000, pattern=_WRITTEN, description="must have 1 to 2000 characters")
    ]


class ListingQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of listings; without `sort` the best matches come first where there is `q`, else the newest.

    Prices are compared by their amounts, whatever their currencies are.
    """

    q: (
        Annotated[
            str, Meta(max_length=200, pattern=_LINE, description="must have 1 to 200 characters")
        ]
        | None
    ) = None
    category: Category | None = None
    min_price: Amount | None = None
    max_price: Amount | None = None
    seller_id: Annotated[str, Meta(min_length=1, max_length=128, pattern=_TEXT)] | None = None
    sort: Annotated[Sort, Meta(description="must be newest, price, -price or relevance")] | None = (
        None
    )


class ListingView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listing as answers show it; `images` are addresses, `rating_average` is None while nobody has rated it."""

    listing_id: str
    seller_id: str
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
    created_at: str
    updated_at: str
    version: int


class CategoryView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A node of the category tree; `count` is of active listings, those of its children included."""

    slug: str
    name: str
    parent: str | None
    count: int
    children: list["CategoryView"]


class RatingView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A rating, and what the listing's ratings come to with it."""

    listing_id: str
    user_id: str
    stars: int
    comment: str | None
    created_at: str
    rating_average: float
    rating_count: int
