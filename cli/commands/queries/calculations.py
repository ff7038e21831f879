"""`qforge calculations`: find calculations, and show everything about one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import click
from sqlalchemy import Connection

from quantum_forge.cli.command import Group
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
from quantum_forge.cli.show import columns, console, event_table
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.lag import note_undescribed
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries import calculations as queries
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.calculations import STATUSES, CalculationFilter, Order
from quantum_forge.projections.queries.rows import Range, rows
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.searching import canonical

LISTED = (
    Shown("id"),
    Shown("status"),
    Shown("method", rank=2, setting=True),
    Shown("smiles", long=True),
    Shown("formula", long=True, rank=4),
    Shown("name", long=True, rank=2),
    Shown("energy", 6, "energy/Eh"),
    Shown("gap", 3, "gap/eV"),
    Shown("dipole", 3, "dipole/D", rank=3),
    Shown("execution_time_seconds", 2, "time/s", rank=4),
    Shown("started_at", label="started", rank=4),
    Shown("error_type", label="error", rank=1),
    Shown("solvation_model", label="solvent", long=True, rank=3, null="gas phase", setting=True),
    Shown(
        "optimization_level", label="level", long=True, rank=5, null="single point", setting=True
    ),
    Shown("program", label="engine", rank=5, setting=True),
    Shown("error_message", label="reason", long=True, rank=3),
    Shown("program_version", label="version", rank=6, setting=True),
)
FAILED = (
    Shown("id"),
    Shown("status"),
    Shown("name", long=True),
    Shown("smiles", long=True, rank=1),
    Shown("method", rank=2, setting=True),
    Shown("error_type", label="error"),
    Shown("error_message", label="reason", long=True),
)
"""On a terminal, where only calculations without a result are asked for."""

WITHOUT_RESULT = queries.WITHOUT_RESULT
ATOMS = (
    Shown("atom_index", 0, "atom"),
    Shown("element"),
    Shown("partial_charge", 4, "q/e"),
    Shown("position_x", 4, "x/Å"),
    Shown("position_y", 4, "y/Å"),
    Shown("position_z", 4, "z/Å"),
    Shown("force_x", 5, "Fx (Eh/Bohr)", rank=1),
    Shown("force_y", 5, "Fy", rank=1),
    Shown("force_z", 5, "Fz", rank=1),
)
ERRORS = (
    Shown("id", 0),
    Shown("error_type"),
    Shown("error_severity", rank=2),
    Shown("error_message", long=True),
    Shown("retry_count", 0, rank=2),
    Shown("created_at", rank=1),
    Shown("resolved_at", rank=2),
)
DETAILS = (
    "calculations",
    "molecules",
    "batch_item_names",
    "calculation_execution_metrics",
    "atomic_properties",
    "calculation_errors",
)
"""The read models with something about one calculation."""


@click.group(cls=Group)
def calculations() -> None:
    """Find and show calculations.

    \b
    Example:
      qforge calculations list --gap 1:3
    """


@calculations.command("list")
@click.option(
    "--gap",
    type=number_range,
    metavar="FROM:TO",
    help="Only with a gap in this range in eV: 1:3, :3, 1:.",
)
@click.option(
    "--energy",
    type=number_range,
    metavar="FROM:TO",
    help="Only with an energy in this range in Eh.",
)
@click.option(
    "--weight",
    type=number_range,
    metavar="FROM:TO",
    help="Only of molecules whose computed weight is in this range, in g/mol.",
)
@click.option(
    "--logp",
    type=number_range,
    metavar="FROM:TO",
    help="Only of molecules whose computed logP is in this range.",
)
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES),
    multiple=True,
    help="Only with this status; may be repeated.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="Only with this method, as GFN2-xTB or gfn2; may be repeated.",
)
@click.option(
    "--molecule",
    help="Only of this molecule: any SMILES, name, InChIKey, formula, id, or a prefix of its id.",
)
@click.option(
    "--name", help="Only of molecules with this name, or with this name in the input of a batch."
)
@click.option(
    "--batch",
    help=(
        "Only items of this batch, whichever batch computed them: its name, its id, or a prefix "
        "of its id. A name that several batches share means all of them."
    ),
)
@click.option(
    "--formula", type=molecular_formula, help="Only of molecules with this molecular formula."
)
@people_options("calculations")
@time_range_options("what started ")
@click.option(
    "--order",
    type=click.Choice([order.value for order in Order]),
    help="Sort by this column, ascending.  [default: the newest first]",
)
@click.option("--desc", is_flag=True, help="With --order: descending.")
@click.option(
    "--atoms",
    is_flag=True,
    help="With --json: include the charge, position and force of each atom.",
)
@view_options()
@limit_option("the first in the order")
@json_option()
def list_(
    gap: Range | None,
    energy: Range | None,
    weight: Range | None,
    logp: Range | None,
    statuses: tuple[str, ...],
    methods: tuple[str, ...],
    molecule: str | None,
    name: str | None,
    batch: str | None,
    formula: str | None,
    user: str | None,
    project: str | None,
    since: datetime | None,
    until: datetime | None,
    order: str | None,
    desc: bool,
    atoms: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Print calculations. Ordered by gap or energy, only those with a value are printed.

    \b
    Example:
      qforge calculations list --gap 1:3 --order gap
      qforge calculations list --energy -20:-10 --status completed --json
      qforge calculations list --batch drugs --status failed --status lost
      qforge calculations list --name my-id-17
      qforge calculations list --formula C2H6O --user ada --since 3d
      qforge calculations list --weight :300 --logp :5 --status completed --order gap --desc \\
        --limit 1000 --atoms --json
    """
    if atoms and not as_json:
        raise click.UsageError("--atoms requires --json: atoms do not fit into a table")
    if desc and order is None:
        raise click.UsageError("--desc requires --order, which names the column to sort by")
    settings = load_settings()
    tenant_id = settings.tenant_id
    described = weight is not None or logp is not None
    reads = [
        *("calculations", "molecules"),
        *(["molecule_properties_computed"] if described else []),
        *(["batch_item_names"] if name is not None or molecule is not None else []),
        "batch_items",
        *(["batch_jobs"] if batch is not None else []),
        *tables_of(user, project),
        *(["atomic_properties"] if atoms else []),
    ]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        if described:
            note_undescribed(connection, tenant_id)
        where = CalculationFilter(
            gap=gap,
            energy=energy,
            weight=weight,
            logp=logp,
            statuses=list(statuses) or None,
            methods=_methods(connection, tenant_id, methods) or None,
            molecule_ids=None
            if molecule is None
            else [
                row["id"]
                for row in lookup.find_molecules(
                    connection, tenant_id, molecule, canonical=canonical
                )
            ],
            batch_ids=None if batch is None else _batch_ids(connection, tenant_id, batch),
            name=name,
            formula=formula,
            user_id=named_user(connection, tenant_id, user),
            project_id=named_project(connection, tenant_id, project),
            since=since,
            until=until,
        )
        query = queries.select_calculations(
            tenant_id,
            where,
            order=Order.STARTED if order is None else Order(order),
            descending=desc or order is None,
            limit=limit,
        )
        found = rows(connection, query)
        if atoms:
            found = queries.with_atoms(connection, tenant_id, found)
    if as_json:
        console.emit_json(found)
    else:
        are_failures = bool(statuses) and WITHOUT_RESULT.issuperset(statuses)
        columns.table(FAILED if are_failures and console.is_terminal() else LISTED, found)


