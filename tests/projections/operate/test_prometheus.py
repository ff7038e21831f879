"""`qforge metrics`: what a monitoring system reads is valid, and says what is."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.statistics import Head
from quantum_forge.eventstore.spool.state import SpoolState
from quantum_forge.projections.follow.lag import Lag
from quantum_forge.projections.operate.prometheus import Gauges, exposition
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge
from tests.support.chemical_history import completed, record, started

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(exposed: str) -> Samples:
    """Every sample by name and labels, as Prometheus' own parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return found[name, frozenset(labels.items())]


def test_lag_is_exposed_until_it_is_caught_up(engine: Engine, qforge_here: Qforge) -> None:
    """Positions and seconds behind, per projection; zero afterwards."""
    # Given: two events that nobody has folded
    id_ = uuid7()
    record(engine, started(id_, "O"), completed(id_, "O"))
    with engine.begin() as connection:
        head = connection.execute(text("SELECT safe_head()")).scalar_one()

    # When: the gauges are read before and after the projectors
    before = samples(qforge_here("metrics").stdout)
    catch_up(engine, PROJECTIONS.values())
    after = samples(qforge_here("metrics").stdout)

    # Then: they tell how far each is behind, and what the calculations are
    assert of(before, "qforge_log_safe_head_position") == head
    assert of(before, "qforge_log_last_assigned_position") == head
    for name in PROJECTIONS:
        assert of(before, "qforge_projection_lag_positions", projection=name) == head
        assert of(after, "qforge_projection_lag_positions", projection=name) == 0
        assert of(after, "qforge_projection_position", projection=name) == head
        assert of(after, "qforge_projection_lag_seconds", projection=name) == 0
        assert of(after, "qforge_projection_stale", projection=name) == 0
        assert of(after, "qforge_dead_letters", projection=name) == 0
    assert of(before, "qforge_projection_lag_seconds", projection="calculations") > 0
    tenant = str(DEFAULT_TENANT_ID)
    assert of(after, "qforge_calculations", tenant_id=tenant, status="completed") == 1
    assert of(after, "qforge_calculations", tenant_id=tenant, status="running") == 0
    assert of(after, "qforge_spool_events") == 0
    assert of(after, "qforge_spool_needs_attention") == 0


def test_a_projection_of_another_definition_and_its_dead_letters_are_exposed(
    engine: Engine, qforge_here: Qforge
) -> None:
    """What `status` tells people, a monitoring system is told too."""
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE projection_checkpoints SET fingerprint = '' WHERE projection = 'molecules'"
            )
        )

    found = samples(qforge_here("metrics").stdout)

    assert of(found, "qforge_projection_stale", projection="molecules") == 1
    assert of(found, "qforge_projection_stale", projection="calculations") == 0


def gauges_of(name: str, directory: Path, *, oldest: datetime | None = None) -> Gauges:
    """The gauges of one projection."""
    return Gauges(
        tenant_id=UUID(int=1),
        head=Head(safe=Position(2), last_assigned=Position(3), held_by=[]),
        lags=[Lag(projection=name, position=Position(1), positions=1, is_behind=True, seconds=0.5)],
        stale=[name],
        parked={name: 7},
        queue={"completed": 1},
        spool=SpoolState(
            directory=str(directory),
            events=4,
            bytes=5,
            oldest=oldest,
            segments=[],
            rejected=[],
            kept=[],
        ),
    )


def test_labels_are_escaped_and_every_family_has_help_and_type(tmp_path: Path) -> None:
    """A name with a quote, a backslash or a line break comes back as it is."""
    name = 'a"b\\c\nd'

    exposed = exposition(gauges_of(name, tmp_path))

    found = samples(exposed)
    assert of(found, "qforge_projection_lag_seconds", projection=name) == 0.5
    assert of(found, "qforge_dead_letters", projection=name) == 7
    assert of(found, "qforge_spool_events") == 4
    assert exposed.endswith("\n")
    for family in text_string_to_metric_families(exposed):
        assert family.documentation
        assert family.type == "gauge"


def test_the_dashboard_of_grafana_shows_every_metric_and_no_other(tmp_path: Path) -> None:
    """A metric that is renamed leaves no empty panel."""
    dashboard = (Path(__file__).parents[3] / "examples" / "grafana.json").read_text("utf-8")
    panels = json.loads(dashboard)["panels"]
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    exposed = exposition(gauges_of("molecules", tmp_path, oldest=datetime.now(UTC)))

    names = {family.name for family in text_string_to_metric_families(exposed)}
    assert set(re.findall(r"qforge_\w+", shown)) == names
    assert len({panel["id"] for panel in panels}) == len(panels)
