"""`qforge molecules`: list molecules, and show one with its calculations."""

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.commands.queries.calculations import LISTED as CALCULATIONS
from quantum_forge.cli.parse.options import json_option, limit_option, number_range
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.lag import note_undescribed
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries import calculations as queries
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.calculations import Range
from quantum_forge.projections.registry import PROJECTIONS

LISTED = (
    Shown("id"),
    Shown("smiles", long=True),
    Shown("name", long=True),
    Shown("formula", long=True),
    Shown("charge", 0),
    Shown("multiplicity", 0, "2S+1", extra=True),
    Shown("identity", extra=True),
    Shown("molecular_weight", 2, "g/mol", extra=True),
    Shown("logp", 2, "logP", extra=True),
    Shown("qed", 2, "QED", extra=True),
    Shown("calculation_count", 0, "completed"),
    Shown("failed_calculation_count", 0, "failed"),
    Shown("created_at", label="created", extra=True),
)


@click.group(cls=Group)
def molecules() -> None:
    """List and show molecules.

    \b
    Example:
      qforge molecules show CCO
    """


@molecules.command("list")
@click.option(
    "--weight",
    type=number_range,
    metavar="FROM:TO",
    help="Only with a computed weight in this range in g/mol: :300, 100:300.",
)
@click.option(
    "--logp", type=number_range, metavar="FROM:TO", help="Only with a computed logP in this range."
)
@click.option("--name", help="Only with this name, or with this name in the input of a batch.")
@limit_option("the newest")
@json_option()
def list_(
    weight: Range | None, logp: Range | None, name: str | None, limit: int, as_json: bool
) -> None:
    """Print molecules, the newest first.

    \b
    Example:
      qforge molecules list --limit 10
      qforge molecules list --name my-id-17
      qforge molecules list --weight :300 --logp :5 --limit 100000 --json
    """
    settings = load_settings()
    described = weight is not None or logp is not None
    reads = [
        "molecules",
        *(["molecule_properties_computed"] if described else []),
        *(["batch_item_names"] if name is not None else []),
    ]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        if described:
            note_undescribed(connection, settings.tenant_id)
        query = queries.select_molecules(
            settings.tenant_id, weight=weight, logp=logp, name=name, limit=limit
        )
        found = queries.rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, found)


@molecules.command()
@click.argument("molecule")
@json_option()
def show(molecule: str, as_json: bool) -> None:
    """Print a MOLECULE and its calculations, by SMILES as stored, id, or a prefix of the id.

    \b
    Example:
      qforge molecules show 'CC(=O)Oc1ccccc1C(=O)O'
      qforge molecules show 7d44 --json
    """
    settings = load_settings()
    reads = ["molecules", "calculations"]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        details = lookup.molecule_details(connection, settings.tenant_id, molecule)
    if as_json:
        console.emit_json(details)
        return
    columns.record(details.molecule, PROJECTIONS["molecules"].table, title="molecule")
    console.emit("")
    columns.table(CALCULATIONS, details.calculations, title="calculations")
