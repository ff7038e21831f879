"""Retention of read models by tenant and table: set, show, apply.

A table whose rows are events is trimmed by a recorded cutoff, which every fold of it honours: the
live one, a rebuild, a look back. A table whose rows are entities is trimmed by ending them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, Table, func, select

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventRefused, QuantumForgeError
from quantum_forge.eventstore.database.availability.clock import server_time
from quantum_forge.eventstore.log.read import last_events, read_streams
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Permissions
from quantum_forge.eventstore.recording.rules import append_checked
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.access import SessionClosed, SessionExpired, user_sessions
from quantum_forge.schema.domains.retention import RetentionApplied, RetentionSet
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.identity import natural_id

DEFAULTS: Mapping[str, float] = MappingProxyType(
    {
        "user_sessions": 7,
        "performance_metrics": 90,
        "api_usage_logs": 90,
        "user_audit_log": 365,
    }
)
"""Days that a table keeps its rows, unless the tenant decided otherwise; the others for ever."""


class NotRetained(QuantumForgeError):
    """A table whose rows no retention may trim."""

    exit_status = 2

    def __init__(self, table: str) -> None:
        super().__init__(
            f"{table} is kept for ever, or is not a table; retention can be set for "
            f"{', '.join(retained())}"
        )


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long a tenant's rows of a table are kept.

    days: None is for ever. is_default: nobody decided otherwise. applied: the latest cutoff; None
    where none was. cutoff: the one that is due now; expired: the rows before it.
    """

    table: str
    days: float | None
    is_default: bool
    applied: datetime | None
    cutoff: datetime | None
    expired: int


def retained() -> list[str]:
    """The tables that retention can trim."""
    return [user_sessions.name, *(each.name for each in PROJECTIONS.values() if each.retained)]


def set_retention(engine: Engine, author: Author, table: str, days: float | None) -> None:
    """Decide how long a table keeps its rows; None is for ever. What was trimmed stays so.

    Raises:
        NotRetained: for a table that cannot be trimmed.
    """
    if table not in retained():
        raise NotRetained(table)
    decided = author.new(_id(author.tenant_id, table), RetentionSet(table=table, days=days))
    append_checked(engine, Permissions(engine).permitted(lambda _: [decided]))


def read_retention(
    connection: Connection, tenant_id: UUID, *, now: datetime | None = None
) -> list[Retention]:
    """How long each table keeps a tenant's rows, and how many of them are due.

    `now`: the present time; the server's clock unless given.
    """
    now = server_time(connection) if now is None else now
    ids = {_id(tenant_id, table): table for table in retained()}
    streams = read_streams(connection, tenant_id, RetentionSet.entity_type, list(ids))
    found = []
    for id_, table in ids.items():
        days, is_default, applied = DEFAULTS.get(table), True, None
        for event in streams.get(id_, []):
            try:
                payload = event.event
            except EventRefused:
                continue  # the log took it from somebody else; projectors leave it out, too
            if isinstance(payload, RetentionSet):
                days, is_default = payload.days, False
            elif isinstance(payload, RetentionApplied):
                applied = payload.cutoff if applied is None else max(applied, payload.cutoff)
        due = None if days is None else now - timedelta(days=days)
        found.append(
            Retention(
                table=table,
                days=days,
                is_default=is_default,
                applied=applied,
                cutoff=due,
                expired=0 if due is None else _expired(connection, tenant_id, table, due),
            )
        )
    return found


def apply_retention(
    engine: Engine, author: Author, *, now: datetime | None = None
) -> list[Retention]:
    """Trim every table of the author's tenant, as one atomic append; commits.

    A cutoff is recorded where there are rows before it, and an end for each session in which
    nothing happened since; the projector then trims. Bring the tables up to date before and after.

    Returns:
        What was trimmed: a table without expired rows is not among it.
    """
    trimmed: list[Retention] = []

    def decide(connection: Connection) -> list[NewEvent]:
        due = read_retention(connection, author.tenant_id, now=now)
        trimmed[:] = [each for each in due if each.expired]
        events: list[NewEvent] = []
        for each in trimmed:
            assert each.cutoff is not None
            if each.table == user_sessions.name:
                events += _endings(connection, author, each.cutoff)
                continue
            applied: Event = RetentionApplied(table=each.table, cutoff=each.cutoff)
            events.append(author.new(_id(author.tenant_id, each.table), applied))
        return events

    append_checked(engine, Permissions(engine).permitted(decide))
    return trimmed


def _endings(connection: Connection, author: Author, cutoff: datetime) -> list[NewEvent]:
    """An end for each open session in which nothing happened since, by the log itself."""
    sessions = user_sessions.c
    query = (
        select(sessions.id)
        .where(sessions.tenant_id == author.tenant_id, sessions.last_activity < cutoff)
        .order_by(sessions.id)
    )
    ids = list(connection.scalars(query))
    ended = (SessionClosed.event_type, SessionExpired.event_type)
    return [
        author.new(id_, SessionExpired())
        for id_, last in last_events(connection, author.tenant_id, "session", ids).items()
        if last.event_type not in ended and last.occurred_at < cutoff
    ]


def _expired(connection: Connection, tenant_id: UUID, table: str, cutoff: datetime) -> int:
    of: Table = PROJECTIONS[table].table
    at = user_sessions.c.last_activity if of is user_sessions else of.c.created_at
    query = select(func.count()).where(of.c.tenant_id == tenant_id, at < cutoff)
    return connection.execute(query).scalar_one()


def _id(tenant_id: UUID, table: str) -> UUID:
    return natural_id("retention", tenant_id, table)
