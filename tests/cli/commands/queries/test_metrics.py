"""Use case 3: a regression is seen as average wall time by method, size and version over time."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import CalculationCompleted, CalculationStarted
from quantum_forge.schema.domains.molecules import MoleculeCreated
from quantum_forge.schema.domains.telemetry import PerformanceMetric
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, happened, record, started

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
OTHER_TENANT = UUID(int=2, version=4)


def took(
    seconds: float, day: int, *, smiles: str = "O", version: str = "0.4.0", method: str = "GFN2-xTB"
) -> list[NewEvent]:
    """A calculation that took so long, so many days after Monday."""
    at = MONDAY + timedelta(days=day)
    id_ = uuid7()
    begun = started(id_, smiles, method=method, at=at)
    ended = completed(id_, smiles, at=at + timedelta(seconds=seconds))
    assert isinstance(begun.event, CalculationStarted)
    assert isinstance(ended.event, CalculationCompleted)
    result = msgspec.structs.replace(
        ended.event, wall_time_seconds=seconds, program_version=version
    )
    return [begun, msgspec.structs.replace(ended, event=result)]


@pytest.fixture
def week(engine: Engine) -> Engine:
    """Return a database in which version 0.5.0, since Tuesday, is three times as slow."""
    large = created("C" * 20)
    assert isinstance(large.event, MoleculeCreated)
    formula = msgspec.structs.replace(large.event, formula="C20H42")
    record(
        engine,
        created("O"),
        msgspec.structs.replace(large, event=formula),
        *took(1.0, 0),
        *took(3.0, 0),
        *took(6.0, 1, version="0.5.0"),
        *took(8.0, 0, smiles="C" * 20, method="GFN1-xTB"),
        happened(
            PerformanceMetric(metric_type="gauge", metric_name="queue_depth", value=4, unit="1"),
            uuid7(),
            at=MONDAY,
        ),
        created("O", tenant_id=OTHER_TENANT),
    )
    catch_up(engine, PROJECTIONS.values())
    return engine


def shown(qforge: Qforge, *arguments: str) -> list[tuple[str, str, int, float, float | None]]:
    """Day, group, count, average and change of each point."""
    found = json.loads(qforge("metrics", "show", *arguments, "--json").stdout)
    return [
        (p["time"][:10], p["group"].strip(), p["count"], p["average"], p["change"]) for p in found
    ]


@pytest.mark.usefixtures("week")
def test_wall_times_show_what_became_slower(qforge_here: Qforge) -> None:
    """By day alone, and told apart by method, size and version."""
    assert shown(qforge_here) == [
        ("2026-11-16", "", 3, 4.0, None),
        ("2026-11-17", "", 1, 6.0, 0.5),
    ]
    assert shown(qforge_here, "--by", "method") == [
        ("2026-11-16", "GFN1-xTB", 1, 8.0, None),
        ("2026-11-16", "GFN2-xTB", 2, 2.0, None),
        ("2026-11-17", "GFN2-xTB", 1, 6.0, 2.0),
    ]
    assert shown(qforge_here, "--by", "size") == [
        ("2026-11-16", "1-10 atoms", 2, 2.0, None),
        ("2026-11-16", "51-100 atoms", 1, 8.0, None),
        ("2026-11-17", "1-10 atoms", 1, 6.0, 2.0),
    ]
    assert [row[1] for row in shown(qforge_here, "--by", "version")] == [
        "tblite 0.4.0",
        "tblite 0.5.0",
    ]


@pytest.mark.usefixtures("week")
def test_a_span_of_time_can_be_asked_for(qforge_here: Qforge) -> None:
    """From one time on, before another; hours instead of days."""
    tuesday = ("--since", "2026-11-17T00:00+00:00")

    assert [row[2] for row in shown(qforge_here, *tuesday)] == [1]
    assert [row[2] for row in shown(qforge_here, "--until", tuesday[1])] == [3]
    (first, _) = json.loads(qforge_here("metrics", "show", "--per", "hour", "--json").stdout)
    assert first["time"].startswith("2026-11-16T09:00")


@pytest.mark.usefixtures("week")
def test_a_named_metric_is_shown_from_its_hourly_table(qforge_here: Qforge) -> None:
    """An unknown one says which there are."""
    assert shown(qforge_here, "queue_depth") == [("2026-11-16", "", 1, 4.0, None)]
    assert "there is queue_depth" in qforge_here("metrics", "show", "depth").stderr
    qforge_here("metrics", "show", "queue_depth", "--by", "size", status=2)


def test_without_calculations_there_is_nothing_to_show(qforge_here: Qforge) -> None:
    """The empty case says so."""
    done = qforge_here("metrics", "show")

    assert len(done.stdout.splitlines()) == 1
    assert "No calculation has completed" in done.stderr
