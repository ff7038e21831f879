"""`qforge rebuild`: make read models anew from the log."""

import time

import click
from sqlalchemy import func, select

from cli import console
from cli.session import migrated_database
from projections import rebuild as rebuilding
from projections.registry import PROJECTIONS, named


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Rebuild every projection.")
def rebuild(names: tuple[str, ...], every: bool) -> None:
    """Rebuild projections from the log.

    Those with NAMES, or all. Readers see the old rows until the new ones are complete.

    \b
    Example:
      qforge rebuild calculations
      qforge rebuild --all
    """
    if bool(names) == every:
        raise click.UsageError(
            f"name projections, or give --all; there are {', '.join(PROJECTIONS)}"
        )
    rebuilt: list[tuple[object, ...]] = []
    with migrated_database() as database:
        try:
            for projection in named(names):
                console.note(f"Rebuilding {projection.name} …")
                began = time.perf_counter()
                done = rebuilding.rebuild(database.engine, projection)
                seconds = time.perf_counter() - began
                with database.engine.connect() as connection:
                    rows = connection.scalar(select(func.count()).select_from(projection.table))
                rate = f"{done.events / seconds:.0f}"
                rebuilt.append((done.projection, done.events, rows, f"{seconds:.2f}", rate))
        finally:
            columns = ("projection", "events", "rows", "seconds", "events_per_second")
            console.table(columns, rebuilt, right=columns[1:])
