"""For every history and every way of cutting it into batches: incremental = rebuilt = reference."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.append import append
from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.project.folding import fold
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import CalculationLost, CalculationStarted
from quantum_forge.schema.language.projection import Projection
from tests.conftest import MAJOR
from tests.support.histories import TENANTS, cuts, histories
from tests.support.recording import bounds, in_order, recorded, rolled_back
from tests.support.tables import selected_rows, table_rows

REAL_DATABASE = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


EVERY_PROJECTION = pytest.mark.parametrize(
    "projection", PROJECTIONS.values(), ids=lambda projection: projection.name
)


@EVERY_PROJECTION
@settings(REAL_DATABASE, max_examples=8 if MAJOR == 18 else 4)
@given(data=st.data())
def test_incremental_equals_rebuilt_equals_reference(
    projection: Projection, common_engine: Engine, data: st.DataObject
) -> None:
    """However a history is cut into batches, the table is what the reference says."""
    holds(projection, common_engine, data)


@pytest.mark.soak
@EVERY_PROJECTION
@settings(REAL_DATABASE, max_examples=1_000)
@given(data=st.data())
def test_the_law_holds_for_many_histories(
    projection: Projection, common_engine: Engine, data: st.DataObject
) -> None:
    """The same, for as many histories as a soak test has time for."""
    holds(projection, common_engine, data)


def holds(projection: Projection, engine: Engine, data: st.DataObject) -> None:
    """Check the law for one history and one way of cutting it."""
    history = data.draw(histories([projection]))
    with engine.connect() as connection, rolled_back(connection):
        # Given: a history in the log
        events = recorded(connection, history)
        first, last = bounds(events)

        # When: it is folded batch by batch
        ends = [events[cut - 1].position if cut else first for cut in data.draw(cuts(len(history)))]
        after = first
        for upto in [*ends, last]:
            fold(connection, projection, after=after, upto=upto)
            after = upto

        # Then: all three agree
        reference = Reference(projection)
        reference.apply_all(events)
        assert table_rows(connection, projection) == reference.rows
        at_once = compiler.rows(projection)
        span = {"after": first, "upto": last}
        assert selected_rows(connection, projection, at_once, span) == reference.rows


# Without the filter, the first example would be an empty history, which takes as long as another.
@settings(REAL_DATABASE, max_examples=1)
@given(
    history=histories(list(PROJECTIONS.values()), max_size=40).filter(
        lambda drawn: len(drawn) > 10
    ),
    data=st.data(),
)
def test_the_projector_and_a_rebuild_give_the_tables_of_the_reference(
    engine: Engine, history: list[NewEvent], data: st.DataObject
) -> None:
    """What the projector commits in small batches, a rebuild commits again, row for row."""
    for cut in data.draw(cuts(len(history))):
        with engine.begin() as connection:
            append(connection, history[:cut])
        catch_up(engine, PROJECTIONS.values(), batch=data.draw(st.integers(1, 20)))
    with engine.connect() as connection:
        events = in_order(connection)

    for projection in PROJECTIONS.values():
        reference = Reference(projection)
        reference.apply_all(events)
        with engine.connect() as connection:
            assert table_rows(connection, projection) == reference.rows
        rebuild(engine, projection)
        with engine.connect() as connection:
            assert table_rows(connection, projection) == reference.rows


def test_a_type_without_a_field_still_competes_with_one_whose_field_may_be_absent(
    connection: Connection,
) -> None:
    """A restart clears the error of the attempt before it, whichever batch it comes in."""
    calculation = uuid7()
    common: dict[str, Any] = {"molecule_id": None, "batch_id": None, "attempt": 1}
    started = CalculationStarted(
        **common,
        method="GFN2-xTB",
        charge=0,
        multiplicity=1,
        program="tblite",
        program_version="1",
        timeout_seconds=1.0,
    )
    story = [started, CalculationLost(**common, error_message="killed"), started]
    events = recorded(
        connection,
        [NewEvent(tenant_id=TENANTS[0], entity_id=calculation, event=event) for event in story],
    )
    first, last = bounds(events)

    fold(connection, PROJECTIONS["calculations"], after=first, upto=last)

    (row,) = table_rows(connection, PROJECTIONS["calculations"]).values()
    assert (row["status"], row["error_type"], row["error_message"]) == ("running", None, None)
