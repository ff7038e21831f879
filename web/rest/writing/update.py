"""Rows that a request changes or deletes: PATCH and DELETE."""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from quantum_forge.eventstore.actions.by_name import ending
from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.language.event import Event
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.exchange import WriteReply
from quantum_forge.web.rest.request.page import content_range
from quantum_forge.web.rest.writing.asked import Asked
from quantum_forge.web.rest.writing.attempt import Change, Recorded, record_changes
from quantum_forge.web.rest.writing.body import Row, parse_body
from quantum_forge.web.rest.writing.changes import (
    changed,
    chosen,
    columns_needed,
    of_row,
    require_columns,
)
from quantum_forge.web.rest.writing.reply import reply
from quantum_forge.web.rest.writing.rows import Rows, is_only_keys

_KINDS = ("return_", "count", "tx", "handling", "timezone", "max_affected")


def update(asked: Asked) -> WriteReply:
    """Answer PATCH: record a change of each row that the query string restricts the table to.

    Raises:
        RestError, QuantumForgeError: when one of them may not change; none does then.
    """
    body = parse_body(asked.request.body, columns=asked.query.columns)
    if len(body.rows) > 1:
        raise RestError(
            400,
            "PGRST102",
            "PATCH takes one object, whose values all the rows get",
            hint="Send an array by POST with Prefer: resolution=merge-duplicates.",
        )
    values: Row = body.rows[0] if body.rows else {}
    require_columns(asked.writing, values, asked.writing.updatable)
    events = chosen(asked.writing, values)

    def happened(connection: Connection, row: Row) -> tuple[NewEvent, ...]:
        return asked.events(connection, changed(asked.writing, asked.recorder, row, events))

    def decide(connection: Connection) -> list[Change]:
        classes = asked.writing.updates
        return _change(asked, connection, classes, happened) if events else []

    return _changed(asked, record_changes(asked, decide), shows_range=True)


def delete(asked: Asked) -> WriteReply:
    """Answer DELETE: record the end of each row that the query string restricts the table to.

    Raises:
        RestError, QuantumForgeError: when one of them may not end; none does then.
    """
    cls = asked.writing.delete
    assert cls is not None

    def happened(connection: Connection, row: Row) -> tuple[NewEvent, ...]:
        entity_id, event = of_row(asked.writing, asked.recorder, row, cls, {})
        return tuple(ending(connection, asked.recorder, event, entity_id))

    recorded = record_changes(
        asked, lambda connection: _change(asked, connection, [cls], happened), is_before=True
    )
    return _changed(asked, recorded, shows_range=False)


def _changed(asked: Asked, recorded: Recorded, *, shows_range: bool) -> WriteReply:
    count = len(recorded.changes)
    ranged = content_range(0, count if shows_range else 0, asked.counted(count))
    status = 204 if recorded.represented is None else 200
    return reply(asked, status, {"Content-Range": ranged}, _KINDS, recorded.represented)


def _change(
    asked: Asked,
    connection: Connection,
    classes: Sequence[type[Event]],
    happened: Callable[[Connection, Row], tuple[NewEvent, ...]],
) -> list[Change]:
    """The changes of the rows that the request restricts its table to."""
    level = asked.query.level(())
    if not level.filters and asked.preferences.max_affected is None:
        raise RestError(
            400,
            "21000",
            f"{asked.request.method} requires a filter",
            hint="Restrict the rows, as in ?id=eq.…, or say how many there may be at most: "
            "Prefer: handling=strict, max-affected=10.",
        )
    rows = Rows(connection, asked.tenant_id)
    names = columns_needed(asked.writing, classes)

    def find() -> list[Row]:
        return rows.find(asked.table, level, names, asked.writing.key)

    found = find()
    pinned: dict[Stream, int] = {}
    if found and not is_only_keys(level, asked.writing.key):
        # What the rows are restricted by must still hold when they change: no stream is to
        # have grown since its version was read, and the rows are looked for after that.
        streams = {event.stream for row in found for event in happened(connection, row)}
        pinned = {
            stream: standing.version
            for stream, standing in read_standings(connection, streams).items()
        }
        found = find()
    asked.require_few(len(found))
    seen: set[Stream] = set()
    changes = []
    for row in found:
        events = [each for each in happened(connection, row) if each.stream not in seen]
        seen |= {each.stream for each in events}
        key = {name: row[name] for name in asked.writing.key}
        changes.append(Change(events=tuple(_at(pinned, each) for each in events), key=key))
    return changes


def _at(pinned: dict[Stream, int], event: NewEvent) -> NewEvent:
    version = pinned.get(event.stream)
    if version is None or event.expected_version is not None:
        return event
    return msgspec.structs.replace(event, expected_version=version)
