"""Bringing read models up to date while somebody waits for it."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from cli import console
from eventstore.read import safe_head
from projections import projector
from projections.lag import read_lags
from projections.projection import Projection
from projections.projector import Advance


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
