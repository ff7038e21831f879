"""`qforge import jobs`: folders of finished jobs as events with their original times."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import click
import msgspec
from msgspec.structs import replace

from cli import console
from cli.catching_up import catch_up_shown
from cli.options import jobs_option, json_option
from cli.run import EngineMissing
from cli.session import migrated_database
from eventstore.errors import QuantumForgeError
from eventstore.settings import load_settings
from projections.registry import PROJECTIONS

PROBLEMS_SHOWN = 20


class ReportUnwritable(QuantumForgeError):
    """The report cannot be written."""

    exit_status = 2

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"--report {path} cannot be written: {error.strerror or error}")


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read and judge everything; append nothing.")
@click.option("--limit", type=click.IntRange(1), help="Import at most so many jobs.")
@click.option("--user-id", type=click.UUID, help="Who ran the jobs.  [default: you]")
@click.option("--tenant", type=click.UUID, help="Who owns them.  [default: your tenant]")
@jobs_option()
@click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what became of every folder to this file, as JSON Lines.",
)
@click.option("--logs", "keep_logs", is_flag=True, help="Keep what xtb printed, too.")
@json_option("what became of the folders as JSON")
@click.pass_context
def jobs(
    context: click.Context,
    directory: Path,
    dry_run: bool,
    limit: int | None,
    user_id: UUID | None,
    tenant: UUID | None,
    jobs: int,
    report_file: Path | None,
    keep_logs: bool,
    as_json: bool,
) -> None:
    """Import the finished jobs in and below DIR, as events with their original times.

    A job is a folder with metadata.json, results.json and an .xyz file, or with what xtb leaves:
    xtbout.json, its log, xtbopt.xyz, charges, gradient. Molecules, calculations, atoms, metrics
    and failures are imported; a result that physics does not believe is invalidated.

    It may be run twice and killed at any time: a job is imported whole, and once. Jobs that cannot
    be read are named with file and reason, stop no other, and make the exit status 1.

    \b
    Example:
      qforge import jobs jobs/ --dry-run
      qforge import jobs jobs/ --jobs 8 --report import.jsonl
    """
    try:
        from runner.jobs.importing import count_folders, import_jobs, require_directory
        from runner.jobs.outcome import FAILED, FolderOutcome
        from runner.jobs.worker import Target
    except ImportError as error:
        raise EngineMissing(error) from error

    require_directory(directory)
    settings = load_settings()
    settings = replace(
        settings, tenant_id=tenant or settings.tenant_id, user_id=user_id or settings.user_id
    )
    total = count_folders(directory, limit)
    with (
        migrated_database(settings, writes=not dry_run) as database,
        written_report(report_file) as write,
    ):
        target = Target(
            url=database.url.render_as_string(hide_password=False),
            tenant_id=settings.tenant_id,
            user_id=settings.user_id,
            dry_run=dry_run,
            keep_logs=keep_logs,
        )
        try:
            with console.progress("reading" if dry_run else "importing", total) as report:

                def account(outcome: FolderOutcome) -> None:
                    write(outcome)
                    report(1, 1 if outcome.outcome == FAILED else 0)

                done = import_jobs(
                    target, directory, jobs=max(1, min(jobs, total)), limit=limit, on_folder=account
                )
        finally:
            if not dry_run:
                catch_up_shown(database.engine, list(PROJECTIONS.values()))
    for failure in done.failures[:PROBLEMS_SHOWN]:
        where = f"{failure.path}/{failure.file}" if failure.file else failure.path
        console.note(console.printable(f"{where}: {failure.reason}"))
    if (more := done.failed - PROBLEMS_SHOWN) > 0:
        where = f"all are in {report_file}" if report_file else "--report FILE names all"
        console.note(f"… and {more} more; {where}")
    if as_json:
        console.emit_json({"dry_run": dry_run, "folders": done.folders, **_counts(done)})
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
    if done.failed:
        context.exit(1)


def _counts(done: msgspec.Struct) -> dict[str, object]:
    return msgspec.structs.asdict(done)


@contextlib.contextmanager
def written_report(path: Path | None) -> Iterator[Callable[[msgspec.Struct], None]]:
    """A function that writes a line to the report, or nothing where none is wanted."""
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise ReportUnwritable(path, error) from error
    with file:

        def write(outcome: msgspec.Struct) -> None:
            file.write(msgspec.json.encode(outcome) + b"\n")

        yield write
