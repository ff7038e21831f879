"""`qforge project`: bring the projections up to date, once or for ever."""

import contextlib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
from sqlalchemy import Engine

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_forge, tell_trouble
from quantum_forge.cli.show import console
from quantum_forge.cli.show.catching_up import catch_up_shown
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.project import projector
from quantum_forge.projections.project.printed import printed
from quantum_forge.projections.project.projector import Advance, RebuildNeeded
from quantum_forge.projections.rebuild import rebuild_all
from quantum_forge.projections.registry import named
from quantum_forge.schema.language.projection import Projection


@click.command(cls=Command)
@click.argument("names", nargs=-1)
@click.option("--once", is_flag=True, help="Stop when all events recorded so far are projected.")
@click.option(
    "--auto-rebuild",
    is_flag=True,
    help="Rebuild the projections whose definition has changed, then continue.",
)
@click.option(
    "--sql", is_flag=True, help="Print the SQL that brings NAMES up to date; do not run it."
)
def project(names: tuple[str, ...], once: bool, auto_rebuild: bool, sql: bool) -> None:
    """Bring the projections up to date.

    Those with NAMES, or all. Without --once, the command runs until Ctrl-C or SIGTERM, through
    outages of the database. Any number of projectors may run at the same time. Projections whose
    definition has changed are reported, and skipped until they are rebuilt.

    \b
    Example:
      qforge project --once
      qforge project molecules calculations
      qforge project --auto-rebuild
      qforge project --sql molecules
    """
    projections = named(names)
    if sql:
        console.emit("\n\n".join(printed(each) for each in projections))
        return
    with open_forge(writes=True, follows=not once) as forge:
        if once:
            if auto_rebuild:
                _rebuild_stale(forge.engine, projections)
            _once(forge.engine, projections)
        else:
            _follow(forge.engine, projections, auto_rebuild=auto_rebuild)


def _rebuild_stale(engine: Engine, projections: Sequence[Projection]) -> None:
    with engine.connect() as connection:
        changed = projector.stale(connection, projections)
    if changed:
        _note_rebuild(each.name for each in changed)
        rebuild_all(engine, changed)


def _note_rebuild(names: Iterable[str]) -> None:
    console.note(f"The definition of {', '.join(names)} has changed; rebuilding …")


def _note_parked(name: str, count: int) -> None:
    if count:
        console.note(
            f"{name}: {counted(count, 'event')} could not be folded; "
            f"see: qforge dead-letters list {name}"
        )


def _once(engine: Engine, projections: Sequence[Projection]) -> None:
    with engine.connect() as connection:
        head = safe_head(connection)
        lags = read_lags(connection, projections, head)
    positions = {lag.projection: int(lag.position) for lag in lags}
    events, parked = dict.fromkeys(positions, 0), dict.fromkeys(positions, 0)
    if not any(lag.positions for lag in lags):
        catch_up_shown(engine, projections)
        console.note(f"Up to date at position {head}.")
        return

    def advanced(advance: Advance) -> None:
        positions[advance.projection] = advance.position
        events[advance.projection] += advance.events
        parked[advance.projection] += advance.parked

    began = dict(positions)
    try:
        catch_up_shown(engine, projections, advanced)
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
        for name, count in parked.items():
            _note_parked(name, count)


def _follow(engine: Engine, projections: Sequence[Projection], *, auto_rebuild: bool) -> None:
    """Follow in a thread: what interrupts this one must not interrupt a batch."""
    stop = threading.Event()

    def advanced(advance: Advance) -> None:
        if advance.events:
            console.row((advance.projection, advance.events, advance.position))
        _note_parked(advance.projection, advance.parked)

    def tell(trouble: Exception | None) -> None:
        match trouble:
            case RebuildNeeded() if auto_rebuild:
                _note_rebuild(trouble.names)
            case _:
                tell_trouble(trouble)

    console.note("Following the log; stop with Ctrl-C.")
    with ThreadPoolExecutor(1) as worker:
        try:
            following = worker.submit(
                follow,
                engine,
                projections,
                stop,
                on_advance=advanced,
                on_trouble=tell,
                auto_rebuild=auto_rebuild,
            )
            # Ctrl-C, or the SystemExit that SIGTERM becomes.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                following.result()
        finally:
            stop.set()
        following.result()
