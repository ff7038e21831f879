"""Retention trims tables, by tenant and table, and a rebuild brings nothing back."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.dead_letters import list_dead_letters
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.operate.retention import (
    DEFAULTS,
    NotRetained,
    apply_retention,
    read_retention,
    set_retention,
)
from quantum_forge.projections.project.folding import fold
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.access import SessionOpened, SessionStateSaved
from quantum_forge.schema.domains.telemetry import ApiRequestServed, PerformanceMetric
from quantum_forge.schema.language.projection import Projection, WrongDeclaration
from quantum_forge.schema.language.table import TIMESTAMP
from quantum_forge.schema.language.value import entity_id, position
from tests.conftest import Qforge
from tests.support.campaigns import counted, rows
from tests.support.chemical_history import happened, record
from tests.support.histories import cuts, histories
from tests.support.recording import bounds, recorded, rolled_back
from tests.support.tables import selected_rows, table_rows
from tests.support.toys import toy_table

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AUTHOR = Author(tenant_id=DEFAULT_TENANT_ID)
OTHER_TENANT = UUID(int=2, version=4)
SOURCE, OLD, LIVELY = (UUID(int=n, version=4) for n in (1, 2, 3))

toy = Projection(
    Table(
        "toy",
        MetaData(),
        Column("tenant_id", Uuid, nullable=False),
        Column("id", BigInteger, nullable=False),
        Column("metric_name", Text),
        Column("value", Double),
        Column("created_at", TIMESTAMP, nullable=False),
        Column("updated_at", TIMESTAMP, nullable=False),
        Column("last_position", BigInteger, nullable=False),
        PrimaryKeyConstraint("tenant_id", "id"),
    ),
    events=[PerformanceMetric],
    key={"id": position},
    retained=True,
)


def measured(days_ago: float, *, tenant_id: UUID = DEFAULT_TENANT_ID) -> NewEvent:
    """A metric of some time ago."""
    event = PerformanceMetric(metric_type="timer", metric_name="scf", value=days_ago, unit="s")
    return happened(event, SOURCE, tenant_id=tenant_id, at=NOW - timedelta(days=days_ago))


def requested(days_ago: float) -> NewEvent:
    """An API request of some time ago."""
    event = ApiRequestServed(endpoint="/", method="GET", status_code=200, response_time_ms=1.0)
    return happened(event, SOURCE, at=NOW - timedelta(days=days_ago))


def session(id_: UUID, *days_ago: float) -> list[NewEvent]:
    """A session that was opened, and used, so long ago."""
    opened = SessionOpened(user_id=SOURCE, token_hash="sha256:" + "0" * 64, expires_at=NOW)
    events = [opened, *(SessionStateSaved() for _ in days_ago[1:])]
    return [
        happened(event, id_, at=NOW - timedelta(days=days))
        for event, days in zip(events, days_ago, strict=True)
    ]


def values(engine: Engine) -> list[float]:
    """The metrics that the table holds."""
    return sorted(row["value"] for row in rows(engine, "performance_metrics"))


def test_a_cutoff_that_is_no_time_stops_nothing(engine: Engine) -> None:
    """SQL may append one: the table is kept up without it, and retention goes on."""
    table = "performance_metrics"
    record(engine, measured(100))
    set_retention(engine, AUTHOR, table, 200)
    with engine.begin() as connection:
        again = """
            SELECT append_events(jsonb_build_array(jsonb_build_object(
                'event_id', gen_random_uuid(), 'tenant_id', tenant_id, 'entity_type', entity_type,
                'entity_id', entity_id, 'event_type', 'retention_applied',
                'data', jsonb_build_object('table', data -> 'table', 'cutoff', 'soon'))))
              FROM event_logs WHERE event_type = 'retention_set'
        """
        connection.execute(text(again))
    record(engine, measured(1))

    assert values(engine) == [1, 100]
    with engine.connect() as connection:
        (parked,) = list_dead_letters(connection, [table])
        (before,) = [r for r in read_retention(connection, DEFAULT_TENANT_ID) if r.table == table]
    assert (parked.event_type, before.days, before.applied) == ("retention_applied", 200, None)
    set_retention(engine, AUTHOR, table, 50)
    apply_retention(engine, AUTHOR, now=NOW)
    assert values(engine) == [1]
    assert verify(engine, PROJECTIONS[table]).agrees


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_trimmed_alike_whenever_and_however_it_is_folded(
    engine: Engine, data: st.DataObject
) -> None:
    """Cutoffs among events, of two tenants, in any order: incremental = rebuilt = reference."""
    history = data.draw(histories([toy]))
    with engine.connect() as connection, rolled_back(connection):
        toy.table.create(connection)
        events = recorded(connection, history)
        start, last = bounds(events)
        ends = [events[cut - 1].position if cut else start for cut in data.draw(cuts(len(history)))]
        after = start
        for upto in [*ends, last]:
            fold(connection, toy, after=after, upto=upto)
            after = upto

        reference = Reference(toy)
        reference.apply_all(events)

        assert table_rows(connection, toy) == reference.rows
        span = {"after": start, "upto": last}
        assert selected_rows(connection, toy, compiler.rows(toy), span) == reference.rows


def test_what_was_trimmed_does_not_come_back(engine: Engine) -> None:
    """Not by a rebuild, not by a late event, not in a verification; the log keeps everything."""
    record(engine, *map(measured, (1, 89, 91, 200)), measured(200, tenant_id=OTHER_TENANT))
    catch_up(engine, PROJECTIONS.values())

    trimmed = apply_retention(engine, AUTHOR, now=NOW)
    record(engine, measured(150), measured(2))

    assert [(each.table, each.expired) for each in trimmed] == [("performance_metrics", 2)]
    assert values(engine) == [1, 2, 89, 200], "another tenant's rows stay"
    assert verify(engine, PROJECTIONS["performance_metrics"]).agrees
    rebuild(engine, PROJECTIONS["performance_metrics"])
    assert values(engine) == [1, 2, 89, 200]
    assert counted(engine)["performance_metric"] == 7
    assert apply_retention(engine, AUTHOR, now=NOW) == []


def test_a_look_back_shows_what_was_there_then(engine: Engine) -> None:
    """Before the cutoff was recorded, the rows were there."""
    placed = record(engine, measured(1), measured(200))
    catch_up(engine, PROJECTIONS.values())
    apply_retention(engine, AUTHOR, now=NOW)

    past = as_of(PROJECTIONS["performance_metrics"], placed[-1].position)

    with engine.connect() as connection:
        assert len(connection.execute(past.select()).all()) == 2
    assert values(engine) == [1]


def test_each_tenant_decides_for_itself(engine: Engine) -> None:
    """Shorter, or for ever; what nobody decided is as the catalogue says."""
    record(engine, measured(1), measured(10), measured(200), requested(200))
    record(engine, measured(50, tenant_id=OTHER_TENANT))
    catch_up(engine, PROJECTIONS.values())
    set_retention(engine, AUTHOR, "performance_metrics", 5)
    set_retention(engine, AUTHOR, "api_usage_logs", None)

    with engine.connect() as connection:
        by_table = {
            each.table: each for each in read_retention(connection, DEFAULT_TENANT_ID, now=NOW)
        }
    assert (by_table["performance_metrics"].days, by_table["performance_metrics"].expired) == (5, 2)
    assert by_table["api_usage_logs"].days is None
    assert by_table["user_sessions"].days == DEFAULTS["user_sessions"] == 7

    apply_retention(engine, AUTHOR, now=NOW)
    apply_retention(engine, Author(tenant_id=OTHER_TENANT), now=NOW)
    assert values(engine) == [1, 50]
    assert len(rows(engine, "api_usage_logs")) == 1


def test_sessions_without_activity_are_ended(engine: Engine) -> None:
    """Each by an event of its own, as of the last time that something happened in it."""
    record(engine, *session(OLD, 30, 8), *session(LIVELY, 30, 8, 6))
    catch_up(engine, PROJECTIONS.values())

    (trimmed,) = apply_retention(engine, AUTHOR, now=NOW)

    assert (trimmed.table, trimmed.expired) == ("user_sessions", 1)
    assert [row["id"] for row in rows(engine, "user_sessions")] == [LIVELY]
    assert counted(engine)["session_expired"] == 1
    rebuild(engine, PROJECTIONS["user_sessions"])
    assert [row["id"] for row in rows(engine, "user_sessions")] == [LIVELY]


def test_what_happened_since_keeps_a_session_though_the_table_lags(engine: Engine) -> None:
    """The log decides, not the table."""
    record(engine, *session(OLD, 30))
    catch_up(engine, PROJECTIONS.values())
    record(engine, happened(SessionStateSaved(), OLD, at=NOW))

    apply_retention(engine, AUTHOR, now=NOW)

    assert counted(engine)["session_expired"] == 0


def test_chemistry_is_kept_for_ever(engine: Engine) -> None:
    """Nobody can decide otherwise."""
    with pytest.raises(NotRetained, match="performance_metrics"):
        set_retention(engine, AUTHOR, "calculations", 1)


def test_only_a_table_of_events_can_be_retained() -> None:
    """Of an entity with a history, a cutoff would leave half."""
    with pytest.raises(WrongDeclaration, match="retained needs a row for each event"):
        Projection(
            toy_table("toy", Column("value", Double)),
            events=[PerformanceMetric],
            key={"id": entity_id},
            retained=True,
        )


def test_the_command_shows_decides_and_applies(qforge_here: Qforge, engine: Engine) -> None:
    """A dry run trims nothing; a second run has nothing to do."""
    record(engine, measured(-3000 / 86400), *(measured(400 + n) for n in range(3)))
    said = qforge_here("retention", "set", "performance_metrics", "30").stderr
    assert said.startswith("performance_metrics keeps its rows for 30 days;")

    told = json.loads(qforge_here("retention", "apply", "--dry-run", "--json").stdout)
    assert [(each["table"], each["expired"]) for each in told] == [("performance_metrics", 3)]
    assert len(values(engine)) == 4
    qforge_here("retention", "apply")
    assert len(values(engine)) == 1
    assert "Nothing is due" in qforge_here("retention", "apply").stderr
    assert "performance_metrics\t30" in qforge_here("retention", "show").stdout
    qforge_here("retention", "set", "performance_metrics", "soon", status=2)
    qforge_here("retention", "set", "molecules", "30", status=2)
