"""Progress of bringing read models up to date."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from quantum_forge.cli.show import console
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.follow.refresh import NOT_ALLOWED, may_project
from quantum_forge.projections.project import projector
from quantum_forge.projections.project.projector import Advance
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.projection import Projection


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


def project_import(engine: Engine) -> None:
    """Fold what was imported into every read model, if the login may; say if it may not."""
    if is_projector(engine):
        catch_up_shown(engine, list(PROJECTIONS.values()))
    else:
        note_not_allowed()


def note_not_allowed() -> None:
    """Say in one line on stderr that the login may not project."""
    console.note(f"The read models are not brought up to date: {NOT_ALLOWED}.")


def is_projector(engine: Engine) -> bool:
    """Whether the login may fold events into every read model."""
    with engine.connect() as connection:
        return may_project(connection, PROJECTIONS.values())
