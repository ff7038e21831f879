"""A span of time is found in a long log without reading what is older or newer."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, TextClause, text

from quantum_forge.eventstore.log import time_range as span
from quantum_forge.eventstore.log.read import Filter, read_all
from quantum_forge.eventstore.log.time_range import OCCURRED, RECORDED, last_recorded, ranges
from tests.support.appending import TENANT

EVENTS = 20_000
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ENTITY = UUID(int=7)


@pytest.fixture
def long_log(engine: Engine) -> Engine:
    """Return a log of one event a minute, of which few occurred long before, and one long after."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("""
                INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version,
                                        event_type, schema_version, data, metadata, occurred_at,
                                        recorded_at)
                SELECT gen_random_uuid(), :tenant, 'batch', :entity, n + 1, 'batch_resumed', 1,
                       '{"total_count": 1}', jsonb_build_object('padding', repeat('x', 700)),
                       recorded + CASE WHEN n = 4000 THEN interval '10 days'
                                       WHEN n % 6000 = 5000 THEN interval '-10 days'
                                       ELSE n % 7 * interval '-1 second' END,
                       recorded + n % 5 * interval '-10 seconds'
                  FROM generate_series(0, :last) AS n,
                       LATERAL (SELECT :beginning + n * interval '1 minute' AS recorded) AS clock
            """),
            {"tenant": TENANT, "entity": ENTITY, "last": EVENTS - 1, "beginning": BEGINNING},
        )
        connection.execute(text("VACUUM ANALYZE event_logs"))
    return engine


def test_a_span_has_every_event_that_occurred_in_it(
    long_log: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open or closed, forward or backward, within positions, wherever its events were recorded."""
    draw = random.Random(1)
    with long_log.connect() as connection:
        times = {event.position: event.occurred_at for event in read_all(connection)}
        for _ in range(40):
            begin, end = sorted(BEGINNING + draw.uniform(-0.1, 1.1) * EVENTS * MINUTE for _ in "ab")
            since = draw.choice([None, begin])
            until = draw.choice([None, end, begin + timedelta(hours=1)])
            after, upto = draw.choice([(0, EVENTS), (3_000, 18_000)])
            wanted = [
                position
                for position, time in times.items()
                if after < position <= upto
                and (since is None or time >= since)
                and (until is None or time < until)
            ]
            backward = draw.choice([True, False])
            found = list(
                ranges(connection, after, upto, since=since, until=until, backward=backward)
            )

            covered = [position for low, high in found for position in range(low + 1, high + 1)]
            assert len({*covered}) == len(covered)
            assert {*wanted} <= {*covered} <= {*range(after + 1, upto + 1)}
            assert found == sorted(found, reverse=backward)
        where = Filter(since=BEGINNING + 1440 * MINUTE, until=BEGINNING + 2880 * MINUTE)
        narrowed = [event.position for event in read_all(connection, where=where, backward=True)]
        monkeypatch.setattr(span, "WORTHWHILE", EVENTS)
        assert narrowed == [e.position for e in read_all(connection, where=where, backward=True)]
        assert 17_001 in narrowed  # it was recorded ten days later


def test_what_is_older_and_newer_is_not_read(long_log: Engine) -> None:
    """An hour in the middle is a few positions; the index of positions and times tells the rest."""
    since = BEGINNING + 9_000 * MINUTE
    until = since + 60 * MINUTE
    questions: list[tuple[TextClause, dict[str, Any]]] = [
        (OCCURRED, {"after": 0, "upto": 8_999, "since": since, "until": until}),
        (OCCURRED, {"after": 0, "upto": 8_999, "since": since, "until": None}),
        (OCCURRED, {"after": 9_070, "upto": EVENTS, "since": since, "until": until}),
        (OCCURRED, {"after": 9_070, "upto": EVENTS, "since": None, "until": until}),
        (RECORDED, {"after": 9_000, "upto": EVENTS, "time": since}),
    ]
    with long_log.connect() as connection:
        parts = list(ranges(connection, 0, EVENTS, since=since, until=until))
        plans = [read_by(connection, *question) for question in questions]

    assert sum(high - low for low, high in parts) < 200
    for rows, indexes in plans:
        assert indexes == {"expr_recorded_at_occurred_at"}
        assert rows < EVENTS / 4


class Clock(NamedTuple):
    """A history of the database's clock: seconds from event to event; it is set back by some.

    lags: seconds by which each event occurred before it was recorded.
    """

    steps: list[int]
    lags: list[int]


