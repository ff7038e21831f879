"""Progress of bringing read models up to date."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from quantum_forge.cli.show import console
from quantum_forge.cli.show.lag import note_lag
from quantum_forge.eventstore.database.availability.standby import is_standby
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.project import projector
from quantum_forge.projections.project.projector import Advance
from quantum_forge.schema.language.projection import Projection


def catch_up_unless_standby(engine: Engine, projections: Sequence[Projection]) -> None:
    """Fold everything up to now; on a standby, whose tables are the primary's, nothing.

    Args:
        engine: of the database.
        projections: those that a command is about to read.

    Raises:
        RebuildNeeded, FoldFailed: as `projector.catch_up` does.
    """
    with engine.connect() as connection:
        if is_standby(connection):
            note_lag(connection, *(projection.name for projection in projections))
            return
    projector.catch_up(engine, projections)


def catch_up_shown(
    engine: Engine,
    projections: Sequence[Projection],
    on_advance: Callable[[Advance], None] = lambda _: None,
) -> None:
    """Fold everything up to now, as `projector.catch_up` does, and show how far it is."""
    with engine.connect() as connection:
        lags = read_lags(connection, projections, safe_head(connection))
    positions = {lag.projection: int(lag.position) for lag in lags}
    behind = sum(lag.positions for lag in lags)
    if not behind:
        # No work, but what is stale is still refused.
        projector.catch_up(engine, projections)
        return
    with console.progress("projecting", behind) as report:

        def advanced(advance: Advance) -> None:
            report(advance.position - positions[advance.projection])
            positions[advance.projection] = advance.position
            on_advance(advance)

        projector.catch_up(engine, projections, on_advance=advanced)
