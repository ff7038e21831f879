"""How many events a long log has of each type, without reading it."""

from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.log.statistics import count_by_type, estimate_by_type
from tests.support.appending import OTHER_TENANT, TENANT

EVENTS = 20_000
PAGES = 60
"""Of the sample; a log of so many events has some four hundred."""


@pytest.fixture
def long_log(engine: Engine) -> Engine:
    """Return a log, never analysed, with a few events of another tenant and of rare types."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version,
                                        event_type, schema_version, data, metadata, occurred_at,
                                        recorded_at)
                SELECT gen_random_uuid(),
                       CASE WHEN n % 100 = 0 THEN CAST(:other AS uuid) ELSE :tenant END,
                       'batch', gen_random_uuid(), 1,
                       CASE WHEN n % 5000 = 0 THEN 'batch_failed'
                            WHEN n % 5000 = 1 THEN 'batch_cancelled'
                            WHEN n % 4 = 0 THEN 'batch_started' ELSE 'batch_resumed' END,
                       1, '{"total_count": 1}', '{}', clock_timestamp(), clock_timestamp()
                  FROM generate_series(0, :last) AS n
            """),
            {"tenant": TENANT, "other": OTHER_TENANT, "last": EVENTS - 1},
        )
    return engine


def test_a_short_log_is_counted(long_log: Engine) -> None:
    """Up to the position that is asked for; an empty one has no types."""
    with long_log.connect() as connection:
        assert estimate_by_type(connection, 0).events == {}
        assert estimate_by_type(connection, 10).events == {
            "batch_cancelled": 1,
            "batch_failed": 1,
            "batch_resumed": 6,
            "batch_started": 2,
        }
        assert estimate_by_type(connection, EVENTS).estimated == []


def test_of_a_long_log_what_is_frequent_is_estimated(long_log: Engine) -> None:
    """And what is rare counted, though the sample has none of it; the same at every look."""
    with long_log.connect() as connection:
        found = estimate_by_type(connection, EVENTS, pages=PAGES, few=500)
        again = estimate_by_type(connection, EVENTS, pages=PAGES, few=500)
        counted = count_by_type(connection, EVENTS)

    assert found == again
    assert found.estimated == ["batch_resumed", "batch_started"]
    assert found.events.keys() == counted.events.keys()
    for name, number in counted.events.items():
        error = abs(found.events[name] - number)
        assert error <= (number / 2 if name in found.estimated else 0), name
    assert counted.estimated == []


def test_an_estimate_reads_a_sample_only(long_log: Engine) -> None:
    """Neither a scan of the log nor of its index: a fraction of its rows."""
    with long_log.connect() as connection:
        before = rows_read(connection)
        estimate_by_type(connection, EVENTS, pages=PAGES, few=500)

        assert rows_read(connection) - before < EVENTS / 2


@pytest.mark.parametrize("tenant", [TENANT, OTHER_TENANT])
def test_an_estimate_is_of_the_tenant_that_asks(long_log: Engine, tenant: UUID) -> None:
    """Who has few events among many of others gets their number; nobody learns of the others'."""
    with long_log.begin() as connection:
        connection.execute(text("SET LOCAL ROLE qforge_auditor"))
        act_for(connection, tenant)
        found = estimate_by_type(connection, EVENTS, pages=PAGES, few=500)

    if tenant == OTHER_TENANT:
        assert found.events == {"batch_failed": 4, "batch_started": 196}
        assert found.estimated == []
    else:
        assert found.estimated == sorted(found.events)
        assert "batch_failed" not in found.events
        assert found.events["batch_started"] < 1.5 * EVENTS / 4


def rows_read(connection: Connection) -> int:
    """How many rows scans of the log and its indexes have read so far."""
    connection.execute(text("SELECT pg_stat_force_next_flush()"))
    connection.commit()
    connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    query = """
        SELECT sum(seq_tup_read)
               + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
                   WHERE relname LIKE 'event_logs_%')
          FROM pg_stat_user_tables WHERE relname LIKE 'event_logs_%'
    """
    return int(connection.execute(text(query)).scalar_one())
