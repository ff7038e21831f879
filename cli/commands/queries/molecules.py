"""`qforge molecules`: list molecules, find them by structure, show one with its calculations."""

from datetime import datetime

import click
import msgspec

from quantum_forge.cli.command import Group
from quantum_forge.cli.commands.queries.calculations import LISTED as CALCULATIONS
from quantum_forge.cli.parse.named import named_project, named_user, tables_of
from quantum_forge.cli.parse.options import (
    json_option,
    limit_option,
    molecular_formula,
    number_range,
    people_options,
    time_range_options,
)
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.lag import note_undescribed
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.molecules import select_molecules
from quantum_forge.projections.queries.rows import Range, rows
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.searching import canonical

DETAILS = ("molecules", "batch_item_names", "calculations")

LISTED = (
    Shown("id"),
    Shown("smiles", long=True),
    Shown("name", long=True),
    Shown("formula", long=True),
    Shown("charge", 0, rank=1),
    Shown("multiplicity", 0, "2S+1", rank=3),
    Shown("identity", rank=4),
    Shown("molecular_weight", 2, "g/mol", rank=2),
    Shown("logp", 2, "logP", rank=3),
    Shown("qed", 2, "QED", rank=4),
    Shown("calculation_count", 0, "completed"),
    Shown("failed_calculation_count", 0, "failed", rank=1),
    Shown("created_at", label="created", rank=3),
)

FOUND = (
    Shown("id"),
    Shown("similarity", 3),
    Shown("smiles", long=True),
    Shown("name", long=True),
    Shown("formula", long=True),
    Shown("charge", 0, rank=1),
    Shown("multiplicity", 0, "2S+1", rank=3),
    Shown("molecular_weight", 2, "g/mol", rank=2),
    Shown("calculation_count", 0, "completed"),
)

MANY = 1_000
"""Molecules without fingerprints from which on a note says how searches become fast."""


@click.group(cls=Group)
def molecules() -> None:
    """List, find and show molecules.

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
@click.option(
    "--formula", type=molecular_formula, help="Only with this molecular formula, as C8H10N4O2."
)
@people_options("molecules")
@time_range_options("what was created ")
@view_options()
@limit_option("the newest")
@json_option()
def list_(
    weight: Range | None,
    logp: Range | None,
    name: str | None,
    formula: str | None,
    user: str | None,
    project: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print molecules, the newest first.

    \b
    Example:
      qforge molecules list --limit 10
      qforge molecules list --name my-id-17
      qforge molecules list --formula C2H6O --project Malaria --since 3d
      qforge molecules list --weight :300 --logp :5 --limit 100000 --json
    """
    settings = load_settings()
    described = weight is not None or logp is not None
    reads = [
        "molecules",
        *(["molecule_properties_computed"] if described else []),
        *(["batch_item_names"] if name is not None else []),
        *tables_of(user, project),
    ]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        if described:
            note_undescribed(connection, settings.tenant_id)
        query = select_molecules(
            settings.tenant_id,
            weight=weight,
            logp=logp,
            name=name,
            formula=formula,
            user_id=named_user(connection, settings.tenant_id, user),
            project_id=named_project(connection, settings.tenant_id, project),
            since=since,
            until=until,
            limit=limit,
        )
        found = rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, found)


@molecules.command()
@click.option(
    "--substructure", metavar="SMARTS", help="Find the molecules that have this substructure."
)
@click.option(
    "--similar", metavar="SMILES", help="Find the molecules that are similar to this one."
)
@click.option(
    "--threshold",
    type=float,
    help="With --similar, the least similarity, above 0 and up to 1 (0.5 unless given).",
)
@view_options()
@limit_option("the first hits")
@json_option()
def search(
    substructure: str | None,
    similar: str | None,
    threshold: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find molecules by structure: with a substructure, or similar to another molecule.

    A substructure is written as SMARTS; the molecules of the shortest SMILES come first. The
    similarity is the Tanimoto coefficient of Morgan fingerprints of radius 2. `qforge properties
    compute` computes the fingerprints by which searches are fast.

    \b
    Example:
      qforge molecules search --substructure 'c1ccccc1C(=O)[OX2H1]'
      qforge molecules search --similar 'CC(=O)Oc1ccccc1C(=O)O' --threshold 0.6
    """
    if (substructure is None) is (similar is None):
        raise click.UsageError("give either --substructure SMARTS or --similar SMILES")
    if threshold is not None and similar is None:
        raise click.UsageError("--threshold goes with --similar")
    with open_forge(load_settings(), reads=("molecules", "molecule_fingerprints")) as forge:
        if substructure is not None:
            found = forge.substructure(substructure, limit=limit)
        else:
            assert similar is not None
            found = forge.similar(similar, limit=limit, threshold=threshold or 0.5)
    if found.unscreened >= MANY:
        console.note(
            f"{counted(found.unscreened, 'molecule')} had to be compared without fingerprints: run "
            "`qforge properties compute`"
        )
    if not found.is_complete:
        console.note("There may be more: raise --limit, or search for something more special")
    if as_json:
        console.emit_json(found.hits)
    else:
        columns.table(FOUND, map(msgspec.structs.asdict, found.hits))


@molecules.command()
@click.argument("molecule")
@view_options(several=True)
@json_option()
def show(molecule: str, as_json: bool) -> None:
    """Print a MOLECULE and its calculations.

    MOLECULE is any SMILES of it, its name or the name in the input of a batch, its InChIKey, its
    formula, its id, or a prefix of the id of at least 4 digits. Where several molecules fit, they
    are listed, and the exit status is 1.

    \b
    Example:
      qforge molecules show 'CC(=O)Oc1ccccc1C(=O)O'
      qforge molecules show aspirin
      qforge molecules show C9H8O4
      qforge molecules show 7d44 --json
    """
    settings = load_settings()
    with open_forge(settings, reads=DETAILS) as forge, forge.connect() as connection:
        details = lookup.molecule_details(
            connection, settings.tenant_id, molecule, canonical=canonical
        )
    if as_json:
        console.emit_json(details)
        return
    columns.record(details.molecule, PROJECTIONS["molecules"].table, title="molecule")
    console.emit("")
    columns.table(CALCULATIONS, details.calculations, title="calculations")
