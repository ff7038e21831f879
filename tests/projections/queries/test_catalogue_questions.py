"""The seven questions of the catalogue, and regressions, are served by indexes."""

import re
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Select, text

from benchmarks.catalogue import Pair, plans_of, questions
from benchmarks.catalogue_workload import BEGAN, YEAR, events
from benchmarks.workload import TENANT
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.queries.regressions import (
    By,
    points,
    select_metric,
    select_wall_times,
)
from quantum_forge.projections.registry import named
from tests.conftest import _fresh

MOLECULES = 1_500
BATCH = 20
PAIRS = questions(MOLECULES, batch_size=BATCH)


@pytest.fixture(scope="module")
def filled(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Engine]:
    """A database with 3,000 calculations of 1,500 molecules in 75 batches."""
    for database in _fresh(server, administrator, template=template):
        load(database.engine, events(MOLECULES, batch=BATCH))
        catch_up(database.engine, named(["molecules", "calculations", "batch_items"]))
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(MEASURED, {"tenant_id": TENANT, "began": BEGAN})
            connection.execute(text("ANALYZE"))
        yield database.engine


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.key)
def test_each_question_has_its_index(filled: Engine, pair: Pair) -> None:
    """It finds what is asked for, in a table that is not read from end to end."""
    for plans, _ in plans_of(filled, pair.ours, 3):
        nodes = [node for plan in plans for node in walk(plan)]
        served, read = indexes_of(nodes), read_whole(nodes)

        assert any(re.search(rf"_({pair.index})$", name) for name in served), served
        # Of so few molecules PostgreSQL reads all, where it has to name those of a thousand rows.
        tables = {"top_1000_by_gap": ["molecules"], "audit_trail": ["users"]}  # of few rows here
        small = {"event_logs_default", *tables.get(pair.key, [])}
        assert not read - small, nodes
        assert max(plan["Actual Rows"] for plan in plans) > 0


WEEK: dict[str, Any] = {"since": BEGAN + YEAR / 2, "until": BEGAN + YEAR / 2 + timedelta(days=7)}


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (select_wall_times(TENANT, **WEEK), "calculations_started_idx"),
        (select_wall_times(TENANT, by=By.VERSION, **WEEK), "calculations_started_idx"),
        (select_wall_times(TENANT, by=By.SIZE, **WEEK), "calculations_started_idx"),
        (select_metric(TENANT, "m7"), "performance_metrics_hourly_pkey"),
        (select_metric(TENANT, "m7", **WEEK), "performance_metrics_hourly_pkey"),
    ],
)
def test_a_regression_is_served_by_an_index(filled: Engine, query: Select[Any], index: str) -> None:
    """A week of calculations, and one metric of many, whatever else was measured."""

    def ask(connection: Connection, _: Random) -> None:
        points(connection, query)

    ((plans, _),) = plans_of(filled, ask, 1)
    nodes = [node for plan in plans for node in walk(plan)]

    assert index in indexes_of(nodes)
    # Of so few molecules PostgreSQL reads all.
    assert read_whole(nodes) <= {"molecules"}
    assert plans[0]["Actual Rows"] > 0


MEASURED = text("""
    INSERT INTO performance_metrics_hourly (tenant_id, metric_name, hour, unit, count, min, max,
                                            sum, created_at, updated_at, last_position)
    SELECT :tenant_id, 'm' || n % 50, hour, 's', 1, 1, 1, 1, hour, hour, n
      FROM generate_series(1, 50) AS n,
           generate_series(CAST(:began AS timestamptz), CAST(:began AS timestamptz) + '1 year',
                           '1 day') AS hour
""")


def indexes_of(nodes: list[dict[str, Any]]) -> set[str]:
    """The indexes that a plan uses."""
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def read_whole(nodes: list[dict[str, Any]]) -> set[str]:
    """The tables that a plan reads from end to end."""
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}


def walk(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes."""
    yield plan
    for part in plan.get("Plans", []):
        yield from walk(part)
