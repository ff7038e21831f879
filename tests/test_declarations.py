"""A wrong declaration is refused when it is made; every operation means what the reference says."""

import linecache
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Engine,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from projections import compiler
from projections.fold import Fold, count, first, largest, last, smallest, tally, total
from projections.folding import fold
from projections.projection import Projection, WrongDeclaration
from projections.reference import Reference
from projections.registry import _by_name
from projections.value import element, entity_id, occurred_at, position
from schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchItemsAdded,
    BatchProgressed,
    BatchStarted,
)
from schema.events.chemistry import (
    CalculationCompleted,
    CalculationFailed,
    CalculationInvalidated,
    CalculationStarted,
    MoleculeCreated,
    MoleculeUpdated,
)
from schema.tables.base import TIMESTAMP
from tests.histories import cuts, histories
from tests.recording import bounds, recorded, rolled_back
from tests.tables import selected_rows, table_rows
from tests.toys import toy_table

# Refused when it is made


def declare(column: Column[Any], how: Fold | None, **changed: Any) -> Projection:
    """Declare a projection of one column over calculations and molecules."""
    given: dict[str, Any] = {
        "events": [CalculationStarted, CalculationCompleted, CalculationFailed, MoleculeUpdated],
        "key": {"id": entity_id},
        "ends": [CalculationInvalidated],
        "columns": {} if how is None else {column.name: how},
    }
    return Projection(toy_table("toy", column), **given | changed)


