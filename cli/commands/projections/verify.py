"""`qforge verify`: prove that the read models are what the log says."""

from collections.abc import Iterable, Iterator

import click
from sqlalchemy import Table

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.doctor.checks import Level
from quantum_forge.eventstore.doctor.examination import examine_guards
from quantum_forge.projections.history.difference import Change, ChangeKind
from quantum_forge.projections.history.verify import Verification
from quantum_forge.projections.registry import PROJECTIONS, named

WORDS = {ChangeKind.ADDED: "surplus", ChangeKind.REMOVED: "missing", ChangeKind.CHANGED: "changed"}
"""What a difference between log and table means for the table."""


@click.command(cls=Command)
@click.argument("names", nargs=-1)
@limit_option("the first rows of each projection that differ", default=20)
@json_option()
@click.pass_context
def verify(ctx: click.Context, names: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Prove that read models agree with the log.

    Those with NAMES, or all: each must have folded every event up to its checkpoint, and its rows
    must be the fold of those events. Prints the rows that differ, and exits with status 1 unless
    everything agrees, or when the functions and triggers that guard the log were changed. Nothing
    is locked or written; projectors continue meanwhile.

    \b
    Example:
      qforge verify
      qforge verify calculations molecules --json
    """
    projections = named(names)
    with open_forge() as forge:
        verified: list[Verification] = []
        with console.progress("verifying", len(projections)) as report:
            for projection in projections:
                (one,) = forge.verify(projection.name, limit=limit)
                verified.append(one)
                report(1, 0 if one.agrees else 1)
        changed = [each for each in examine_guards(forge.engine) if each.level is Level.PROBLEM]
    if as_json:
        console.emit_json(verified)
    else:
        _print(verified)
    wrong = [one for one in verified if not one.agrees]
    if wrong:
        console.note(
            f"Different from the log: {', '.join(one.projection for one in wrong)}; rebuild them "
            f"with: qforge rebuild {' '.join(one.projection for one in wrong)}"
        )
    for each in changed:
        console.note(f"The log itself is not guarded: {each.found}; see: qforge doctor")
    if wrong or changed:
        ctx.exit(1)


def _print(verified: Iterable[Verification]) -> None:
    numbers = ("position", "events", "missing", "surplus", "changed")
    console.table(
        ("projection", "outcome", *numbers),
        (
            (
                one.projection,
                _outcome(one),
                one.position,
                one.consumed,
                *(
                    None if one.stale else number
                    for number in (one.rows.removed, one.rows.added, one.rows.changed)
                ),
            )
            for one in verified
        ),
        right=numbers,
    )
    for one in verified:
        if one.rows:
            table = PROJECTIONS[one.projection].table
            console.emit("")
            console.table(
                ("key", "row", "column", "in the table", "in the log"),
                _differing(one.rows.examples, table),
                title=one.projection,
                is_one_of_several=True,
            )
            total = one.rows.added + one.rows.removed + one.rows.changed
            if total > len(one.rows.examples):
                console.note(
                    f"… and {counted(total - len(one.rows.examples), 'more row')} of {table.name}"
                )


def _outcome(one: Verification) -> str:
    if one.stale:
        return "not compared: filled by another definition"
    found = []
    if not one.same_events:
        found.append(
            f"folded other events than the {one.logged} of the log"
            if one.logged == one.consumed
            else f"folded {one.consumed} events of {one.logged}"
        )
    if one.beyond_head:
        found.append(
            f"its checkpoint {one.position} is beyond the log: run qforge rebuild {one.projection}"
        )
    if one.rows:
        found.append("rows differ")
    parked = f", except for {counted(one.parked, 'dead letter')}" if one.parked else ""
    return ("; ".join(found) or "verified") + parked


def _differing(changes: Iterable[Change], table: Table) -> Iterator[tuple[object, ...]]:
    for change in changes:
        key = ",".join(str(value) for name, value in change.key.items() if name != "tenant_id")
        word = WORDS[change.kind]
        if change.before is None or change.after is None:
            yield key, word, None, None, None
            continue
        for name in change.columns:
            assert name in table.c
            yield key, word, name, change.after[name], change.before[name]
