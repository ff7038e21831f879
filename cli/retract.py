"""`qforge retract`: take results back."""

from datetime import datetime
from uuid import UUID

import click

from cli import console
from cli.options import json_option, span_options
from cli.session import migrated_database
from eventstore import ids, retraction
from eventstore.recorders.author import Author
from eventstore.retraction import Criteria, Extent
from eventstore.settings import load_settings
from projections.projector import catch_up
from projections.registry import PROJECTIONS


@click.command()
@click.option("--program-version", metavar="VERSION", help="Only results of this version: 0.4.0.")
@click.option("--host", help="Only results that this host recorded.")
@click.option("--method", help="Only results by this method: GFN2-xTB.")
@click.option("--batch", help="Only results of this batch: its name or its id.")
@span_options("what completed ")
@click.option("--reason", help="Why; it is kept with every result.")
@click.option("--dry-run", is_flag=True, help="Only print what would be covered.")
@json_option()
def retract(
    program_version: str | None,
    host: str | None,
    method: str | None,
    batch: str | None,
    since: datetime | None,
    until: datetime | None,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Invalidate every completed result that the options cover, in one decision.

    All of them together, or none. What completes later is not covered: stop its runner first. The
    same file, run again, computes what was retracted anew.

    \b
    Example:
      qforge retract --program-version 0.4.0 --dry-run
      qforge retract --host node7 --since 2026-11-01 --reason 'faulty memory'
    """
    if reason is None and not dry_run:
        raise click.UsageError("give a --reason, or look first with --dry-run")
    settings = load_settings()
    criteria = Criteria(
        program_version=program_version,
        host=host,
        method=method,
        batch_id=None if batch is None else _batch_id(settings.tenant_id, batch),
        since=since,
        until=until,
    )
    with migrated_database(settings, writes=not dry_run) as database:
        if dry_run:
            with database.engine.connect() as connection:
                covered = retraction.extent(connection, settings.tenant_id, criteria)
            _print(covered, as_json)
            return
        author = Author(tenant_id=settings.tenant_id, user_id=settings.user_id)
        done = retraction.retract(database.engine, author, criteria, reason or "")
        catch_up(database.engine, PROJECTIONS.values())
    if as_json:
        console.emit_json(done)
    elif done is None:
        console.note("Nothing to retract: no result that counts is covered.")
    else:
        console.emit(
            f"Retracted {done.calculation_count} results by retraction {done.retraction_id}."
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
            ("program versions", _told(covered.program_versions)),
            ("hosts", _told(covered.hosts)),
            ("for example", ", ".join(map(str, covered.examples))),
        ],
    )


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or 'unknown'}: {count}" for name, count in sorted(counts.items()))


def _batch_id(tenant_id: UUID, batch: str) -> UUID:
    try:
        return UUID(batch)
    except ValueError:
        return ids.batch_id(tenant_id, batch)
