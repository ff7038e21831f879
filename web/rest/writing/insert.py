"""Rows that a request inserts, or updates where they are there already: POST and PUT."""

from collections.abc import Sequence
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.language.lifecycle import NEW, rule_of
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.exchange import WriteReply
from quantum_forge.web.rest.request.page import content_range
from quantum_forge.web.rest.request.preferences import Missing, Resolution, Return
from quantum_forge.web.rest.request.query import Condition, Level
from quantum_forge.web.rest.writing.asked import Asked
from quantum_forge.web.rest.writing.attempt import Change, record_changes
from quantum_forge.web.rest.writing.body import parse_body
from quantum_forge.web.rest.writing.changes import (
    Begun,
    begun,
    changed,
    chosen,
    columns_needed,
    key_of_begun,
    require_columns,
)
from quantum_forge.web.rest.writing.csv_rows import is_csv, rows_of_csv
from quantum_forge.web.rest.writing.reply import reply
from quantum_forge.web.rest.writing.rows import Key, Rows, of_keys

_KINDS = ("return_", "count", "tx", "handling", "timezone")


def insert(asked: Asked) -> WriteReply:
    """Answer POST: record a row, or each row of an array.

    Raises:
        RestError, QuantumForgeError: when one of them cannot be recorded; none is then.
    """
    preferences = asked.preferences
    data = asked.request.body
    body = parse_body(
        rows_of_csv(data, asked.table.table) if is_csv(asked.request.content_type) else data,
        columns=asked.query.columns,
        defaults=preferences.missing is Missing.DEFAULT,
    )
    require_columns(asked.writing, body.columns, asked.writing.insertable)
    resolution = preferences.resolution
    if resolution is not None:
        _require_conflict_target(asked)
    new_id = uuid7 if asked.repetition is None else asked.repetition.new_id
    rows = [begun(asked.writing, asked.recorder, row, new_id) for row in body.rows]
    asked.require_single(len(rows))
    at_once = None
    if resolution is None and asked.repetition is None and "changes" not in _fields(asked):
        at_once = _new(asked, rows)
    recorded = record_changes(
        asked, lambda connection: _begin(asked, connection, rows, resolution), at_once=at_once
    )
    merged = resolution is Resolution.MERGE and recorded.changes and not recorded.inserts
    kinds = list(_KINDS)
    if asked.query.columns is not None:
        kinds.append("missing")
    if resolution is not None:
        kinds.append("resolution")
    headers = {"Content-Range": content_range(0, 0, asked.counted(len(recorded.changes)))}
    if preferences.return_ is Return.HEADERS_ONLY and len(recorded.keys) == 1:
        headers["Location"] = _location(asked, recorded.keys[0])
    return reply(asked, 200 if merged else 201, headers, kinds, recorded.represented)


def put(asked: Asked) -> WriteReply:
    """Answer PUT: insert the row with the key in the query string, or update it.

    Raises:
        RestError, QuantumForgeError: when it cannot be recorded.
    """
    level = asked.query.level(())
    if level.limit is not None or level.offset:
        raise RestError(
            400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT"
        )
    keys = {
        each.field.name: each.value
        for each in level.filters
        if isinstance(each, Condition) and each.operator == "eq" and not each.negated
    }
    if {*keys} != {*asked.writing.key} or len(level.filters) != len(keys):
        raise RestError(
            405,
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
            hint=f"The primary key is {', '.join(asked.writing.key)}.",
        )
    body = parse_body(asked.request.body, columns=asked.query.columns)
    if len(body.rows) != 1 or any(
        str(body.rows[0].get(name)) != value for name, value in keys.items()
    ):
        raise RestError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
    require_columns(asked.writing, body.columns, asked.writing.insertable)
    rows = [begun(asked.writing, asked.recorder, body.rows[0])]
    recorded = record_changes(
        asked, lambda connection: _begin(asked, connection, rows, Resolution.MERGE)
    )
    status = 201 if recorded.inserts else 200 if recorded.represented is not None else 204
    return reply(asked, status, {}, _KINDS, recorded.represented)


