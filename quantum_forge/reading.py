"""Methods of a forge that read the log and the rows of read models."""

import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from quantum_forge.door import Door
from quantum_forge.entities import Entity, Kind, id_of, projection_of, type_names
from quantum_forge.eventstore.base.envelope import Position, RecordedEvent
from quantum_forge.eventstore.log.read import Filter, read_all
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.moments import Moment, position_of, time_of
from quantum_forge.schema.tables.views import activity_logs
from quantum_forge.table import Query


def events(
    forge: Door,
    *,
    entity: Entity | None = None,
    types: Kind | Iterable[Kind] | None = None,
    user_id: UUID | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    after: int = 0,
    upto: int | None = None,
    backward: bool = False,
    limit: int | None = None,
    follow: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[RecordedEvent]:
    """Iterate over the tenant's events in order of position; what is None does not restrict.

    Reads up to the safe head of the moment at which it starts, skips no event, and holds one
    connection until it is exhausted or closed.

    Args:
        entity: only its events.
        types: only events of this type, or of these.
        user_id: only what this user recorded.
        since: only what occurred at or after this time; text as "2h" or "2026-11-20T14:30".
        until: only what occurred before this time.
        after: only positions above this one.
        upto: only positions up to this one.
        backward: the newest first.
        limit: at most so many.
        follow: go on for ever, with each new event soon after its append; while the database
            is away, wait for up to 5 minutes.
        stop: with `follow`, ends the iteration, within 50 ms.

    Raises:
        WrongMoment: when a time cannot be read.
        EventRefused: when there is no such event type.
        ValueError: for `follow` together with `upto` or `backward`.
    """
    forge._require_open()
    where = Filter(
        tenant_id=forge.author.tenant_id,
        entity_id=None if entity is None else id_of(entity),
        types=type_names(types),
        user_id=user_id,
        since=time_of(since),
        until=time_of(until),
    )
    if not follow:
        return _read(forge, where, after, upto, backward, limit)
    if upto is not None or backward:
        raise ValueError("follow never ends and reads forward: leave out upto and backward")
    stream = _following(forge, after, where, stop)
    return stream if limit is None else islice(stream, limit)


def table(forge: Door, name: str) -> Query:
    """Return a query of a read model's rows, as far as they are projected; it folds nothing.

    `activity_logs`, a view of the log, is queried in the same way.

    Raises:
        UnknownProjection: when there is no such table.
    """
    forge._require_open()
    source = activity_logs if name == activity_logs.name else projection_of(name).table
    return Query._over(forge.connect, name, source, forge.author.tenant_id)


def query(forge: Door, statement: Select[Any]) -> Query:
    """Return a query of any Core SELECT over `tables`, with the rows of every visible tenant.

    Restrict it by `tenant_id` where the login sees several tenants.

    Raises:
        WrongQuery: when two columns have one name.
    """
    forge._require_open()
    return Query(forge.connect, "query", statement)


def position(forge: Door, moment: Moment | None = None) -> Position:
    """Return the position of the log at a moment; None: the safe head.

    Raises:
        BeyondHead: for a position above the safe head, or a time in the future.
        WrongMoment: when a text is neither a time nor a position.
    """
    with forge.connect() as connection:
        return position_of(connection, moment)


def _following(
    forge: Door, after: int, where: Filter, stop: threading.Event | None
) -> Iterator[RecordedEvent]:
    """Yield events until `stop`; raise `ForgeClosed` once the forge is closed."""
    for event in subscribe(forge.engine, after=after, where=where, stop=stop or forge._closed):
        forge._require_open()
        yield event
    if stop is None:
        forge._require_open()


def _read(
    forge: Door, where: Filter, after: int, upto: int | None, backward: bool, limit: int | None
) -> Iterator[RecordedEvent]:
    with forge.connect() as connection:
        yield from read_all(
            connection, after=after, upto=upto, where=where, backward=backward, limit=limit
        )
