"""Table of events for a terminal: one row each, with the payload shortened."""

import shutil
from collections.abc import Iterable
from typing import Any

import msgspec

from quantum_forge.cli.show import columns, console
from quantum_forge.eventstore.base.envelope import RecordedEvent

COLUMNS = ("position", "occurred_at", "event_type", "entity_id", "data")
WIDTHS = (8, 19, 24, 36)
"""Characters that the columns before the payload need, known before the first event is."""

LONGEST_DATA = 100
SHORTEST_DATA = 20
LONGEST_LIST = 3
LONGEST_TEXT = 40


def table(events: Iterable[RecordedEvent]) -> None:
    """Print events below the names of the columns."""
    header()
    for event in events:
        line(event)


def header() -> None:
    """Print the names of the columns, for lines to follow."""
    if console.is_terminal():
        console.emit(_aligned(COLUMNS))
    else:
        console.row(COLUMNS)


def line(event: RecordedEvent) -> None:
    """Print one event, at once: aligned for people, tab-separated in a pipe."""
    if console.is_terminal():
        room = shutil.get_terminal_size().columns - sum(WIDTHS) - 2 * len(WIDTHS)
        data = shortened(event.data, max(room, SHORTEST_DATA))
        time = columns.local(event.occurred_at)
        console.emit(_aligned((event.position, time, event.event_type, event.entity_id, data)))
    else:
        console.row(
            (
                event.position,
                event.occurred_at,
                event.event_type,
                event.entity_id,
                shortened(event.data, LONGEST_DATA),
            )
        )


def _aligned(values: Iterable[object]) -> str:
    """A line with the position flush right, and nothing in it that commands a terminal."""
    position, *others, data = (console.printable(str(value)) for value in values)
    cells = [cell.ljust(width) for cell, width in zip(others, WIDTHS[1:], strict=True)]
    return "  ".join([position.rjust(WIDTHS[0]), *cells, data])


def shortened(data: dict[str, Any], length: int) -> str:
    """A payload on one line: without nulls, long lists as their lengths, long texts cut."""
    brief = {name: _brief(value) for name, value in data.items() if value is not None}
    text = msgspec.json.encode(brief).decode()
    return text if len(text) <= length else text[: length - 1] + "…"


def _brief(value: object) -> object:
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return f"[{len(value)}]"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value
