"""`qforge rebuild`: make read models anew from the log, or go back to those kept."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import msgspec
from sqlalchemy import Engine, func, select

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections import rebuild as rebuilding
from quantum_forge.projections.history.difference import Change
from quantum_forge.projections.rebuild import Progress, Rebuilt
from quantum_forge.projections.registry import PROJECTIONS, named
from quantum_forge.schema.language.projection import Projection

COLUMNS = (
    "projection",
    "events",
    "rows",
    "added",
    "removed",
    "changed",
    "seconds",
    "events_per_second",
)


@click.command(cls=Command)
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Rebuild every projection.")
@click.option("--dry-run", is_flag=True, help="Show what a rebuild would change; change nothing.")
@click.option("--keep", is_flag=True, help="Keep the old tables until the next rebuild.")
@click.option("--rollback", is_flag=True, help="Swap back in the tables that --keep has kept.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Projections to rebuild at the same time.  [default: the number of cores]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rebuild(
    names: tuple[str, ...],
    every: bool,
    dry_run: bool,
    keep: bool,
    rollback: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Rebuild projections from the log.

    Those with NAMES, or all. For each, a new table is filled beside the live one, compared with it,
    and swapped in; readers never see an empty or half-filled table. Projectors continue meanwhile.
    The next rebuild continues one that was killed.

    \b
    Example:
      qforge rebuild calculations
      qforge rebuild --all --dry-run
      qforge rebuild calculations --keep
      qforge rebuild calculations --rollback
    """
    if bool(names) == every:
        raise click.UsageError(
            f"name projections, or give --all; the projections are {', '.join(PROJECTIONS)}"
        )
    if rollback and dry_run:
        raise click.UsageError("--rollback changes tables, --dry-run does not: give one of them")
    projections = named(names)
    with open_forge(writes=True) as forge:
        if rollback:
            _roll_back(forge.engine, projections, keep=keep, as_json=as_json)
        else:
            _rebuild(
                forge.engine,
                projections,
                jobs=jobs,
                dry_run=dry_run,
                keep=keep,
                as_json=as_json,
            )


def _roll_back(
    engine: Engine, projections: Sequence[Projection], *, keep: bool, as_json: bool
) -> None:
    restored: list[dict[str, Any]] = []
    try:
        for projection in projections:
            position = rebuilding.roll_back(engine, projection, keep=keep)
            restored.append({"projection": projection.name, "position": position})
    finally:
        if as_json:
            console.emit_json(restored)
        else:
            columns = ("projection", "position")
            console.table(columns, [list(row.values()) for row in restored], right=["position"])


def _rebuild(
    engine: Engine,
    projections: Sequence[Projection],
    *,
    jobs: int | None,
    dry_run: bool,
    keep: bool,
    as_json: bool,
) -> None:
    with engine.connect() as connection:
        head = safe_head(connection)
    positions = dict.fromkeys((projection.name for projection in projections), 0)
    began: dict[str, float] = {}
    found: dict[str, tuple[Rebuilt, float, int]] = {}
    lock = threading.Lock()
    try:
        with console.progress("rebuilding", head * len(projections)) as report:

            def progressed(progress: Progress) -> None:
                with lock:
                    began.setdefault(progress.projection, time.perf_counter())
                    position = min(progress.position, head)
                    if position > positions[progress.projection]:
                        report(position - positions[progress.projection])
                        positions[progress.projection] = position

            def rebuilt(done: Rebuilt) -> None:
                seconds = time.perf_counter() - began[done.projection]
                found[done.projection] = (done, seconds, _count(engine, done.projection))

            # In another thread: what interrupts this one must not interrupt a transaction.
            with ThreadPoolExecutor(1) as worker:
                stop = threading.Event()
                running = worker.submit(
                    rebuilding.rebuild_all,
                    engine,
                    projections,
                    jobs=jobs,
                    dry_run=dry_run,
                    keep=keep,
                    on_progress=progressed,
                    on_rebuilt=rebuilt,
                    stop=stop,
                )
                try:
                    running.result()
                finally:
                    stop.set()
    finally:
        ordered = [found[name] for name in positions if name in found]
        if as_json:
            console.emit_json([_as_json(*each) for each in ordered])
        else:
            console.table(COLUMNS, [_row(*each) for each in ordered], right=COLUMNS[1:])
            for done, _, _ in ordered:
                _tell_differences(done)


def _count(engine: Engine, name: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(PROJECTIONS[name].table)) or 0


def _row(done: Rebuilt, seconds: float, rows: int) -> tuple[object, ...]:
    difference = done.difference
    return (
        done.projection,
        done.events,
        rows,
        difference.added,
        difference.removed,
        difference.changed,
        f"{seconds:.2f}",
        f"{done.events / seconds:.0f}",
    )


def _as_json(done: Rebuilt, seconds: float, rows: int) -> dict[str, Any]:
    return {**msgspec.to_builtins(done), "rows": rows, "seconds": round(seconds, 3)}


def _tell_differences(done: Rebuilt) -> None:
    """Say on stderr which rows differ, unless they are all new."""
    if done.new_columns or done.lost_columns:
        shape = [f"+{name}" for name in done.new_columns]
        shape += [f"-{name}" for name in done.lost_columns]
        console.note(f"{done.projection}: columns {' '.join(shape)}")
    for change in done.difference.examples:
        console.note(f"{done.projection}: {_sentence(change)}")


def _sentence(change: Change) -> str:
    key = ", ".join(f"{name} {value}" for name, value in change.key.items() if name != "tenant_id")
    if change.before is None or change.after is None:
        return f"{change.kind} {key}"
    changes = (
        f"{name} {change.before[name]!s} → {change.after[name]!s}" for name in change.columns
    )
    return f"{change.kind} {key}: {', '.join(changes)}"