@calculations.command()
@click.argument("id_", metavar="ID")
@view_options(several=True)
@json_option()
def show(id_: str, as_json: bool) -> None:
    """Print a calculation's rows and events.

    ID is its id, a prefix of at least 4 digits, or, where a molecule has one calculation only, what
    `qforge molecules show` takes. Where several calculations fit, they are listed, and the exit
    status is 1.

    \b
    Example:
      qforge calculations show 01946f5e
      qforge calculations show caffeine
      qforge calculations show 01946f5e --json
    """
    settings = load_settings()
    with open_forge(settings, reads=DETAILS) as forge, forge.connect() as connection:
        details = lookup.calculation_details(
            connection, settings.tenant_id, id_, canonical=canonical
        )
    if as_json:
        console.emit_json(details)
        return
    columns.record(details.calculation, PROJECTIONS["calculations"].table, title="calculation")
    if details.molecule is not None:
        _gap()
        columns.record(details.molecule, PROJECTIONS["molecules"].table, title="molecule")
    if details.metrics is not None:
        _gap()
        columns.record(
            details.metrics,
            PROJECTIONS["calculation_execution_metrics"].table,
            title="execution metrics",
        )
    if details.atoms:
        _gap()
        columns.table(ATOMS, details.atoms, title="atoms")
    if details.errors:
        _gap()
        columns.table(ERRORS, details.errors, title="errors")
    _gap()
    event_table.table(details.events, title="events")


def _methods(connection: Connection, tenant_id: UUID, written: Sequence[str]) -> list[str]:
    """The methods that are meant: of an engine, or as some result that was imported has it.

    Raises:
        click.BadParameter: for a method that no engine and no calculation has.
    """
    if not written:
        return []
    from quantum_forge.runner.engines.methods import METHODS, OTHER_METHODS, known_method

    methods = [known_method(each) or each for each in written]
    for name in methods:
        if known_method(name) is None and not queries.is_used(connection, tenant_id, name):
            every = f"the methods are {', '.join(METHODS)}"
            hint = suggestion(name, (*METHODS, *OTHER_METHODS), otherwise=every)
            raise click.BadParameter(
                f"no calculation has the method {name!r}; {hint}", param_hint="--method"
            )
    return methods


def _batch_ids(connection: Connection, tenant_id: UUID, batch: str) -> list[UUID]:
    """The batches that are meant; said when there are several, since a list shows them together."""
    found = lookup.find_batches(connection, tenant_id, batch)
    if len(found) > 1:
        console.note(
            f"{len(found)} batches are named {batch}: {', '.join(map(lookup.described, found))}; "
            "all their items are listed"
        )
    return [row["id"] for row in found]


def _gap() -> None:
    console.emit("")
