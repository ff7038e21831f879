"""`qforge dead-letters`: the events that projections leave out, and what becomes of them."""

from collections.abc import Sequence

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.projections.compiler import dead_letters as letters
from quantum_forge.projections.operate.refolding import NotParked, Refolded, refold
from quantum_forge.projections.registry import named

LISTED = (
    Shown("projection", long=True),
    Shown("position", 0),
    Shown("event_type", rank=1),
    Shown("parked_at", rank=2),
    Shown("retries", 0, rank=3),
    Shown("discarded_at", rank=3),
    Shown("reason", long=True),
)


@click.group("dead-letters", cls=Group)
def dead_letters() -> None:
    """List events that could not be folded, and retry or discard them.

    An event whose payload a table cannot store is set aside, and everything else continues without
    it: live folding, rebuilds, verification and queries of the past alike.

    \b
    Example:
      qforge dead-letters list
      qforge dead-letters retry calculations
      qforge dead-letters discard calculations 4711
    """


@dead_letters.command("list")
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Include discarded events.")
@view_options()
@json_option()
def list_(names: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Print the events that projections leave out, with the reason.

    Of the projections with NAMES, or of all.

    \b
    Example:
      qforge dead-letters list
      qforge dead-letters list calculations --all --json
    """
    chosen = [projection.name for projection in named(names)]
    with open_forge() as forge, forge.connect() as connection:
        found = letters.list_dead_letters(connection, chosen, discarded=every)
    if as_json:
        console.emit_json(found)
        return
    if not found:
        console.note("Every event could be folded.")
        return
    columns.table(
        LISTED, ({each.name: getattr(letter, each.name) for each in LISTED} for letter in found)
    )


@dead_letters.command()
@click.argument("names", nargs=-1)
@click.option(
    "--position",
    "positions",
    type=int,
    multiple=True,
    help="Only the event at this position, even if discarded; may be repeated.",
)
@json_option()
@click.pass_context
def retry(
    ctx: click.Context, names: tuple[str, ...], positions: tuple[int, ...], as_json: bool
) -> None:
    """Try again to fold events that were set aside.

    Those of the projections with NAMES, or all that wait. The rows that they affect are folded
    anew, as if the events had never been set aside. An event that is refused again stays set aside:
    exit status 3 when some are, 1 when all are or after an error.

    \b
    Example:
      qforge dead-letters retry
      qforge dead-letters retry calculations --position 4711
    """
    projections = named(names)
    if positions and len(names) != 1:
        raise click.UsageError(
            "--position requires one NAME: the projection that leaves the event out"
        )
    with open_forge(writes=True) as forge:
        tried = [
            one for projection in projections for one in refold(forge.engine, projection, positions)
        ]
    if as_json:
        console.emit_json(tried)
    elif tried:
        _print(tried)
    else:
        console.note("No event waits for a retry.")
    failed = sum(one.reason is not None for one in tried)
    ctx.exit(of_outcomes(succeeded=len(tried) - failed, failed=failed))


@dead_letters.command()
@click.argument("name")
@click.argument("positions", type=int, nargs=-1, required=True)
def discard(name: str, positions: tuple[int, ...]) -> None:
    """Leave the events at POSITIONS out of projection NAME for good.

    Rebuilds and changed definitions leave them out, too. The log keeps them, and `retry --position`
    folds them after all.

    \b
    Example:
      qforge dead-letters discard calculations 4711 4712
    """
    (projection,) = named([name])
    with open_forge(writes=True) as forge, forge.engine.begin() as connection:
        done = letters.discard(connection, projection.name, positions)
    if done:
        console.note(f"{name} leaves out the events at {', '.join(map(str, done))}.")
    if rest := set(positions) - set(done):
        raise NotParked(name, rest)


def _print(tried: Sequence[Refolded]) -> None:
    console.table(
        ("projection", "position", "outcome"),
        ((one.projection, one.position, one.reason or "folded") for one in tried),
        right=["position"],
    )
