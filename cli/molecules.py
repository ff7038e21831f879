"""`qforge molecules`: list molecules, and show one with its calculations."""

import click

from cli import columns, console
from cli.calculations import LISTED as CALCULATIONS
from cli.columns import Shown
from cli.lag import note_lag
from cli.options import json_option, limit_option
from cli.session import migrated_database
from eventstore.settings import load_settings
from projections import queries
from schema.tables import chemistry

LISTED = (
    Shown("id"),
    Shown("smiles", long=True),
    Shown("name", long=True),
    Shown("formula", long=True, extra=True),
    Shown("charge", 0),
    Shown("multiplicity", 0, "2S+1", extra=True),
    Shown("molecular_weight", 2, "g/mol", extra=True),
    Shown("calculation_count", 0, "completed"),
    Shown("failed_calculation_count", 0, "failed"),
    Shown("created_at", label="created", extra=True),
)


@click.group()
def molecules() -> None:
    """Look at molecules.

    \b
    Example:
      qforge molecules show CCO
    """


@molecules.command("list")
@limit_option("the newest")
@json_option()
def list_(limit: int, as_json: bool) -> None:
    """Print molecules, the newest first.

    \b
    Example:
      qforge molecules list --limit 10
    """
    settings = load_settings()
    with migrated_database(settings) as database, database.engine.connect() as connection:
        note_lag(connection, "molecules")
        query = queries.select_molecules(settings.tenant_id, limit=limit)
        found = queries.rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, found)


@molecules.command()
@click.argument("molecule")
@json_option()
def show(molecule: str, as_json: bool) -> None:
    """Print a MOLECULE and its calculations: by SMILES as stored, id, or how the id begins.

    \b
    Example:
      qforge molecules show 'CC(=O)Oc1ccccc1C(=O)O'
      qforge molecules show 7d44 --json
    """
    settings = load_settings()
    with migrated_database(settings) as database, database.engine.connect() as connection:
        note_lag(connection, "molecules", "calculations")
        details = queries.molecule_details(connection, settings.tenant_id, molecule)
    if as_json:
        console.emit_json(details)
        return
    columns.record(details.molecule, chemistry.molecules, title="molecule")
    console.emit("")
    columns.table(CALCULATIONS, details.calculations, title="calculations")
