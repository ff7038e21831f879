"""The state of an installation at a glance: server, log, read models, queue."""

from uuid import UUID

import msgspec
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Health, health, where
from quantum_forge.eventstore.log.partitions import left_ahead
from quantum_forge.eventstore.log.statistics import (
    Head,
    count_by_type,
    estimate_by_type,
    read_head,
)
from quantum_forge.projections.compiler.dead_letters import count_parked
from quantum_forge.projections.follow.lag import Lag, read_lags
from quantum_forge.projections.project.projector import stale
from quantum_forge.projections.queries.calculations import calculations_by_status
from quantum_forge.projections.registry import PROJECTIONS


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an installation.

    `events`: by type, up to the safe head, of all tenants that the user may see. `estimated`: the
    types of which that is an estimate. `queue`: one tenant's calculations by status, as projected.
    `partitions_ahead`: positions after the last one for which the log has partitions. `stale`: the
    projections that wait for a rebuild. `parked`: by projection, how many events could not be
    folded and wait for somebody.
    """

    database: str
    health: Health
    head: Head
    events: dict[str, int]
    estimated: list[str]
    lags: list[Lag]
    stale: list[str]
    parked: dict[str, int]
    queue: dict[str, int]
    partitions_ahead: int


def read_status(engine: Engine, tenant_id: UUID, *, exact: bool = False) -> Status:
    """Read the state of the installation; writes nothing.

    Args:
        engine: of the database.
        tenant_id: whose calculations are the queue.
        exact: count the events of a long log, however long it takes, instead of estimating.
    """
    projections = PROJECTIONS.values()
    with engine.connect() as connection:
        head = read_head(connection)
        counts = (count_by_type if exact else estimate_by_type)(connection, head.safe)
        return Status(
            database=where(engine.url),
            health=health(engine),
            head=head,
            events=counts.events,
            estimated=counts.estimated,
            lags=read_lags(connection, projections, head.safe),
            stale=[projection.name for projection in stale(connection, projections)],
            parked=count_parked(connection),
            queue=calculations_by_status(connection, tenant_id),
            partitions_ahead=left_ahead(connection),
        )
