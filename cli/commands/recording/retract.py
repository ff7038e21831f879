"""`qforge retract`: retract results, and reverse a retraction."""

import sys
from datetime import datetime

import click
from click.core import ParameterSource

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option, time_range_options
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.actions import retraction, reversal
from quantum_forge.eventstore.actions.retraction import Criteria, Extent
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries import lookup
from quantum_forge.runner.engines.methods import known_method
from quantum_forge.searching import canonical

READS = ("batch_jobs", "batch_items", "batch_item_names", "calculations", "molecules")
"""The read models by which results are found, and which batches reuse them."""


@click.command(cls=Command)
@click.option("--calculation", help="Only the result of this calculation: its id, or a prefix.")
@click.option(
    "--molecule",
    help="Only results of this molecule: what `qforge molecules show` takes, such as its id.",
)
@click.option(
    "--program-version", metavar="VERSION", help="Only results of this program version: 0.4.0."
)
@click.option("--host", help="Only results that this host recorded.")
@click.option("--method", help="Only results by this method: GFN2-xTB, also as gfn2.")
@click.option(
    "--batch",
    help="Only results that this batch computed itself: its name, its id, or a prefix of its id.",
)
@click.option(
    "--with-reused",
    is_flag=True,
    help="With --batch: also the results that the batch reused, whichever batch computed them.",
)
@time_range_options("what completed ")
@click.option(
    "--undo",
    metavar="RETRACTION",
    help="Reverse this retraction instead: its id, or a prefix. Its results are valid again.",
)
@click.option("--reason", help="The reason, which is stored with every result.")
@click.option("--dry-run", is_flag=True, help="Only print what would be retracted, or restored.")
@click.option("--yes", is_flag=True, help="Do not ask, on a terminal.")
@json_option()
def retract(
    calculation: str | None,
    molecule: str | None,
    program_version: str | None,
    host: str | None,
    method: str | None,
    batch: str | None,
    with_reused: bool,
    since: datetime | None,
    until: datetime | None,
    undo: str | None,
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Invalidate every completed result that the options select, as one retraction.

    Either all of them are invalidated or none. --batch selects the results that the batch computed
    itself; those that it reused are left out, and counted, unless --with-reused is given. Results
    that complete later are not included: stop the runner first. Running the same file again
    recomputes what was retracted.

    --undo reverses a retraction: its results are valid again, with the values they had, except for
    those that were computed again since. A retraction can be reversed once.

    \b
    Example:
      qforge retract --program-version 0.4.0 --dry-run
      qforge retract --batch molecules --reason 'wrong charges' --dry-run
      qforge retract --calculation 01946f5e --reason 'a typing error in the charge'
      qforge retract --host node7 --since 2026-11-01 --reason 'faulty memory'
      qforge retract --undo 01a1f9e2 --reason 'the memory was not faulty' --dry-run
    """
    if reason is None and not dry_run:
        raise click.UsageError("give a --reason, or look first with --dry-run")
    if with_reused and batch is None:
        raise click.UsageError("--with-reused requires --batch, which says which batch reused them")
    if undo is not None:
        _refuse_criteria()
        _undo(undo, reason, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    settings = load_settings()
    with open_forge(settings, writes=not dry_run, reads=READS) as forge:
        with forge.connect() as connection:
            criteria = Criteria(
                program_version=program_version,
                host=host,
                method=None if method is None else known_method(method) or method,
                batch_id=None
                if batch is None
                else lookup.find_batch(connection, settings.tenant_id, batch)["id"],
                with_reused=with_reused,
                since=since,
                until=until,
                calculation_id=None
                if calculation is None
                else lookup.find_calculation(
                    connection, settings.tenant_id, calculation, canonical=canonical
                )["id"],
                molecule_id=None
                if molecule is None
                else lookup.find_molecule(
                    connection, settings.tenant_id, molecule, canonical=canonical
                )["id"],
            )
        asks = not yes and _is_interactive()
        if dry_run or asks:
            with forge.connect() as connection:
                covered = retraction.extent(connection, settings.tenant_id, criteria)
            if dry_run:
                _print(covered, as_json)
                return
            if covered.calculation_count:
                _confirm(
                    f"Retract {counted(covered.calculation_count, 'result')} of "
                    f"{counted(covered.molecule_count, 'molecule')}?"
                )
        done = retraction.retract(forge.engine, forge.author, criteria, reason or "")
    if as_json:
        console.emit_json(done)
    elif done is None:
        console.note("Nothing to retract: the options select no valid result.")
    else:
        if done.reused_count:
            console.note(
                f"Left {counted(done.reused_count, 'result')} that the batch only reused; "
                "--with-reused includes them."
            )
        if done.reused_by:
            console.note(f"Other batches used these results, too: {_counts_text(done.reused_by)}.")
        console.emit(
            f"Retracted {counted(done.calculation_count, 'result')} by retraction "
            f"{done.retraction_id}."
        )


def _undo(reference: str, reason: str | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    settings = load_settings()
    with open_forge(settings, writes=not dry_run) as forge:
        with forge.connect() as connection:
            its_id = reversal.find_retraction(connection, settings.tenant_id, reference)
            found = reversal.restorable(connection, settings.tenant_id, its_id)
        if dry_run:
            _print_restorable(found, as_json)
            return
        count = len(found.calculation_ids)
        if count and not yes and _is_interactive():
            _confirm(f"Restore {counted(count, 'result')}, retracted because: {found.reason}?")
        done = reversal.reverse(forge.engine, forge.author, its_id, reason or "")
    if as_json:
        console.emit_json(done)
        return
    left = found.recalculated_count if done is None else done.recalculated_count
    if left:
        console.note(f"Left {counted(left, 'result')} that were computed again.")
    if done is None:
        console.note("Nothing to restore.")
    else:
        console.emit(
            f"Restored {counted(done.calculation_count, 'result')} of retraction {its_id}."
        )


def _refuse_criteria() -> None:
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        and option.name not in ("undo", "reason", "dry_run", "yes", "as_json")
    ]
    if given:
        raise click.UsageError(
            f"--undo restores everything that the retraction covered; leave out {', '.join(given)}"
        )


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirm(question: str) -> None:
    click.confirm(console.harmless(question), abort=True, err=True)


def _print_restorable(found: reversal.Restorable, as_json: bool) -> None:
    examples = found.calculation_ids[: retraction.EXAMPLES]
    if as_json:
        console.emit_json(
            {
                "retraction_id": found.retraction_id,
                "reason": found.reason,
                "decided_at": found.decided_at,
                "calculation_count": len(found.calculation_ids),
                "recalculated_count": found.recalculated_count,
                "examples": examples,
            }
        )
        return
    console.table(
        ("restored", "value"),
        [
            ("retraction", found.retraction_id),
            ("its reason", found.reason),
            ("decided", found.decided_at),
            ("results", len(found.calculation_ids)),
            ("computed again since, left as they are", found.recalculated_count),
            ("for example", ", ".join(map(str, examples))),
        ],
    )


def _print(covered: Extent, as_json: bool) -> None:
    if as_json:
        console.emit_json(covered)
        return
    console.table(
        ("covered", "value"),
        [
            ("results", covered.calculation_count),
            ("molecules", covered.molecule_count),
            ("batches", covered.batch_count),
            ("first completed", covered.first_completed_at),
            ("last completed", covered.last_completed_at),
            ("program versions", _counts_text(covered.program_versions)),
            ("hosts", _counts_text(covered.hosts)),
            ("reused by the batch, left out", covered.reused_count),
            ("reused by other batches", _counts_text(covered.reused_by)),
            ("for example", ", ".join(map(str, covered.examples))),
        ],
    )


def _counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or 'unknown'}: {count}" for name, count in sorted(counts.items()))
