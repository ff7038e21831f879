"""The SQL by hand that projections are measured against answers the same question."""

import pytest
from sqlalchemy import Engine

from benchmarks.by_hand import CALCULATIONS_BATCH, SELECTS, make_by_hand, require_same_rows
from benchmarks.chemistry_log import events
from quantum_forge.eventstore.log.load import load
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import named

EVENTS = 1_500


def test_each_table_by_hand_has_the_rows_of_the_projection(engine: Engine) -> None:
    """A table that gains a column fails here, before the benchmark is run again."""
    load(engine, events(EVENTS))
    catch_up(engine, named(list(SELECTS)))

    for name in SELECTS:
        make_by_hand(engine, name)
        require_same_rows(engine, name, f"{name}_by_hand")


@pytest.mark.parametrize("size", [70, EVENTS])
def test_batches_by_hand_have_the_rows_of_the_projection(engine: Engine, size: int) -> None:
    """However the log is cut."""
    load(engine, events(EVENTS))
    catch_up(engine, named(["calculations"]))
    make_by_hand(engine, "calculations")

    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE calculations_by_hand")
        connection.exec_driver_sql(
            "CREATE UNIQUE INDEX by_hand_key ON calculations_by_hand (tenant_id, id)"
        )
        for after in range(0, EVENTS, size):
            bounds = {"after": after, "upto": min(after + size, EVENTS)}
            connection.exec_driver_sql(CALCULATIONS_BATCH % bounds)
    require_same_rows(engine, "calculations", "calculations_by_hand")
