"""How the state of the machinery follows from the log."""

from quantum_forge.schema.events.system import SpoolReported
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import entity_id, occurred_at
from quantum_forge.schema.tables import system as tables

spools = Projection(
    tables.spools,
    events=[SpoolReported],
    key={"id": entity_id},
    columns={"reported_at": last(occurred_at(SpoolReported))},
)

PROJECTIONS = [spools]
