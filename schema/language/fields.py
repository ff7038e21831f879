"""Types of fields that the events of several domains have."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Timestamp = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]


class Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field's value before and after."""

    old: Any
    new: Any
