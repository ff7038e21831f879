"""An append by a bound login reveals nothing of other tenants, and one call has a limit."""

from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import MUST_EXIST, MUST_NOT_EXIST, NewEvent
from quantum_forge.eventstore.base.errors import EventIdReused, OtherTenant, VersionConflict
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.log.append import LARGEST_CALL, append, calls_of, encode_wire
from quantum_forge.eventstore.log.appender import Appender
from quantum_forge.schema.domains.batches import BatchCreated
from tests.eventstore.database.test_roles_and_tenants import OURS, THEIRS, Login, created, login

__all__ = ["login"]

TOUCHED = text("""
    SELECT relname, seq_scan, idx_scan, n_tup_ins, n_tup_upd, idx_tup_fetch
      FROM pg_stat_xact_all_tables
     WHERE schemaname = 'public' AND relname ~ '^event_'
       AND (seq_scan > 0 OR idx_scan > 0 OR n_tup_ins > 0 OR n_tup_upd > 0)
""")
LOCKED = text("""
    SELECT relation::regclass::text, locktype, mode FROM pg_locks
     WHERE pid = pg_backend_pid()
       AND (locktype IN ('advisory', 'tuple') OR relation::regclass::text ~ '^event_')
""")


def batch(tenant: UUID, stream: UUID | None = None, **more: object) -> NewEvent:
    """The smallest event."""
    event = BatchCreated(name="b", parameters={})
    return NewEvent(tenant_id=tenant, entity_id=stream or uuid7(), event=event, **more)  # type: ignore[arg-type]  # passed on


def refused(connection: Connection, events: list[NewEvent]) -> tuple[list[object], list[object]]:
    """What a refused append has touched and has locked, as the caller sees it."""
    savepoint = connection.begin_nested()
    with pytest.raises(OtherTenant):
        append(connection, events)
    savepoint.rollback()
    return list(connection.execute(TOUCHED)), list(connection.execute(LOCKED))


@pytest.mark.parametrize("others", [1, 500])
@pytest.mark.parametrize("known", [True, False])
def test_a_refused_append_shows_nothing_of_another_tenant(
    engine: Engine, login: Login, others: int, known: bool
) -> None:
    """Whether the streams exist or not: no row is touched, no lock taken."""
    theirs = [created(THEIRS, "C" * n) for n in range(1, others + 1)]
    if known:
        with engine.begin() as connection:
            append(connection, theirs)

    with login("qforge_appender", bound_to=OURS).connect() as connection:
        assert refused(connection, theirs) == ([], [])
        assert refused(connection, [created(OURS), *theirs]) == ([], [])
        append(connection, [created(OURS)])
        assert list(connection.execute(TOUCHED)) != []


def test_a_call_beyond_the_limit_is_refused_before_anything_is_touched(engine: Engine) -> None:
    """The error says what to do; nothing of the call remains."""
    wire = encode_wire([batch(OURS)] * (LARGEST_CALL + 1)).decode()

    with engine.connect() as connection:
        savepoint = connection.begin_nested()
        with pytest.raises(
            DBAPIError, match="at most 10000 events in one call, not 10001"
        ) as caught:
            connection.execute(text("SELECT append_events(CAST(:wire AS jsonb))"), {"wire": wire})
        savepoint.rollback()
        assert list(connection.execute(TOUCHED)) == []

    assert "several calls in one transaction" in str(caught.value)


def long_history(stream: UUID, expected: int | None, largest: int) -> list[NewEvent]:
    """More events of one stream than a call takes, and one of another stream between them."""
    events = [batch(OURS, stream, expected_version=expected) for _ in range(largest + 5)]
    return [*events[:7], batch(OURS), *events[7:]]


@pytest.mark.parametrize("expected", [None, MUST_NOT_EXIST, 2, MUST_EXIST])
@pytest.mark.parametrize("way", ["append", "appender"])
def test_more_events_than_a_call_takes_are_one_append(
    engine: Engine, expected: int | None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions are expected of the stream as it was; a repetition appends nothing again."""
    largest = LARGEST_CALL if expected is None else 50  # which shows the same of the versions
    monkeypatch.setattr("quantum_forge.eventstore.log.append.LARGEST_CALL", largest)
    stream = uuid7()
    before = 0 if expected == MUST_NOT_EXIST else 2
    with engine.begin() as connection:
        append(connection, [batch(OURS, stream) for _ in range(before)])
    events = long_history(stream, expected, largest)

    def appended() -> list[tuple[int, bool]]:
        if way == "append":
            with engine.begin() as connection:
                placed = append(connection, events)
        else:
            with Appender(engine, tenant_id=OURS) as appender:
                placed = appender.append(events)
        return [(each.version, each.appended) for each in placed if each.version != 1]

    versions = range(max(2, before + 1), before + largest + 6)
    assert appended() == [(version, True) for version in versions]
    assert appended() == [(version, False) for version in versions]


def test_an_append_of_several_calls_is_all_or_nothing(database: Database) -> None:
    """The last of its events is refused, and none is there."""
    stream, other = uuid7(), uuid7()
    events = [batch(OURS, stream) for _ in range(LARGEST_CALL)]
    bad = batch(OURS, other, expected_version=4)

    with Appender(database.engine) as appender:
        with pytest.raises(VersionConflict):
            appender.append([*events, bad])
        with pytest.raises(EventIdReused):
            appender.append([*events, msgspec.structs.replace(events[0], entity_id=other)])
        (placed,) = appender.append([batch(OURS, stream)])

    assert placed.version == 1


def test_an_append_is_split_where_it_must_be() -> None:
    """In order, each event once; a usual append is passed on as it is."""
    many = encode_wire([batch(OURS) for _ in range(2 * LARGEST_CALL + 1)]).decode()

    parts = [msgspec.json.decode(call) for call in calls_of(many)]

    assert [len(part) for part in parts] == [LARGEST_CALL, LARGEST_CALL, 1]
    assert [event for part in parts for event in part] == msgspec.json.decode(many)
    few = encode_wire([batch(OURS)] * 9).decode()
    assert calls_of(few) == [few]
