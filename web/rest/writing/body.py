"""The body of a request that writes: rows as JSON."""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from quantum_forge.eventstore.base.codec import malformed
from quantum_forge.web.rest.errors import RestError

Row = dict[str, Any]
"""Values by column, as JSON has them; UNSET where the request leaves a column alone."""


class Body(Struct, frozen=True, kw_only=True):
    """What a request writes. is_single: whether it was an object, and no array of them."""

    rows: list[Row]
    columns: tuple[str, ...]
    is_single: bool


def parse_body(
    data: bytes | list[Row], *, columns: Collection[str] | None = None, defaults: bool = False
) -> Body:
    """Parse the body of a request.

    Args:
        data: JSON: an object, or an array of objects with the same keys; or the rows of another
            format.
        columns: those that count, where the request names them; others are ignored.
        defaults: whether a column that an object lacks has its default, and not null.

    Raises:
        RestError: PGRST102, for a body that is nothing of that kind.
    """
    parsed = data if isinstance(data, list) else _parsed(data)
    rows = parsed if isinstance(parsed, list) else [parsed]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise invalid_json(f"expected an object, or an array of objects; {number} is none")
    if columns is not None:
        names = tuple(dict.fromkeys(columns))
        missing = UNSET if defaults else None
        rows = [{name: row.get(name, missing) for name in names} for row in rows]
    else:
        names = tuple(rows[0]) if rows else ()
        if any(row.keys() != rows[0].keys() for row in rows):
            raise RestError(
                400,
                "PGRST102",
                "All object keys must match",
                hint="Name the columns that count, as in ?columns=name,description.",
            )
    return Body(rows=rows, columns=names, is_single=not isinstance(parsed, list))


def _parsed(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise invalid_json(malformed(error, data) or str(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_json(str(error)) from None


def invalid_json(details: str) -> RestError:
    """Return the error for a body that is not the JSON that a request must have."""
    return RestError(400, "PGRST102", "Empty or invalid json", details=details)
