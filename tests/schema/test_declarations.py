"""A wrong declaration is refused when it is made; every operation means what the reference says."""

import linecache
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.project.folding import fold
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.access import ApiKeyIssued
from quantum_forge.schema.domains.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchProgressed,
    BatchStarted,
)
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationStarted,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculeUpdated
from quantum_forge.schema.language.fold import (
    Fold,
    constant,
    count,
    first,
    largest,
    last,
    smallest,
    tally,
    total,
)
from quantum_forge.schema.language.projection import Projection, WrongDeclaration, projection
from quantum_forge.schema.language.table import TIMESTAMP, derived
from quantum_forge.schema.language.value import (
    element,
    entity_id,
    entity_type,
    event_type,
    from_metadata,
    hour_of,
    occurred_at,
    payload,
    position,
    user_id,
)
from tests.support.histories import ENTITIES, TENANTS, cuts, histories
from tests.support.recording import bounds, in_order, recorded, rolled_back
from tests.support.tables import selected_rows, table_rows, whole_rows
from tests.support.toys import toy_table

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
    "a condition that no event meets": (
        Column("n", BigInteger),
        count(CalculationFailed, where={"error_type": "timeuot"}),
        "n: error_type of calculation_failed is never 'timeuot'",
    ),
    "a required column that an event opens a row without": (
        Column("energy", Double, nullable=False),
        None,
        "energy is required, but calculation_failed opens a row without it",
    ),
    "a required column that an opening event may leave out": (
        Column("name", Text, nullable=False),
        last(
            *(f.program for f in (CalculationStarted, CalculationCompleted)),
            CalculationFailed.error_message,
            MoleculeUpdated.name,
        ),
        "name is required, but molecule_updated can open a row without it",
    ),
    "a required column whose first value is filtered": (
        Column("method", Text, nullable=False),
        first(CalculationStarted.method, where={"attempt": 1}),
        "method is required, but calculation_completed opens a row without it",
    ),
    "the hour of what is no time": (
        Column("at", TIMESTAMP),
        last(hour_of(CalculationCompleted.energy)),
        "at is TIMESTAMP.* the hour or day of a value that is not a time",
    ),
    "the hour of a time in a number": (
        Column("at", Double),
        last(hour_of(occurred_at())),
        "at is DOUBLE.* DateTimeType",
    ),
    "a payload in a text": (Column("what", Text), last(payload), "what is TEXT.* DictType"),
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


def test_a_column_that_the_database_computes_takes_no_fold() -> None:
    """It would be refused by the database, long after the declaration was written."""
    column = derived("twice", BigInteger, "last_position * 2", "Twice the position")
    with pytest.raises(WrongDeclaration, match="twice is computed by the database"):
        declare(column, last(position))


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
        (
            {"replaces": True, "only_with": user_id()},
            "replaces, so every event counts",
        ),
        (
            {"key": {"id": occurred_at()}},
            "column id is UUID, which does not hold DateTimeType from calculation_started",
        ),
        ({"only_with": MoleculeCreated.name}, r"only_with takes MoleculeCreated\.name"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(changed: dict[str, Any], words: str) -> None:
    """Every event must say which row it concerns."""
    with pytest.raises(WrongDeclaration, match=f"projection toy: .*{words}"):
        declare(Column("method", Text), None, **changed)


def test_a_required_column_that_an_event_can_clear_is_refused() -> None:
    """The database would refuse the event, long after the declaration was written."""
    column = Column("name", Text, nullable=False)
    with pytest.raises(WrongDeclaration, match="name is required, but molecule_updated can clear"):
        declare(
            column,
            last(MoleculeCreated.formula, MoleculeUpdated.name),
            events=[MoleculeCreated, MoleculeUpdated],
            opens=[MoleculeCreated],
        )


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
    other = toy_table("spools", Column("method", Text))
    words = (
        r"test_declarations.py:\d+: two projections fill the table spools;"
        r" the other one is at .*domains/system.py:\d+"
    )
    with pytest.raises(WrongDeclaration, match=words):
        projection(other, events=[CalculationStarted], key={"id": entity_id})
    assert PROJECTIONS["spools"].table is not other


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
        Column("first_gap", Double),
        Column("first_message_or_program", Text),
        Column("first_hash", Text),
        Column("first_retry_of_timeouts", Integer),
        Column("first_user", Uuid),
        Column("first_host", Text),
        Column("last_host", Text),
        Column("hosts", JSONB),
        Column("last_hour", TIMESTAMP),
        Column("what", JSONB),
        Column("state_of_first_attempts", Text),
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
        "first_gap": first(CalculationCompleted.gap),
        "first_message_or_program": first(
            CalculationFailed.error_code,
            CalculationCompleted.stdout_log,
            CalculationStarted.program,
        ),
        "first_hash": first(CalculationStarted.xyz_sha256, CalculationCompleted.xyz_sha256),
        "first_retry_of_timeouts": first(
            CalculationFailed.retry_count, where={"error_type": "timeout"}
        ),
        "first_user": first(user_id()),
        "first_host": first(from_metadata("host")),
        "last_host": last(from_metadata("host")),
        "hosts": tally(from_metadata("host", CalculationStarted)),
        "last_hour": last(hour_of(occurred_at())),
        "what": last(payload),
        "state_of_first_attempts": constant(
            {CalculationStarted: "running", CalculationFailed: "failed"}, where={"attempt": 1}
        ),
    },
)