WRONG: dict[str, tuple[Column[Any], Fold | None, str]] = {
    "no event has the field": (Column("colour", Text), None, "no event has a field colour"),
    "an event that is not among its own": (
        Column("smiles", Text),
        last(MoleculeCreated.smiles),
        r"smiles takes MoleculeCreated\.smiles",
    ),
    "the count of an event that is not among its own": (
        Column("n", BigInteger),
        count(BatchStarted),
        "n takes BatchStarted",
    ),
    "a text for a number": (
        Column("energy", Double),
        last(CalculationCompleted.program),
        "energy is DOUBLE.* StrType from calculation_completed",
    ),
    "a number for a text": (Column("energy", Text), None, "energy is TEXT.* FloatType"),
    "a number for an id": (
        Column("who", Uuid),
        last(CalculationStarted.attempt),
        "who is .* IntType",
    ),
    "a fraction for an integer": (Column("energy", Integer), None, "energy is INTEGER.* FloatType"),
    "a time for a number": (Column("at", Double), last(occurred_at()), "at is DOUBLE.* DateTime"),
    "a status that is no text": (Column("attempt", Text), None, "attempt is TEXT.* IntType"),
    "a list for a text": (Column("atoms", Text), None, "atoms is TEXT.* ListType"),
    "a count in a text": (Column("n", Text), count(CalculationFailed), "n is TEXT.* a count"),
    "a tally in a number": (
        Column("n", BigInteger),
        tally(CalculationFailed.error_type),
        "n is BIGINT.* a tally",
    ),
    "a sum in a double": (
        Column("energy", Double),
        total(CalculationCompleted.energy),
        "energy is DOUBLE.* a sum .*rounding",
    ),
    "a sum of fractions in an integer": (
        Column("energy", BigInteger),
        total(CalculationCompleted.energy),
        "energy is BIGINT.* FloatType",
    ),
    "a sum of texts": (
        Column("n", Numeric),
        total(CalculationFailed.error_message),
        "n is NUMERIC.* StrType",
    ),
    "the least of texts, which depends on the collation": (
        Column("program", Text),
        smallest(CalculationStarted.program),
        "program is TEXT.* an order",
    ),
    "the least of booleans": (
        Column("is_converged", Boolean),
        smallest(CalculationCompleted.is_converged),
        "is_converged is BOOLEAN.* an order",
    ),
    "the largest of ids": (
        Column("batch_id", Uuid),
        largest(CalculationStarted.batch_id),
        "batch_id is .* an order",
    ),
    "a tally of fractions, which have several texts": (
        Column("n", JSONB),
        tally(CalculationCompleted.energy),
        "n is JSONB.* FloatType",
    ),
    "a tally of times": (Column("n", JSONB), tally(occurred_at()), "n is JSONB.* DateTimeType"),
    "the first of what may be null": (
        Column("gap", Double),
        first(CalculationCompleted.gap),
        "gap takes the first of what may be null",
    ),
    "a condition on a field that is not there": (
        Column("n", BigInteger),
        count(CalculationFailed, where={"mood": "bad"}),
        "n: calculation_failed has no field mood",
    ),
    "a value of what ends the row": (
        Column("reason", Text),
        last(CalculationInvalidated.reason),
        "reason takes a value from calculation_invalidated, which ends",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_column_is_refused_with_projection_column_and_line(what: str) -> None:
    """The message leads to the line of the declaration."""
    column, how, words = WRONG[what]
    with pytest.raises(WrongDeclaration, match=rf"projection toy: .*{words}") as caught:
        declare(column, how)
    found = re.match(r"(.*):(\d+): ", str(caught.value))
    assert found is not None
    assert "Projection(" in linecache.getline(found[1], int(found[2]))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("colour", last(CalculationStarted.method)),
        ("id", last(entity_id)),
        ("tenant_id", last(entity_id)),
        ("last_position", last(position)),
        ("updated_at", last(occurred_at())),
    ],
)
def test_a_column_that_no_fold_can_fill_is_refused(name: str, how: Fold) -> None:
    """It does not exist, is the key, or is filled by the engine."""
    with pytest.raises(WrongDeclaration, match=f"projection toy: {name} is not a column"):
        declare(Column("method", Text), None, columns={name: how})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"key": {"molecule_id": entity_id}}, "its key must be tenant_id and molecule_id"),
        ({"key": {}}, "its key must be tenant_id"),
        (
            {"key": {"id": (CalculationStarted.molecule_id,)}},
            "key column id has no source in molecule_updated",
        ),
        ({"opens": [BatchStarted]}, "opens names an event type that is not among its events"),
        ({"replaces": True}, "replaces needs the element's index in the key"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(changed: dict[str, Any], words: str) -> None:
    """Every event must say which row it concerns."""
    with pytest.raises(WrongDeclaration, match=f"projection toy: .*{words}"):
        declare(Column("method", Text), None, **changed)


def test_a_table_whose_key_lacks_the_tenant_is_refused() -> None:
    """Rows of two tenants must never meet."""
    table = Table(
        "toy",
        MetaData(),
        Column("tenant_id", Uuid, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("method", Text),
        Column("created_at", TIMESTAMP),
        Column("updated_at", TIMESTAMP),
        Column("last_position", BigInteger),
        PrimaryKeyConstraint("id"),
    )
    with pytest.raises(WrongDeclaration, match="its key must be tenant_id and id"):
        Projection(table, events=[CalculationStarted], key={"id": entity_id})


def test_what_is_no_field_of_an_event_is_refused() -> None:
    """A misspelt field is an AttributeError of Python's; anything else is refused by name."""
    with pytest.raises(TypeError, match="is not a field of an event type"):
        last("energy")
    with pytest.raises(TypeError, match="is not a field of an event type"):
        last(CalculationStarted.event_type)


def test_two_projections_of_one_table_are_refused() -> None:
    """Each would overwrite the other's rows."""
    twice = [declare(Column("method", Text), None) for _ in range(2)]
    with pytest.raises(WrongDeclaration, match="two projections fill the table toy"):
        _by_name(twice)


# Every operation is what the reference says

costs = Projection(
    toy_table(
        "toy_costs",
        Column("attempts", BigInteger),
        Column("converged_cycles", BigInteger),
        Column("attempt_sum", Numeric),
        Column("least_energy", Double),
        Column("most_seconds", Double),
        Column("least_attempt", Integer),
        Column("earliest_start", TIMESTAMP),
        Column("highest_position", BigInteger),
        Column("errors", JSONB),
        Column("attempt_tally", JSONB),
        Column("converged_tally", JSONB),
        Column("timeouts", BigInteger),
        Column("critical_message", Text),
        Column("last_code_of_timeouts", Text),
        Column("first_method", Text),
        Column("first_program", Text),
        Column("first_at", TIMESTAMP),
        Column("program", Text),
    ),
    events=[CalculationStarted, CalculationCompleted, CalculationFailed],
    key={"id": entity_id},
    ends=[CalculationInvalidated],
    columns={
        "attempts": total(CalculationStarted.attempt, CalculationFailed.retry_count),
        "converged_cycles": total(CalculationCompleted.scf_cycles, where={"is_converged": True}),
        "attempt_sum": total(CalculationStarted.attempt),
        "least_energy": smallest(CalculationCompleted.energy),
        "most_seconds": largest(
            CalculationCompleted.wall_time_seconds, CalculationFailed.wall_time_seconds
        ),
        "least_attempt": smallest(
            CalculationFailed.attempt, CalculationStarted.attempt, where={"batch_id": None}
        ),
        "earliest_start": smallest(occurred_at(CalculationStarted)),
        "highest_position": largest(position),
        "errors": tally(CalculationFailed.error_type),
        "attempt_tally": tally(CalculationStarted.attempt, CalculationFailed.attempt),
        "converged_tally": tally(CalculationCompleted.is_converged),
        "timeouts": count(CalculationFailed, where={"error_type": "timeout"}),
        "critical_message": last(
            CalculationFailed.error_message, where={"error_severity": "critical"}
        ),
        "last_code_of_timeouts": last(
            CalculationFailed.error_code,
            where={"error_type": "timeout", "user_action_required": False},
        ),
        "first_method": first(CalculationStarted.method),
        "first_program": first(CalculationCompleted.program, CalculationStarted.program),
        "first_at": first(occurred_at()),
    },
)

progress = Projection(
    toy_table(
        "toy_progress",
        Column("items", BigInteger),
        Column("most_done", BigInteger),
        Column("least_failed", BigInteger),
        Column("reasons", JSONB),
        Column("done_tally", JSONB),
        Column("ends_seen", BigInteger),
        Column("first_total", BigInteger),
        Column("last_good_total", BigInteger),
    ),
    events=[BatchStarted, BatchProgressed, BatchCompleted],
    key={"id": entity_id},
    opens=[BatchStarted, BatchProgressed],
    ends=[BatchCancelled],
    columns={
        "items": total(BatchStarted.total_count, BatchCompleted.total_count),
        "most_done": largest(BatchProgressed.successful_count, BatchCompleted.successful_count),
        "least_failed": smallest(
            BatchProgressed.failed_count, BatchCompleted.failed_count, where={"failed_count": 0}
        ),
        "reasons": tally(BatchStarted.name),
        "done_tally": tally(BatchProgressed.successful_count, where={"failed_count": 0}),
        "ends_seen": count(BatchCompleted, BatchProgressed, where={"failed_count": 0}),
        "first_total": first(BatchStarted.total_count, BatchCompleted.total_count),
        "last_good_total": last(
            BatchCompleted.successful_count,
            BatchProgressed.successful_count,
            where={"failed_count": 0},
        ),
    },
)

items = Projection(
    toy_table(
        "toy_items",
        Column("times_added", BigInteger),
        Column("first_at", TIMESTAMP),
        Column("last_at", TIMESTAMP),
        key=("batch_id", "molecule_id"),
    ),
    events=[BatchItemsAdded],
    key={"batch_id": entity_id, "molecule_id": element},
    elements=BatchItemsAdded.molecule_ids,
    columns={
        "times_added": count(BatchItemsAdded),
        "first_at": smallest(occurred_at()),
        "last_at": largest(occurred_at()),
    },
)


@pytest.mark.parametrize("toy", [costs, progress, items], ids=lambda toy: toy.name)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_operation_is_incremental_rebuilt_and_reference_alike(
    toy: Projection, engine: Engine, data: st.DataObject
) -> None:
    """Sums, extremes, tallies, firsts, conditions, several types, fresh starts after an end."""
    history = data.draw(histories([toy]))
    with engine.connect() as connection, rolled_back(connection):
        # Given: the table and a history
        toy.table.create(connection)
        events = recorded(connection, history)
        start, last_position = bounds(events)

        # When: it is folded batch by batch
        ends = [events[cut - 1].position if cut else start for cut in data.draw(cuts(len(history)))]
        after = start
        for upto in [*ends, last_position]:
            fold(connection, toy, after=after, upto=upto)
            after = upto

        # Then: all three agree
        reference = Reference(toy)
        reference.apply_all(events)
        assert table_rows(connection, toy) == reference.rows
        span = {"after": start, "upto": last_position}
        assert selected_rows(connection, toy, compiler.rows(toy), span) == reference.rows
