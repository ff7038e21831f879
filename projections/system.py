"""How the state of the machinery follows from the log."""

from projections.fold import last
from projections.projection import Projection
from projections.value import entity_id, occurred_at
from schema.events.system import SpoolReported
from schema.tables import system as tables

spools = Projection(
    tables.spools,
    events=[SpoolReported],
    key={"id": entity_id},
    columns={"reported_at": last(occurred_at(SpoolReported))},
)

PROJECTIONS = [spools]