def _fields(asked: Asked) -> tuple[str, ...]:
    return () if asked.writing.insert is None else asked.writing.insert.__struct_fields__


def _new(asked: Asked, rows: Sequence[Begun]) -> list[Change]:
    return [
        Change(events=(asked.recorder.new(one.entity_id, one.event),), begun=one) for one in rows
    ]


def _begin(
    asked: Asked, connection: Connection, rows: Sequence[Begun], resolution: Resolution | None
) -> list[Change]:
    """The changes that inserted rows are: those that are there already are updated, or left."""
    there = _there(asked, connection, rows) if resolution is not None else frozenset()
    changes, seen = [], set()
    for one in rows:
        if resolution is not None and one.entity_id in seen:
            if resolution is Resolution.IGNORE:
                continue
            raise RestError(
                400,
                "21000",
                "ON CONFLICT DO UPDATE command cannot affect row a second time",
                details=f"{one.event.entity_type} {one.entity_id} is in the body twice",
            )
        seen.add(one.entity_id)
        if one.entity_id not in there:
            event = asked.with_changes(connection, one.entity_id, one.event)
            events = (asked.recorder.new(one.entity_id, event),)
            changes.append(Change(events=events, begun=one))
        elif resolution is Resolution.MERGE:
            changes.append(_merged(asked, connection, one))
    asked.require_single(len(changes))
    return changes


def _there(asked: Asked, connection: Connection, rows: Sequence[Begun]) -> frozenset[UUID]:
    """The entities among those that rows begin that are there already."""
    cls = asked.writing.insert
    assert cls is not None
    rule = rule_of(cls)
    if rule is None or NEW not in rule.states:
        return frozenset()
    streams = {asked.recorder.stream(cls.entity_type, one.entity_id) for one in rows}
    standings = read_standings(connection, streams)
    return frozenset(
        stream.entity_id
        for stream, standing in standings.items()
        if standing.state not in rule.states
    )


def _merged(asked: Asked, connection: Connection, one: Begun) -> Change:
    """The change of a row that is there already: what differs of it, if that can be updated."""
    writing = asked.writing
    key = key_of_begun(writing, one, None)
    given = {
        name: value
        for name, value in one.row.items()
        if name not in (*writing.identified_by, *writing.key)
    }
    classes = list(writing.updates)
    names = dict.fromkeys([*columns_needed(writing, classes), *given])
    level = Level(filters=(of_keys([key]),))
    found = Rows(connection, asked.tenant_id).find(asked.table, level, list(names), writing.key)
    if not found:
        raise RestError(
            409,
            "23505",
            f"{one.event.entity_type} {one.entity_id} has ended, and has no row in "
            f'"{writing.table}" any more',
        )
    (row,) = found
    differing = {name: value for name, value in given.items() if row[name] != value}
    require_columns(writing, differing, writing.updatable)
    happened = changed(writing, asked.recorder, row, chosen(writing, differing))
    return Change(events=asked.events(connection, happened), key=key)


def _require_conflict_target(asked: Asked) -> None:
    wanted = asked.query.on_conflict
    known = ({*asked.writing.key}, {*asked.writing.identified_by})
    if wanted is None or any({*wanted} - {"tenant_id"} <= each for each in known if each):
        return
    choices = " or ".join(
        ",".join(names) for names in (asked.writing.key, asked.writing.identified_by) if names
    )
    raise RestError(
        400,
        "42P10",
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        hint=f"A row of '{asked.writing.table}' is known by {choices}.",
    )


def _location(asked: Asked, key: Key) -> str:
    named = "&".join(f"{name}=eq.{quote(str(value))}" for name, value in key.items())
    return f"/{quote(asked.table.name)}?{named}"
