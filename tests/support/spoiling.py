"""Events as somebody writes them by hand in SQL: with payloads that no event type lets through."""

import json
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, RecordedEvent
from quantum_forge.eventstore.log.append import append_wire, encode_wire
from tests.support.recording import in_order

_WRONG: list[Any] = ["poison", 10**30, -(10**30), {"a": "poison"}, ["poison"], None]

Spoiled = tuple[NewEvent, dict[str, Any]]
"""An event, and the payload that it is appended with."""


def spoiled(history: list[NewEvent]) -> st.SearchStrategy[list[Spoiled]]:
    """The same history, with some payloads spoiled in one field."""
    return st.tuples(*map(_maybe_spoiled, history)).map(list)


def _maybe_spoiled(event: NewEvent) -> st.SearchStrategy[Spoiled]:
    (written,) = json.loads(encode_wire([event]))
    data: dict[str, Any] = written["data"]
    # Not in texts, which SQL makes of everything, a little differently than Python.
    names = [
        name
        for name, value in data.items()
        if value is not None and (not isinstance(value, str) or _is_id(value))
    ]
    honest = st.just((event, data))
    if not names:
        return honest
    wrong = st.sampled_from(names).flatmap(
        lambda name: st.sampled_from(_WRONG).map(lambda value: (event, {**data, name: value}))
    )
    return honest | honest | wrong


def _is_id(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def append_spoiled(connection: Connection, history: list[Spoiled]) -> None:
    """Append events as they are, as any program can."""
    if history:
        wire = json.loads(encode_wire([event for event, _ in history]))
        for written, (_, data) in zip(wire, history, strict=True):
            written["data"] = data
        append_wire(connection, json.dumps(wire).encode())


def recorded_spoiled(connection: Connection, history: list[Spoiled]) -> list[RecordedEvent]:
    """Append events as they are, and read them back before they are committed."""
    append_spoiled(connection, history)
    return in_order(connection)
