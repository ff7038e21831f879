"""Table of events for a terminal: one row each, with the payload shortened."""

from collections.abc import Iterable
from typing import Any

import msgspec

from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.lines import Lines
from quantum_forge.eventstore.base.envelope import RecordedEvent

LISTED = (
    Shown("position", 0),
    Shown("occurred_at"),
    Shown("event_type"),
    Shown("entity_id", rank=1),
    Shown("data", long=True),
)
WIDTHS = {"position": 8, "occurred_at": 19, "event_type": 27, "entity_id": 36}
"""Characters that the columns before the payload need, known before the first event is."""

LONGEST_DATA = 100
LONGEST_SHOWN = 400
"""Characters of a payload in a pipe, and on a terminal before its cell is cut."""

LONGEST_LIST = 3
LONGEST_TEXT = 40


def table(events: Iterable[RecordedEvent], *, title: str | None = None) -> None:
    """Print events below the names of the columns; title: see `columns.table`."""
    columns.table(LISTED, map(_row, events), title=title)


def lines() -> Lines:
    """Return what prints events as they come."""
    return Lines(LISTED, WIDTHS)


def line(to: Lines, event: RecordedEvent) -> None:
    """Print one event, at once."""
    to.row(_row(event))


def _row(event: RecordedEvent) -> dict[str, object]:
    longest = LONGEST_SHOWN if console.is_terminal() else LONGEST_DATA
    return {
        "position": event.position,
        "occurred_at": event.occurred_at,
        "event_type": event.event_type,
        "entity_id": event.entity_id,
        "data": shortened(event.data, longest),
    }


def shortened(data: dict[str, Any], length: int) -> str:
    """A payload on one line: without nulls, long lists as their lengths, long texts cut."""
    brief = {name: _brief(value) for name, value in data.items() if value is not None}
    return console.cut(msgspec.json.encode(brief).decode(), length)


def _brief(value: object) -> object:
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return f"[{len(value)}]"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return console.cut(value, LONGEST_TEXT)
    return value
