"""The seven questions of the catalogue are served by indexes, as the library asks them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from benchmarks.catalogue import Pair, plans_of, questions
from benchmarks.catalogue_workload import events
from eventstore.embedded import EmbeddedServer
from eventstore.load import load
from projections.projector import catch_up
from projections.registry import named
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
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
        yield database.engine


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.key)
def test_each_question_has_its_index(filled: Engine, pair: Pair) -> None:
    """It finds what is asked for, in a table that is not read from end to end."""
    for plans, _ in plans_of(filled, pair.ours, 3):
        nodes = [node for plan in plans for node in walk(plan)]
        served = {node["Index Name"] for node in nodes if "Index Name" in node}
        read = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}

        assert any(re.search(rf"_({pair.index})$", name) for name in served), served
        # Of so few molecules PostgreSQL reads all, where it has to name those of a thousand rows.
        small = {"event_logs_default", *(["molecules"] if pair.key == "top_1000_by_gap" else [])}
        assert not read - small, nodes
        assert max(plan["Actual Rows"] for plan in plans) > 0


def walk(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes."""
    yield plan
    for part in plan.get("Plans", []):
        yield from walk(part)
