"""Reading: forward, backward, filtered, limited, in chunks, and by index."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, Select, text

from quantum_forge.eventstore.base.envelope import NewEvent, RecordedEvent, Stream
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import (
    CHUNK,
    Filter,
    last_events,
    matching,
    read_all,
    read_stream,
)
from quantum_forge.schema.domains.batches import BatchProgressed, BatchResumed
from quantum_forge.schema.domains.molecules import MoleculeDeleted
from quantum_forge.schema.tables import event_logs
from tests.support.appending import OTHER_TENANT, TENANT, append_and_commit, small_event
from tests.support.histories import EPOCH

BATCH, MOLECULE = UUID(int=21, version=4), UUID(int=22, version=4)
JANE, JOE = UUID(int=31, version=4), UUID(int=32, version=4)

LOG = [
    NewEvent(
        tenant_id=OTHER_TENANT if n % 5 == 0 else TENANT,
        entity_id=MOLECULE if n % 3 == 0 else BATCH,
        event=[
            MoleculeDeleted(reason=str(n)),
            BatchResumed(total_count=n),
            BatchProgressed(successful_count=n, failed_count=0),
        ][n % 3],
        user_id=[None, JANE, JOE, JANE][n % 4],
        occurred_at=EPOCH + timedelta(hours=(n * 7) % 30),
    )
    for n in range(30)
]

FILTERS = {
    "everything": Filter(),
    "a type": Filter(types=["batch_resumed"]),
    "two types": Filter(types=["batch_resumed", "molecule_deleted"]),
    "no type": Filter(types=[]),
    "an unknown type": Filter(types=["big_bang"]),
    "a tenant": Filter(tenant_id=OTHER_TENANT),
    "an entity": Filter(entity_id=MOLECULE),
    "an entity type": Filter(entity_type="batch"),
    "an entity that is of another type": Filter(entity_type="batch", entity_id=MOLECULE),
    "a user": Filter(user_id=JANE),
    "since": Filter(since=EPOCH + timedelta(hours=7)),
    "until": Filter(until=EPOCH + timedelta(hours=7)),
    "a time range": Filter(since=EPOCH + timedelta(hours=7), until=EPOCH + timedelta(hours=21)),
    "all at once": Filter(
        types=["batch_resumed"],
        tenant_id=TENANT,
        entity_type="batch",
        entity_id=BATCH,
        user_id=JANE,
        since=EPOCH,
        until=EPOCH + timedelta(hours=25),
    ),
}


@pytest.mark.parametrize("what", FILTERS)
def test_a_filter_lets_through_exactly_what_it_says(engine: Engine, what: str) -> None:
    """Forward, backward, after a position, up to one, and limited."""
    where = FILTERS[what]
    placed = append_and_commit(engine, *LOG)
    expected = [
        place.position for place, event in zip(placed, LOG, strict=True) if passes(event, where)
    ]
    with engine.connect() as connection:
        for after, upto in [(0, None), (7, None), (0, 19), (7, 19), (19, 7), (0, 10**12), (40, 50)]:
            within = [p for p in expected if p > after and (upto is None or p <= upto)]
            bounds: dict[str, Any] = {"after": after, "upto": upto, "where": where}
            assert positions(read_all(connection, **bounds)) == within
            assert positions(read_all(connection, **bounds, backward=True)) == within[::-1]
            for limit in (0, 1, 3, 100):
                limited = read_all(connection, **bounds, limit=limit)
                assert positions(limited) == within[:limit]
                newest = read_all(connection, **bounds, limit=limit, backward=True)
                assert positions(newest) == within[::-1][:limit]


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_nothing_is_lost_or_repeated_where_chunks_meet(engine: Engine, size: int) -> None:
    """A log and a stream of any length come whole, in both directions, whatever the limit."""
    events = [small_event(BATCH, n) for n in range(size)]
    there = [placed.position for placed in append_and_commit(engine, *events)]
    stream = events[0].stream
    with engine.connect() as connection:
        assert positions(read_all(connection)) == there
        assert positions(read_all(connection, backward=True)) == there[::-1]
        assert positions(read_stream(connection, stream)) == there
        assert positions(read_stream(connection, stream, backward=True)) == there[::-1]
        assert positions(read_all(connection, after=there[0])) == there[1:]
        assert positions(read_stream(connection, stream, after_version=1)) == there[1:]
        for limit in (CHUNK - 1, CHUNK, CHUNK + 1):
            assert positions(read_all(connection, limit=limit)) == there[:limit]
            backward = read_all(connection, limit=limit, backward=True)
            assert positions(backward) == there[::-1][:limit]


def test_a_stream_is_read_from_a_version_in_both_directions(engine: Engine) -> None:
    """`after_version` is what the reader has already, whatever the direction."""
    append_and_commit(engine, *(small_event(BATCH, n) for n in range(5)))
    stream = Stream(TENANT, "batch", BATCH)
    with engine.connect() as connection:
        for after in range(7):
            there = list(range(after + 1, 6))
            forward = read_stream(connection, stream, after_version=after)
            assert [event.version for event in forward] == there
            backward = read_stream(connection, stream, after_version=after, backward=True)
            assert [event.version for event in backward] == there[::-1]


def test_a_stream_that_does_not_exist_has_no_events(connection: Connection) -> None:
    """Not an error: nothing has happened to it yet."""
    assert list(read_stream(connection, Stream(TENANT, "batch", uuid4()))) == []
    assert last_events(connection, TENANT, "batch", [uuid4()]) == {}


def test_what_is_appended_while_reading_is_left_for_the_next_call(engine: Engine) -> None:
    """A reading ends, although writers never do, and the next one goes on where it ended."""
    first = append_and_commit(engine, *(small_event() for _ in range(CHUNK)))
    with engine.connect() as connection:
        reading = read_all(connection)
        seen = positions([next(reading)])
        later = append_and_commit(engine, small_event())
        seen += positions(reading)
        assert seen == [placed.position for placed in first]
        assert positions(read_all(connection, after=seen[-1])) == [later[0].position]


def test_the_newest_event_of_each_stream_is_found_at_once(engine: Engine) -> None:
    """Only of the tenant and entity type that were asked for."""
    entities = [uuid4() for _ in range(3)]
    append_and_commit(engine, *(small_event(e, n) for n in range(4) for e in entities[:2]))
    append_and_commit(engine, small_event(entities[0], 99, tenant_id=OTHER_TENANT))
    with engine.connect() as connection:
        found = last_events(connection, TENANT, "batch", entities)
        assert {e: (r.version, r.event) for e, r in found.items()} == {
            e: (4, BatchResumed(total_count=3)) for e in entities[:2]
        }


# Plans


@pytest.fixture
def large_log(engine: Engine) -> Engine:
    """Return the engine of a log of 20,000 events in 2,000 streams, analysed."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version,
                                        event_type, schema_version, data, metadata, user_id,
                                        occurred_at, recorded_at)
                SELECT gen_random_uuid(), :tenant, 'batch', md5((n % 2000)::text)::uuid,
                       n / 2000 + 1,
                       CASE WHEN n % 500 = 0 THEN 'batch_failed' ELSE 'batch_resumed' END,
                       1, '{"total_count": 1}', '{}',
                       CASE WHEN n % 400 = 0 THEN CAST(:user AS uuid) END,
                       timestamptz '2026-01-01' + n * interval '1 minute', clock_timestamp()
                  FROM generate_series(0, 19999) AS n
            """),
            {"tenant": TENANT, "user": JANE},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE event_logs"))
    return engine


def test_reads_use_the_indexes_made_for_them(large_log: Engine) -> None:
    """What is read grows with what is found, not with the log."""
    position = event_logs.c.id
    entity = UUID("c4ca4238-a0b9-2382-0dcc-509a6f75849b")
    ordered = matching(Filter()).where(position > 15_000).order_by(position).limit(CHUNK)
    stream = Filter(tenant_id=TENANT, entity_type="batch", entity_id=entity)
    by_version = matching(stream).where(event_logs.c.version > 3).order_by(event_logs.c.version)
    rare = matching(Filter(types=["batch_failed"])).where(position > 0).order_by(position)
    user = matching(Filter(user_id=JANE)).where(position > 0).order_by(position)
    cases: list[tuple[Select[Any], str]] = [
        (ordered, "_pkey"),
        (by_version.limit(CHUNK), "_entity_id_version"),
        (
            matching(stream).where(position > 0).order_by(position).limit(CHUNK),
            "_entity_id_version",
        ),
        (rare.limit(CHUNK), "_event_type_id"),
        (user.limit(CHUNK), "_user_id_id"),
    ]
    with large_log.connect() as connection:
        for query, index in cases:
            scans = dict(scans_of(connection, query))
            assert "Seq Scan" not in scans, (index, scans)
            assert any(index in str(name) for name in scans.values()), (index, scans)


def test_a_retry_looks_its_events_up_by_index(large_log: Engine) -> None:
    """Idempotency costs a look into an index, not a scan of the stream or the log."""
    event = small_event()
    with large_log.connect() as connection:
        append(connection, [event])
        connection.commit()
        before = rows_read_by_seq_scans(connection)
        for _ in range(8):
            append(connection, [event])
            append(connection, [event, small_event()])
        connection.commit()
        assert rows_read_by_seq_scans(connection) - before < 20_000


def rows_read_by_seq_scans(connection: Connection) -> int:
    """How many rows sequential scans of the log's partitions have read so far."""
    connection.execute(text("SELECT pg_stat_force_next_flush()"))
    connection.commit()
    connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    query = "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE 'event_logs_p%'"
    return int(connection.execute(text(query)).scalar_one())


def scans_of(connection: Connection, query: Select[Any]) -> Iterable[tuple[str, str | None]]:
    """The scans of a query's plan, of tables that have rows, with their indexes."""
    compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
    explained = connection.exec_driver_sql(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {str(compiled).replace('%', '%%')}"
    ).scalar_one()
    plan = json.loads(explained) if isinstance(explained, str) else explained
    nodes = [plan[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        relation = str(node.get("Relation Name", ""))
        if "Scan" in node["Node Type"] and not relation.endswith(("default", "10000001")):
            yield node["Node Type"], node.get("Index Name")


def positions(events: Iterable[RecordedEvent]) -> list[int]:
    return [event.position for event in events]


def passes(event: NewEvent, where: Filter) -> bool:
    """What a filter means, in Python."""
    assert event.occurred_at is not None
    return (
        (where.types is None or event.event.event_type in where.types)
        and where.tenant_id in (None, event.tenant_id)
        and where.entity_type in (None, event.event.entity_type)
        and where.entity_id in (None, event.entity_id)
        and where.user_id in (None, event.user_id)
        and (where.since is None or event.occurred_at >= where.since)
        and (where.until is None or event.occurred_at < where.until)
    )
