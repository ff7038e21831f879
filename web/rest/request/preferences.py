"""The Prefer header (RFC 7240), and which of its preferences a reply honoured."""

from collections.abc import Iterable
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from quantum_forge.web.rest.errors import RestError


class Return(StrEnum):
    """What a request that writes is answered with."""

    MINIMAL = "minimal"
    HEADERS_ONLY = "headers-only"
    REPRESENTATION = "representation"


class Count(StrEnum):
    """How the rows are counted that a request would have without limits."""

    EXACT = "exact"
    PLANNED = "planned"
    ESTIMATED = "estimated"


class Resolution(StrEnum):
    """What becomes of a row whose key is there already."""

    MERGE = "merge-duplicates"
    IGNORE = "ignore-duplicates"


class Missing(StrEnum):
    """What a column has that the body does not name."""

    DEFAULT = "default"
    NULL = "null"


class Handling(StrEnum):
    """Whether a preference that is not understood is an error."""

    STRICT = "strict"
    LENIENT = "lenient"


class Transaction(StrEnum):
    """How the transaction of a request ends."""

    COMMIT = "commit"
    ROLLBACK = "rollback"


class Preferences(Struct, frozen=True, kw_only=True):
    """The preferences of a request; None: it has none of this kind."""

    resolution: Resolution | None = None
    missing: Missing | None = None
    return_: Return | None = None
    count: Count | None = None
    tx: Transaction | None = None
    handling: Handling | None = None
    timezone: str | None = None
    max_affected: int | None = None

    @property
    def is_strict(self) -> bool:
        """Whether what is not understood, or cannot be honoured, is an error."""
        return self.handling is Handling.STRICT


READING = ("count", "handling", "timezone")
"""The kinds of preferences that apply to a request that reads."""

_KINDS = {
    "resolution": Resolution,
    "missing": Missing,
    "return": Return,
    "count": Count,
    "tx": Transaction,
    "handling": Handling,
}
_SPELLED = {"return_": "return", "max_affected": "max-affected"}


def parse_preferences(headers: Iterable[str]) -> Preferences:
    """Parse the Prefer headers of a request; of each kind the first one counts.

    Raises:
        RestError: PGRST122, for what is not understood where `handling=strict` is among them.
    """
    found: dict[str, object] = {}
    unknown = []
    for written in (part.strip() for header in headers for part in header.split(",")):
        if not written:
            continue
        kind, _, value = written.partition("=")
        kind, value = kind.strip(), value.strip().strip('"')
        preference = _preference(kind, value)
        if preference is None:
            unknown.append(written)
        else:
            found.setdefault(*preference)
    preferences = Preferences(**found)  # type: ignore[arg-type]  # each is of its kind
    if preferences.is_strict and unknown:
        raise invalid_preferences(unknown)
    if preferences.max_affected is not None and not preferences.is_strict:
        return Preferences(**{**found, "max_affected": None})  # type: ignore[arg-type]
    return preferences


def invalid_preferences(written: Iterable[str]) -> RestError:
    """Return the error for preferences that a strict request must not have."""
    return RestError(
        400,
        "PGRST122",
        "Invalid preferences given with handling=strict",
        details=f"Invalid preferences: {', '.join(written)}",
    )


def with_known_zone(preferences: Preferences) -> Preferences:
    """Return the preferences without a time zone that there is not.

    Raises:
        RestError: PGRST122, for such a zone where `handling=strict` is asked for.
    """
    zone = preferences.timezone
    if zone is None:
        return preferences
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        if preferences.is_strict:
            raise invalid_preferences([f"timezone={zone}"]) from None
        return structs.replace(preferences, timezone=None)
    return preferences


def applied(preferences: Preferences, kinds: Iterable[str]) -> str | None:
    """Return the value of Preference-Applied, in PostgREST's order; None: without the header.

    kinds: names of fields of `Preferences` that the reply honours.
    """
    honoured = set(kinds)
    parts = [
        f"{_SPELLED.get(name, name)}={value}"
        for name in Preferences.__struct_fields__
        if name in honoured and (value := getattr(preferences, name)) is not None
    ]
    return ", ".join(parts) or None


def _preference(kind: str, value: str) -> tuple[str, object] | None:
    """The field of `Preferences` and its value; None for what is not understood."""
    if kind in _KINDS:
        words = _KINDS[kind]
        name = "return_" if kind == "return" else kind
        return (name, words(value)) if value in set(words) else None
    if kind == "timezone" and value:
        return "timezone", value
    if kind == "max-affected" and value.isdecimal() and value.isascii():
        return "max_affected", int(value)
    return None