hourly = Projection(
    toy_table(
        "toy_hourly",
        Column("n", BigInteger, nullable=False),
        Column("seconds", Numeric, nullable=False),
        Column("cents", Numeric(14, 2), nullable=False),
        Column("energy", Numeric, nullable=False),
        Column("least", Numeric),
        Column("latest", Numeric(13, 3)),
        derived("average", Double, "seconds / nullif(n, 0)", "Mean wall time in s"),
        key=(Column("batch_id", Uuid), Column("hour", TIMESTAMP)),
    ),
    events=[CalculationCompleted, CalculationFailed],
    key={"batch_id": CalculationEvent.batch_id, "hour": hour_of(occurred_at())},
    only_with=user_id(CalculationCompleted),
    columns={
        "n": count(CalculationCompleted),
        "seconds": total(
            CalculationCompleted.wall_time_seconds, CalculationFailed.wall_time_seconds
        ),
        "cents": total(CalculationCompleted.wall_time_seconds),
        "energy": total(CalculationCompleted.energy, where={"is_converged": True}),
        "least": smallest(CalculationCompleted.energy),
        "latest": last(CalculationCompleted.wall_time_seconds),
    },
)

each = Projection(
    toy_table(
        "toy_each",
        Column("user_id", Uuid),
        Column("event_type", Text),
        Column("entity_type", Text),
        Column("entity_id", Uuid),
        Column("details", JSONB),
        Column("n", BigInteger),
        Column("converged_energy", Double),
        key=(Column("id", BigInteger),),
    ),
    events=[CalculationStarted, CalculationCompleted, MoleculeUpdated],
    key={"id": position},
    only_with=user_id(),
    columns={
        "user_id": last(user_id()),
        "event_type": last(event_type),
        "entity_type": last(entity_type),
        "entity_id": last(entity_id),
        "details": last(payload),
        "n": count(CalculationStarted, where={"attempt": 1}),
        "converged_energy": last(CalculationCompleted.energy, where={"is_converged": True}),
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
        key=("api_key_id", Column("scope", Text)),
    ),
    events=[ApiKeyIssued],
    key={"api_key_id": entity_id, "scope": element},
    elements=ApiKeyIssued.scopes,
    columns={
        "times_added": count(ApiKeyIssued),
        "first_at": smallest(occurred_at()),
        "last_at": largest(occurred_at()),
    },
)


@pytest.mark.parametrize("toy", [costs, hourly, each, progress, items], ids=lambda toy: toy.name)
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
        connection.execute(text("SET LOCAL TIME ZONE 'Asia/Kolkata'"))  # half an hour off
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
        past = selected_rows(connection, toy, select(as_of(toy, last_position)))
        assert past == whole_rows(connection, toy)


def test_a_sum_loses_no_digit(connection: Connection) -> None:
    """Another program may store more digits than Python's float has."""
    sums = Projection(
        toy_table("toy_sums", Column("seconds", Numeric)),
        events=[CalculationCompleted],
        key={"id": CalculationEvent.batch_id},
        columns={"seconds": total(CalculationCompleted.wall_time_seconds)},
    )
    sums.table.create(connection)
    numbers = ["1234567890123456789.123456789012345", "0.1", "1e-30"]
    for number in numbers:
        connection.execute(
            text("""
            SELECT append_events(jsonb_build_array(jsonb_build_object(
                'event_id', gen_random_uuid(), 'tenant_id', cast(:tenant AS text),
                'entity_type', 'calculation', 'entity_id', gen_random_uuid(),
                'event_type', 'calculation_completed', 'user_id', gen_random_uuid(),
                'occurred_at', '2026-01-01T00:00:00Z',
                'data', cast(:data AS jsonb))))
            """),
            {
                "tenant": str(TENANTS[0]),
                "data": f'{{"batch_id": "{ENTITIES[0]}", "wall_time_seconds": {number}}}',
            },
        )
    events = in_order(connection)
    start, last_position = bounds(events)

    fold(connection, sums, after=start, upto=last_position)

    reference = Reference(sums)
    reference.apply_all(events)
    (row,) = table_rows(connection, sums).values()
    assert row["seconds"] == sum(map(Fraction, numbers))
    assert table_rows(connection, sums) == reference.rows
