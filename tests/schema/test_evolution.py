"""Event types evolve by declared steps, applied alike in Python and in the folds' SQL."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Double, Engine, MetaData, Text, Uuid, text

from quantum_forge.eventstore.base.codec import decode
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.read import EVERYTHING, fetch, matching
from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.project.folding import fold
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.evolution import (
    Convert,
    Default,
    Drop,
    History,
    Rename,
    steps_from,
    upcast,
)
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.table import METADATA, column, read_model
from quantum_forge.schema.language.value import entity_id
from tests.projections.compiler.test_law import REAL_DATABASE
from tests.support.recording import rolled_back
from tests.support.tables import selected_rows, table_rows

HISTORY: History = (
    [Rename("energy_hartree", "energy"), Drop("comment")],
    [Convert("energy", "27.211386245988"), Default("method", "GFN2-xTB")],
)


@event("sample", HISTORY)
class SampleMeasured(Event, frozen=True, kw_only=True):
    """A sample was measured; energy in eV, which was energy_hartree in Eh, then energy in Eh."""

    method: str
    energy: float | UnsetType | None = UNSET


SAMPLES = read_model(
    "evolution_samples",
    "One row per sample",
    [column("id", Uuid, "The sample")],
    column("method", Text, "Method"),
    column("energy", Double, "Energy in eV"),
)
METADATA.remove(SAMPLES)
SAMPLES = SAMPLES.to_metadata(MetaData())

projection = Projection(SAMPLES, events=[SampleMeasured], key={"id": entity_id})

_energies = st.none() | st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
_payloads = st.one_of(
    st.tuples(
        st.just(1),
        st.fixed_dictionaries({}, optional={"energy_hartree": _energies, "comment": st.just("x")}),
    ),
    st.tuples(st.just(2), st.fixed_dictionaries({}, optional={"energy": _energies})),
    st.tuples(
        st.just(3),
        st.fixed_dictionaries({"method": st.just("GFN1-xTB")}, optional={"energy": _energies}),
    ),
)


def test_an_old_payload_is_decoded_as_todays_type() -> None:
    """Rename, drop, unit conversion and default, from each version on."""
    first = decode("sample_measured", {"energy_hartree": -1.0, "comment": ""}, schema_version=1)
    assert first == SampleMeasured(method="GFN2-xTB", energy=-27.211386245988)
    second = decode("sample_measured", b'{"energy": 2}', schema_version=2)
    assert second == SampleMeasured(method="GFN2-xTB", energy=54.422772491976)
    assert SampleMeasured.schema_version == 3


def test_a_payload_of_a_newer_program_is_refused() -> None:
    """What this program does not understand it does not guess."""
    with pytest.raises(EventRefused, match="newer quantum-forge"):
        decode("sample_measured", {"method": "x"}, schema_version=4)


@REAL_DATABASE
@given(payload=_payloads)
def test_sql_and_python_bring_a_payload_up_to_date_alike(
    connection: Connection, payload: tuple[int, dict[str, Any]]
) -> None:
    """One declaration, two implementations, the same JSON."""
    version, data = payload
    steps = json.dumps(steps_from(HISTORY, version))
    query = text("SELECT upcast_payload(CAST(:data AS jsonb), CAST(:steps AS jsonb))")
    parameters = {"data": json.dumps(data), "steps": steps}
    in_sql = connection.execute(query, parameters).scalar_one()
    # The numbers are doubles for whoever reads them.
    in_sql = {k: float(v) if isinstance(v, int | float) else v for k, v in in_sql.items()}
    assert in_sql == upcast(HISTORY, version, data)


@REAL_DATABASE
@given(payloads=st.lists(_payloads, min_size=1, max_size=8), cut=st.integers(0, 8))
def test_a_fold_of_mixed_versions_equals_the_reference(
    engine: Engine, payloads: list[tuple[int, dict[str, Any]]], cut: int
) -> None:
    """The law holds for histories that began before the event type changed."""
    sample, tenant = uuid7(), UUID(int=1, version=4)
    with engine.connect() as connection, rolled_back(connection):
        SAMPLES.create(connection)
        wire = [
            {
                "event_id": str(uuid7()),
                "tenant_id": str(tenant),
                "entity_type": "sample",
                "entity_id": str(sample),
                "event_type": "sample_measured",
                "schema_version": version,
                "data": data,
            }
            for version, data in payloads
        ]
        append = text("SELECT append_events(CAST(:events AS jsonb))")
        connection.execute(append, {"events": json.dumps(wire)})
        events = fetch(connection, matching(EVERYTHING).order_by("position"))
        first, last = events[0].position - 1, events[-1].position
        middle = events[min(cut, len(events)) - 1].position if cut else first

        fold(connection, projection, after=first, upto=middle)
        fold(connection, projection, after=middle, upto=last)

        reference = Reference(projection)
        reference.apply_all(events)
        assert table_rows(connection, projection) == reference.rows
        at_once = compiler.rows(projection)
        span = {"after": first, "upto": last}
        assert selected_rows(connection, projection, at_once, span) == reference.rows
