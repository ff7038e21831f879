"""The past of every projection: as the reference says, by index, and at the right position."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ClauseElement,
    Connection,
    Engine,
    Executable,
    Select,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.place import BeyondHead
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.log.time_range import LONGEST_APPEND
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.history.difference import Change, ChangeKind, difference
from quantum_forge.projections.history.moment import BeforeLog, position_at
from quantum_forge.projections.project.folding import fold
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.molecules import MoleculeUpdated, molecule_id
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import Envelope
from quantum_forge.schema.tables import event_logs
from tests.support.chemical_history import completed, created, happened, record, started
from tests.support.histories import histories
from tests.support.recording import bounds, recorded, rolled_back
from tests.support.tables import Rows, folded_only, selected_rows, whole_rows

LAW = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WATER = UUID("aaaa1111-0000-4000-8000-000000000001")
ETHANOL = UUID("aaaa2222-0000-4000-8000-000000000002")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=lambda p: p.name)
@LAW
@given(data=st.data())
def test_any_past_is_what_the_reference_says(
    projection: Projection, common_engine: Engine, data: st.DataObject
) -> None:
    """As of any position, the rows are the reference's; as of the head, they are the table's."""
    history = data.draw(histories([projection]))
    with common_engine.connect() as connection, rolled_back(connection):
        # Given: a history in the log, folded into the table
        events = recorded(connection, history)
        first, head = bounds(events)
        fold(connection, projection, after=first, upto=head)

        # When: the past is read, at a position somewhere in it and at the head
        cut = data.draw(st.integers(0, len(events)))
        position = events[cut - 1].position if cut else first
        past, present = (
            past_rows(connection, projection, at, ignoring=first) for at in (position, head)
        )

        # Then: it is what the reference says of the events up to there
        assert folded_only(projection, past) == reference_rows(projection, events[:cut])
        assert folded_only(projection, present) == reference_rows(projection, events)
        assert present == whole_rows(connection, projection)


@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=lambda p: p.name)
@LAW
@given(data=st.data())
def test_a_difference_leads_from_one_past_to_the_other(
    projection: Projection, common_engine: Engine, data: st.DataObject
) -> None:
    """What is said to be added, removed and changed makes of one past the other, and no more."""
    history = data.draw(histories([projection]))
    with common_engine.connect() as connection, rolled_back(connection):
        # Given: two positions of a history
        events = recorded(connection, history)
        first, _ = bounds(events)
        places = st.sampled_from([first, *(event.position for event in events)])
        earlier, later = data.draw(places), data.draw(places)
        before, after = as_of(projection, earlier, "before"), as_of(projection, later, "after")
        key = ["tenant_id", *projection.key]

        # When: they are compared
        found = difference(connection, before, after, key, limit=None)

        # Then: the changes lead from one to the other
        rows = past_rows(connection, projection, earlier)
        for change in found.examples:
            apply(change, rows)
        assert rows == past_rows(connection, projection, later)
        numbers = (found.added, found.removed, found.changed)
        assert numbers == tuple(
            sum(change.kind is kind for change in found.examples) for kind in ChangeKind
        )
        assert bool(found) == (earlier != later and bool(found.examples))


def apply(change: Change, rows: Rows) -> None:
    """Make a change, which must say the truth about what was there before."""
    key = tuple(change.key.values())
    assert rows.get(key) == change.before
    if change.after is None:
        del rows[key]
        return
    if change.before is not None:
        differing = [name for name, value in change.after.items() if value != change.before[name]]
        assert change.columns == differing
    rows[key] = change.after


def past_rows(
    connection: Connection, projection: Projection, position: int, ignoring: int = 0
) -> Rows:
    """The rows as of a position; of a log that is empty up to `ignoring`."""
    assert connection.scalar(select(func.count()).where(event_logs.c.id <= ignoring)) == 0
    return selected_rows(connection, projection, select(as_of(projection, position)))


def reference_rows(projection: Projection, events: list[RecordedEvent]) -> Rows:
    """The rows that the reference makes of events."""
    reference = Reference(projection)
    reference.apply_all(events)
    return reference.rows


# -- composing


def test_the_past_composes_with_conditions_and_joins(connection: Connection) -> None:
    """Two pasts stand in one query, and are joined and restricted like tables."""
    # Given: a molecule that is renamed, and calculated under its second name
    water = created("O")
    id_ = molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)
    renamed = happened(MoleculeUpdated(name="water"), id_)
    story = [water, started(WATER, "O"), renamed, completed(WATER, "O", gap=14.6)]
    positions = [placed.position for placed in append(connection, story)]

    # When: names of two times and the calculation are joined
    old = as_of(PROJECTIONS["molecules"], positions[1], "old")
    new = as_of(PROJECTIONS["molecules"], positions[3], "new")
    calculations = as_of(PROJECTIONS["calculations"], positions[3])
    query = (
        select(old.c.name, new.c.name, calculations.c.status)
        .join_from(old, new, (old.c.tenant_id == new.c.tenant_id) & (old.c.id == new.c.id))
        .join(calculations, calculations.c.molecule_id == new.c.id)
        .where(calculations.c.gap > 14, new.c.smiles == "O")
    )

    # Then: each is of its own time
    assert connection.execute(query).all() == [("name of O", "water", "completed")]


@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=lambda p: p.name)
def test_the_past_has_the_columns_of_the_table(projection: Projection) -> None:
    """Name for name, in the table's order."""
    assert as_of(projection, 1).c.keys() == projection.table.c.keys()


