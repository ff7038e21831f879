"""`qforge import jobs`: folders of finished jobs as events with their original times."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
import msgspec
from msgspec.structs import replace
from sqlalchemy import Engine, RowMapping

from quantum_forge.cli.command import Command
from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.parse import ids
from quantum_forge.cli.parse.ids import ID, Beginning
from quantum_forge.cli.parse.options import jobs_option, json_option, limit_option
from quantum_forge.cli.session import open_forge, require_to_act_for
from quantum_forge.cli.show import console
from quantum_forge.cli.show.catching_up import project_import
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries.calculations import select_atoms, select_completed
from quantum_forge.runner.errors import EngineMissing

if TYPE_CHECKING:
    from quantum_forge.runner.jobs.recomputation import Checked, RecordedResult, Sample

PROBLEMS_SHOWN = 20
WITHOUT_RESULT_SHOWN = 5

CANDIDATES = 20
"""Folders that are kept in mind for each result to check: those that are there already may not
count."""


class ReportUnwritable(QuantumForgeError):
    """The report cannot be written."""

    exit_status = 2

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"--report {path} cannot be written: {error.strerror or error}")


@click.command(cls=Command)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read and check everything; append nothing.")
@limit_option("the first jobs of the folder, imported before or not", None, does="Read")
@click.option("--user-id", type=ID, help="The user who ran the jobs.  [default: you]")
@click.option(
    "--tenant", type=click.UUID, help="The tenant that owns them.  [default: your tenant]"
)
@jobs_option()
@click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the outcome of every folder to this file, as JSON Lines.",
)
@click.option("--logs", "keep_logs", is_flag=True, help="Also store the output of xtb.")
@click.option(
    "--check",
    "check_count",
    type=click.IntRange(1),
    metavar="N",
    help="Calculate N of the results again with tblite, and report energies that differ by "
    "more than 1e-6 Eh (GFN2-xTB with atoms more than 25 Bohr apart: 1e-4 Eh), and forces, charges "
    "and dipoles.",
)
@json_option("the outcomes of the folders as JSON")
@click.pass_context
def jobs(
    context: click.Context,
    directory: Path,
    dry_run: bool,
    limit: int | None,
    user_id: UUID | Beginning | None,
    tenant: UUID | None,
    jobs: int,
    report_file: Path | None,
    keep_logs: bool,
    check_count: int | None,
    as_json: bool,
) -> None:
    """Import the finished jobs in and below DIR, as events with their original times.

    A job is a folder with metadata.json, results.json and an .xyz file, or with the files that xtb
    writes: xtbout.json, its log, xtbopt.xyz, charges, gradient. Molecules, calculations, atoms,
    metrics and failures are imported; a physically impossible result is invalidated, as is one
    whose files contradict each other on the geometry, charge, spin, method or solvent.

    The import may be repeated, and killed at any time: each job is imported completely, and once. A
    job that cannot be read is reported with file and reason, and the others are imported. Exit
    status: 0 when every job could be read, 3 when some could not, 1 when none could, when --check
    finds a difference, or after an error.

    \b
    Example:
      qforge import jobs jobs/ --dry-run
      qforge import jobs jobs/ --jobs 8 --report import.jsonl
      qforge import jobs jobs/ --check 20
    """
    if check_count is not None and dry_run:
        raise click.UsageError("--check recalculates recorded results, and --dry-run records none.")
    try:
        from quantum_forge.runner.jobs.importing import (
            count_folders,
            import_jobs,
            require_directory,
        )
        from quantum_forge.runner.jobs.outcome import FAILED, PRESENT, FolderOutcome
        from quantum_forge.runner.jobs.recomputation import Sample
        from quantum_forge.runner.jobs.worker import Target

        if check_count is not None and importlib.util.find_spec("tblite") is None:
            raise ModuleNotFoundError("tblite is not installed", name="tblite")
    except ImportError as error:
        raise EngineMissing(error) from error

    require_directory(directory)
    settings = load_settings()
    if tenant is not None:
        settings = replace(settings, tenant_id=tenant)
    total = count_folders(directory, limit)
    with (
        open_forge(settings, writes=not dry_run) as forge,
        written_report(report_file) as write,
    ):
        with forge.connect() as connection:
            user = ids.user(connection, settings.tenant_id, user_id)
        require_to_act_for(forge, user)
        target = Target(
            url=forge.engine.url.render_as_string(hide_password=False),
            tenant_id=settings.tenant_id,
            user_id=user or forge.author.user_id,
            dry_run=dry_run,
            keep_logs=keep_logs,
        )
        sample = Sample(CANDIDATES * (check_count or 0))
        checked = None
        try:
            with console.progress("reading" if dry_run else "importing", total) as report:

                def account(outcome: FolderOutcome) -> None:
                    write(outcome)
                    counts = outcome.status == "completed" or outcome.outcome == PRESENT
                    if counts and outcome.calculation_id is not None:
                        sample.add(outcome.calculation_id, outcome.path)
                    report(1, 1 if outcome.outcome == FAILED else 0)

                done = import_jobs(
                    target, directory, jobs=max(1, min(jobs, total)), limit=limit, on_folder=account
                )
        finally:
            if not dry_run:
                project_import(forge.engine)
        if check_count is not None:
            checked = checked_again(
                forge.engine, settings.tenant_id, sample, check_count, jobs=jobs
            )
    for failure in done.failures[:PROBLEMS_SHOWN]:
        where = f"{failure.path}/{failure.file}" if failure.file else failure.path
        console.note(f"{where}: {failure.reason}")
    if (more := done.failed - PROBLEMS_SHOWN) > 0:
        where = f"all are in {report_file}" if report_file else "--report FILE lists all"
        console.note(f"… and {more} more; {where}")
    without = done.skipped + done.statuses["invalidated"]
    for each in done.without_result[:WITHOUT_RESULT_SHOWN]:
        became = each.status or each.outcome
        console.note(f"{each.path}: {became}: {each.reason}")
    if (more := without - WITHOUT_RESULT_SHOWN) > 0:
        where = f"all are in {report_file}" if report_file else "--report FILE lists all"
        console.note(f"and {more} others without a result; {where}")
    if checked is not None:
        show_check(checked)
    if as_json:
        check = {} if checked is None else {"check": _check_counts(checked)}
        console.emit_json({"dry_run": dry_run, "folders": done.folders, **_counts(done), **check})
    else:
        statuses = ", ".join(f"{n} {status}" for status, n in sorted(done.statuses.items()))
        console.table(
            ["outcome", "folders", "of which"],
            [
                ("would be imported" if dry_run else "imported", done.imported, statuses),
                ("already there", done.present, ""),
                ("skipped", done.skipped, ""),
                ("failed", done.failed, ""),
            ],
            right=["folders"],
        )
    if checked is not None and checked.differences:
        context.exit(1)
    context.exit(of_outcomes(succeeded=done.folders - done.failed, failed=done.failed))


def checked_again(
    engine: Engine, tenant_id: UUID, sample: "Sample", count: int, *, jobs: int
) -> "Checked":
    """Calculate `count` recorded results of a sample again; the tables must be up to date."""
    from quantum_forge.runner.jobs.recomputation import recompute

    recorded = recorded_results(engine, tenant_id, sample.paths(), count)
    with console.progress("checking", len(recorded)) as report:
        return recompute(
            recorded,
            jobs=max(1, min(jobs, len(recorded))),
            on_result=lambda agrees: report(1, 0 if agrees else 1),
        )


def recorded_results(
    engine: Engine, tenant_id: UUID, paths: dict[UUID, str], count: int
) -> list["RecordedResult"]:
    """The first `count` of these calculations that count, in the order of `paths`."""
    from quantum_forge.runner.jobs.recomputation import RecordedResult
    from quantum_forge.runner.molecules.geometry import Geometry

    with engine.connect() as connection:
        rows = {
            row["id"]: row
            for row in connection.execute(select_completed(tenant_id, list(paths))).mappings()
        }
        chosen = [each for each in paths if each in rows][:count]
        atoms = {
            its_id: list(its_atoms)
            for its_id, its_atoms in groupby(
                connection.execute(select_atoms(tenant_id, chosen)).mappings(),
                key=lambda atom: atom["calculation_id"],
            )
        }
    return [
        RecordedResult(
            calculation_id=each,
            path=paths[each],
            energy=rows[each]["energy"],
            geometry=Geometry(
                tuple([atom["atomic_number"] for atom in atoms.get(each, [])]),
                tuple(
                    [
                        (atom["position_x"], atom["position_y"], atom["position_z"])
                        for atom in atoms.get(each, [])
                    ]
                ),
            ),
            charge=rows[each]["charge"],
            multiplicity=rows[each]["multiplicity"],
            method=rows[each]["method"],
            solvation_model=rows[each]["solvation_model"],
            forces=_forces(atoms.get(each, [])),
            charges=_charges(atoms.get(each, [])),
            dipole=rows[each]["dipole"],
        )
        for each in chosen
    ]


def _forces(atoms: Sequence[RowMapping]) -> tuple[tuple[float, float, float], ...] | None:
    """The force on each atom in Eh/Bohr; None where they are not recorded."""
    if any(atom["force_x"] is None for atom in atoms):
        return None
    return tuple((atom["force_x"], atom["force_y"], atom["force_z"]) for atom in atoms)


def _charges(atoms: Sequence[RowMapping]) -> tuple[float, ...] | None:
    """The partial charge of each atom in e; None where they are not recorded."""
    if any(atom["partial_charge"] is None for atom in atoms):
        return None
    return tuple(atom["partial_charge"] for atom in atoms)


def show_check(checked: "Checked") -> None:
    """A line for each result that differs or was not calculated again, and one for all."""
    for left_out in checked.not_recomputed:
        console.note(f"{left_out.path}: not recomputed: {left_out.reason}")
    for each in checked.differences:
        console.note(f"{each.path}: {each.reason}")
    console.note(
        f"check: {checked.recomputed} of {checked.sampled} recomputed, "
        f"{len(checked.differences)} of them differ"
    )


def _check_counts(checked: "Checked") -> dict[str, object]:
    return {
        "sampled": checked.sampled,
        "recomputed": checked.recomputed,
        "differences": checked.differences,
        "not_recomputed": checked.not_recomputed,
    }


def _counts(done: msgspec.Struct) -> dict[str, object]:
    return msgspec.structs.asdict(done)


@contextlib.contextmanager
def written_report(path: Path | None) -> Iterator[Callable[[msgspec.Struct], None]]:
    """A function that writes a line to the report, or nothing where none is wanted."""
    if path is None:
        yield lambda _: None
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o600), "wb")
    except OSError as error:
        raise ReportUnwritable(path, error) from error
    with file:

        def write(outcome: msgspec.Struct) -> None:
            file.write(msgspec.json.encode(outcome) + b"\n")

        yield write
