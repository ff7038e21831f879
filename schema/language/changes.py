"""How an event tells what a field was before, and what it is now."""

from typing import Any

import msgspec


class Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field's value before and after."""

    old: Any
    new: Any
