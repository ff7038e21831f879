"""`qforge retention`: how long tables keep their rows."""

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.operate import retention as library
from quantum_forge.projections.operate.retention import Retention

LISTED = (
    Shown("table"),
    Shown("days", 0),
    Shown("is_default", label="default", rank=2),
    Shown("applied", label="trimmed before", rank=1),
    Shown("cutoff", label="due before"),
    Shown("expired", 0, "expired rows"),
)


@click.group(cls=Group)
def retention() -> None:
    """Show and apply how long tables keep their rows.

    The log keeps every event: only tables are trimmed, and a rebuild does not bring rows back.

    \b
    Example:
      qforge retention show
    """


@retention.command()
@view_options()
@json_option()
def show(as_json: bool) -> None:
    """Print how long each table keeps its rows, and how many have expired.

    \b
    Example:
      qforge retention show
    """
    settings = load_settings()
    with open_forge(settings, reads=library.retained()) as forge, forge.connect() as connection:
        found = library.read_retention(connection, settings.tenant_id)
    _print(found, as_json)


@retention.command("set")
@click.argument("table")
@click.argument("days")
def set_(table: str, days: str) -> None:
    """Set for how many DAYS, or for `ever`, TABLE keeps its rows.

    Rows that were trimmed already do not come back.

    \b
    Example:
      qforge retention set performance_metrics 30
      qforge retention set user_audit_log ever
    """
    settings = load_settings()
    with open_forge(settings, writes=True) as forge:
        kept = _days(days)
        library.set_retention(forge.engine, forge.author, table, kept)
    period = "for ever" if kept is None else f"for {kept:g} {'day' if kept == 1 else 'days'}"
    console.note(f"{table} keeps its rows {period}; `qforge retention apply` trims it.")


@retention.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be trimmed.")
@view_options()
@json_option()
def apply(dry_run: bool, as_json: bool) -> None:
    """Delete the rows whose retention has expired.

    \b
    Example:
      qforge retention apply --dry-run
      qforge retention apply
    """
    settings = load_settings()
    with open_forge(settings, writes=not dry_run, needs=library.retained()) as forge:
        if dry_run:
            with forge.connect() as connection:
                found = library.read_retention(connection, settings.tenant_id)
            found = [each for each in found if each.expired]
        else:
            found = library.apply_retention(forge.engine, forge.author)
    _print(found, as_json)
    if not found:
        console.note("Nothing is due.")


def _days(text: str) -> float | None:
    if text == "ever":
        return None
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days < 100_000:
        raise click.BadParameter(f"{text!r}: write a number of days, or `ever`", param_hint="DAYS")
    return days


def _print(found: list[Retention], as_json: bool) -> None:
    if as_json:
        console.emit_json(found)
        return
    rows = [{name: getattr(each, name) for name in each.__struct_fields__} for each in found]
    columns.table(LISTED, [{**row, "days": row["days"] or "ever"} for row in rows])
