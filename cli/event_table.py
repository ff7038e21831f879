"""How events are shown to people: one row each, the payload shortened."""

from collections.abc import Iterable
from typing import Any

import msgspec

from cli import console
from eventstore.envelope import RecordedEvent

COLUMNS = ("position", "occurred_at", "event_type", "entity_id", "version", "data")
RIGHT = ("position", "version")
WIDTHS = (9, 25, 25, 36, 3, 0)
"""Characters that the columns usually need: of lines that are printed before the next is known."""

LONGEST_DATA = 100
LONGEST_LIST = 3
LONGEST_TEXT = 40


def table(events: Iterable[RecordedEvent], *, title: str | None = None) -> None:
    """Print events below the names of the columns."""
    console.table(COLUMNS, map(_cells, events), right=RIGHT, title=title)


def header() -> None:
    """Print the names of the columns, for lines to follow."""
    console.row(_padded(COLUMNS))


def line(event: RecordedEvent) -> None:
    """Print one event, at once."""
    console.row(_padded(_cells(event)))


def json_line(event: RecordedEvent) -> None:
    """Print one event with everything that the log holds of it, as one line of JSON."""
    console.emit(msgspec.json.encode(event).decode())


def _cells(event: RecordedEvent) -> tuple[object, ...]:
    return (
        event.position,
        event.occurred_at,
        event.event_type,
        event.entity_id,
        event.version,
        shortened(event.data),
    )


def _padded(cells: Iterable[object]) -> Iterable[object]:
    if not console.is_terminal():
        return cells
    return [console.cell(value).ljust(width) for value, width in zip(cells, WIDTHS, strict=True)]


def shortened(data: dict[str, Any]) -> str:
    """A payload on one line: long lists as their lengths, long texts and all the rest cut."""
    brief = {name: _brief(value) for name, value in data.items() if value is not None}
    text = msgspec.json.encode(brief).decode()
    return text if len(text) <= LONGEST_DATA else text[: LONGEST_DATA - 1] + "…"


def _brief(value: object) -> object:
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return f"[{len(value)}]"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value