BY_STREAM = [
    projection
    for projection in PROJECTIONS.values()
    if set(next(iter(projection.key.values())).values()) == {Envelope("entity_id")}
    and "calculation_completed" in projection.events
]


def test_the_past_of_one_entity_reads_its_own_stream(engine: Engine) -> None:
    """Composed afterwards, the condition on the key still leads to the index of the streams."""
    # Given: a log of many streams
    for _ in range(20):
        ids = [uuid7() for _ in range(50)]
        record(
            engine, *(event for id_ in ids for event in (started(id_, "O"), completed(id_, "O")))
        )
    with engine.begin() as connection:
        connection.execute(text("ANALYZE event_logs"))
        head = safe_head(connection)

        for projection in BY_STREAM:
            # When: the past of one of them is asked for
            past = as_of(projection, head)
            first = past.c[next(iter(projection.key))]
            query = select(past).where(past.c.tenant_id == DEFAULT_TENANT_ID, first == ids[0])
            scans = list(scans_of_the_log(explained(connection, query)))

            # Then: every look into the log goes by entity, and finds no event of another
            assert scans, projection.name
            for scan in scans:
                assert "entity_id" in scan.get("Index Cond", ""), (projection.name, scan)
                assert scan["Actual Rows"] <= 2, projection.name


class Explain(Executable, ClauseElement):
    """The plan of a query as it ran, in JSON."""

    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(Explain)
def _explain(element: Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (ANALYZE, FORMAT JSON) {compiler.process(element.query, **options)}"


def explained(connection: Connection, query: Select[Any]) -> dict[str, Any]:
    """The root of a query's plan."""
    (root,) = connection.execute(Explain(query)).scalar_one()
    plan: dict[str, Any] = root["Plan"]
    return plan


def scans_of_the_log(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read a partition of the log in which there is something."""
    name = node.get("Relation Name", "")
    if name.startswith("event_logs") and not name.endswith("default"):
        yield node
    for child in node.get("Plans", []):
        yield from scans_of_the_log(child)


# -- which position a time stands for


@settings(LAW, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 59), st.integers(1, 3)), max_size=20
    ),
    seconds=st.integers(-5, 600),
)
def test_a_time_stands_for_everything_recorded_by_then(
    engine: Engine, steps: list[tuple[int, int, int]], seconds: int
) -> None:
    """However appends overlap: all that was recorded by then is in, what follows came later."""
    with engine.connect() as connection, rolled_back(connection):
        # Given: events that were recorded up to a minute before they got their positions
        placed, position = EPOCH, 0
        times: dict[int, datetime] = {}
        for wait, lag, step in steps:
            placed, position = placed + timedelta(seconds=wait), position + step
            times[position] = placed - timedelta(seconds=lag)
        written_at(connection, times)
        time = EPOCH + timedelta(seconds=seconds)

        # When: a time is asked for
        found = position_at(connection, time, may_precede=True)

        # Then: what was recorded by then is in, the event at the position too, the next is not
        assert max((p for p, at in times.items() if at <= time), default=0) <= found
        within, beyond = ([t for p, t in times.items() if (p <= found) is side] for side in (1, 0))
        assert not within or within[-1] <= time
        assert not beyond or min(beyond) > time


def written_at(connection: Connection, times: dict[int, datetime]) -> None:
    """Put events at these positions, recorded at these times; in a log that is empty."""
    for position, time in times.items():
        event = {
            "id": position,
            "event_id": uuid7(),
            "tenant_id": DEFAULT_TENANT_ID,
            "entity_type": "molecule",
            "entity_id": WATER,
            "version": position,
            "event_type": "molecule_deleted",
            "schema_version": 1,
            "data": {},
            "metadata": {},
            "occurred_at": time,
            "recorded_at": time,
        }
        connection.execute(insert(event_logs).values(event))
    connection.execute(text("SELECT setval('event_logs_id_seq', :n)"), {"n": max(times, default=1)})


def test_finding_the_position_of_a_time_does_not_read_the_log(engine: Engine) -> None:
    """A few events by primary key, however long the log is."""
    record(engine, *(started(uuid7(), "O") for _ in range(1000)))
    with engine.connect() as connection:
        now = connection.execute(select(func.clock_timestamp())).scalar_one()
        connection.execute(text("ANALYZE event_logs"))
        reads = (
            "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname ~ '^event_logs_p0*1$'"
        )
        before = connection.execute(text(reads)).scalar_one()

        with pytest.raises(BeforeLog):
            position_at(connection, now - LONGEST_APPEND * 3)

        assert connection.execute(text(reads)).scalar_one() == before


def test_what_has_not_happened_has_no_position(engine: Engine) -> None:
    """Neither a position beyond the safe head nor a time to come; the error says what there is."""
    record(engine, created("O"))
    with engine.connect() as connection:
        head = safe_head(connection)
        now = connection.execute(select(func.clock_timestamp())).scalar_one()

        assert position_at(connection, head) == head
        assert position_at(connection, now) == head
        assert position_at(connection, 0) == 0
        with pytest.raises(BeforeLog, match=f"beginning of the log at {now.year}"):
            position_at(connection, EPOCH)
        for beyond in (head + 1, -1, now + timedelta(days=1)):
            with pytest.raises(BeyondHead, match=f"to {head}"):
                position_at(connection, beyond)