clocks = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 90), st.integers(-40_000, 40_000)),
        st.one_of(st.just(0), st.integers(-5_000, 50_000)),
    ),
    max_size=60,
).map(lambda drawn: Clock([step for step, _ in drawn], [lag for _, lag in drawn]))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(clock=clocks, data=st.data())
def test_spans_and_moments_are_exact_for_every_order_of_clocks(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, clock: Clock, data: st.DataObject
) -> None:
    """Also where the server's clock was set back: every event of a span, every event by a time."""
    monkeypatch.setattr(span, "WORTHWHILE", data.draw(st.sampled_from([0, 7, 10_000])))
    recorded = {
        position: BEGINNING + timedelta(seconds=seconds)
        for position, seconds in enumerate(itertools.accumulate(clock.steps), start=1)
    }
    occurred = {
        position: recorded[position] - timedelta(seconds=lag)
        for position, lag in enumerate(clock.lags, start=1)
    }
    times = st.sampled_from([BEGINNING, *recorded.values(), *occurred.values()])
    since, until = data.draw(st.none() | times), data.draw(st.none() | times)
    moment, head = data.draw(times), len(recorded)
    with engine.connect() as connection:
        rows = [{"position": n, "recorded": recorded[n], "occurred": occurred[n]} for n in recorded]
        if rows:
            connection.execute(A_ROW, rows)
        found = list(ranges(connection, 0, head, since=since, until=until))
        reached = last_recorded(connection, moment, head)
        connection.rollback()

    covered = [position for low, high in found for position in range(low + 1, high + 1)]
    wanted = {
        position
        for position, time in occurred.items()
        if (since is None or time >= since) and (until is None or time < until)
    }
    assert len({*covered}) == len(covered)
    assert wanted <= {*covered}
    assert reached == max((p for p, time in recorded.items() if time <= moment), default=0)


A_ROW = text("""
    INSERT INTO event_logs (id, event_id, tenant_id, entity_type, entity_id, version, event_type,
                            schema_version, data, metadata, occurred_at, recorded_at)
    VALUES (:position, gen_random_uuid(), gen_random_uuid(), 'batch', gen_random_uuid(), 1,
            'batch_resumed', 1, '{"total_count": 1}', '{}', :occurred, :recorded)
""")


def test_events_are_listed_after_the_clock_was_set_back(engine: Engine) -> None:
    """Three hours of events, recorded a second time by a clock that was set back three hours."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("""
                INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version,
                                        event_type, schema_version, data, metadata, occurred_at,
                                        recorded_at)
                SELECT gen_random_uuid(), :tenant, 'batch', :entity, n + 1, 'batch_resumed', 1,
                       '{"total_count": 1}', '{}', at, at
                  FROM generate_series(0, :last) AS n,
                       LATERAL (SELECT :beginning + n * interval '1 minute'
                                     - (n / 15000) * interval '10000 minutes' AS at) AS clock
            """),
            {"tenant": TENANT, "entity": ENTITY, "last": EVENTS - 1, "beginning": BEGINNING},
        )
        where = Filter(since=BEGINNING + 5_000 * MINUTE, until=BEGINNING + 8_000 * MINUTE)

        def found() -> list[int]:
            return [event.position for event in read_all(connection, where=where)]

        wanted = [*range(5_001, 8_001), *range(15_001, 18_001)]
        assert found() == wanted
        connection.execute(text("VACUUM ANALYZE event_logs"))
        assert found() == wanted


def test_an_open_span_or_few_positions_are_taken_as_they_are(long_log: Engine) -> None:
    """Looking for their bounds would cost more than it saves."""
    with long_log.connect() as connection:
        assert [*ranges(connection, 5, EVENTS, since=None, until=None)] == [(5, EVENTS)]
        assert [*ranges(connection, 5, 500, since=BEGINNING, until=None)] == [(5, 500)]


def read_by(
    connection: Connection, query: TextClause, values: dict[str, Any]
) -> tuple[int, set[str]]:
    """How many rows of the log are looked at in vain, and by the indexes of which columns."""
    explained = connection.execute(
        text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.text}"), values
    ).scalar_one()
    nodes, rows, indexes = [explained[0]["Plan"]], 0, set()
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        rows += node.get("Rows Removed by Index Recheck", 0) + node.get("Rows Removed by Filter", 0)
        if "event_logs_p000000000000001" in (name := node.get("Index Name", "")):
            indexes.add(name.removeprefix("event_logs_p000000000000001_").removesuffix("_idx"))
    return rows, indexes
