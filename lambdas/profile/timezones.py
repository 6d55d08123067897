"""A type for the names of IANA time zones."""

from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

if TYPE_CHECKING:
    _Name = str
else:
    # The names come from the tzdata package, because the Lambda runtime may lack some or all zones.
    _Name = Literal[tuple(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())]

Timezone = Annotated[
    _Name,
    Meta(
        description="must be an IANA time zone, such as Europe/Berlin", examples=["Europe/Berlin"]
    ),
]
