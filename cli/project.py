"""`qforge project`: bring the projections up to date, once or for ever."""

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import click
from sqlalchemy import Engine

from cli import console
from cli.session import migrated_database
from eventstore.read import safe_head
from projections import projector
from projections.lag import read_lags
from projections.projection import Projection
from projections.projector import Advance
from projections.registry import named


@click.command()
@click.argument("names", nargs=-1)
@click.option("--once", is_flag=True, help="Stop when everything up to now is projected.")
def project(names: tuple[str, ...], once: bool) -> None:
    """Bring the projections up to date.

    Only those with NAMES, if any are given. Without --once, goes on until Ctrl-C or SIGTERM. Any
    number of these may run at the same time.

    \b
    Example:
      qforge project --once
      qforge project molecules calculations
    """
    projections = named(names)
    with migrated_database() as database:
        if once:
            _once(database.engine, projections)
        else:
            _follow(database.engine, projections)


def _once(engine: Engine, projections: Sequence[Projection]) -> None:
    with engine.connect() as connection:
        head = safe_head(connection)
        lags = read_lags(connection, projections, head)
    positions = {lag.projection: int(lag.position) for lag in lags}
    events = dict.fromkeys(positions, 0)
    behind = sum(lag.positions for lag in lags)
    if not behind:
        # No work, but what is stale is still refused.
        projector.catch_up(engine, projections)
        console.note(f"Up to date at position {head}.")
        return

    began = dict(positions)
    try:
        with console.progress("projecting", behind) as report:

            def advanced(advance: Advance) -> None:
                report(advance.position - positions[advance.projection])
                positions[advance.projection] = advance.position
                events[advance.projection] += advance.events

            projector.catch_up(engine, projections, on_advance=advanced)
    finally:
        console.table(
            ("projection", "events", "position"),
            [
                (name, events[name], positions[name])
                for name in positions
                if positions[name] > began[name]
            ],
            right=["events", "position"],
        )


def _follow(engine: Engine, projections: Sequence[Projection]) -> None:
    """Follow in a thread: what interrupts this one must not interrupt a batch."""
    stop = threading.Event()

    def advanced(advance: Advance) -> None:
        if advance.events:
            console.row((advance.projection, advance.events, advance.position))

    console.note("Following the log; stop with Ctrl-C.")
    with ThreadPoolExecutor(1) as worker:
        try:
            following = worker.submit(
                projector.follow, engine, projections, stop, on_advance=advanced
            )
            # Ctrl-C, or the SystemExit that SIGTERM becomes.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                following.result()
        finally:
            stop.set()
        following.result()
