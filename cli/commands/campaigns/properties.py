"""`qforge properties`: descriptors of molecules."""

import sys

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.parse import options
from quantum_forge.cli.parse.options import jobs_option, json_option, limit_option
from quantum_forge.cli.projecting import kept_current
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.errors import EngineMissing
from quantum_forge.schema.domains.molecules import molecules

PROBLEMS_SHOWN = 10


@click.group(cls=Group)
def properties() -> None:
    """Compute properties of molecules.

    \b
    Example:
      qforge properties compute
    """


@properties.command()
@click.option(
    "--where",
    "written",
    metavar="COLUMN<VALUE",
    multiple=True,
    help="Only molecules that meet this condition (<, <=, =, >=, >); may be repeated.",
)
@limit_option("the first molecules without descriptors", None, does="Compute")
@jobs_option()
@json_option()
def compute(written: tuple[str, ...], limit: int | None, jobs: int, as_json: bool) -> None:
    """Compute missing RDKit descriptors and fingerprints of molecules, and record them as events.

    Weight, logP, hydrogen-bond donors and acceptors, rotatable bonds, TPSA, molar refractivity and
    QED, and the fingerprints by which `qforge molecules search` is fast, of every molecule that has
    none by the installed version of RDKit. Repeating the
    command, also after Ctrl-C, computes only what is missing. Exit status: 0 when none failed, 3
    when some failed, 1 when all did or after an error.

    \b
    Example:
      qforge properties compute
      qforge properties compute --where 'molecular_weight<500' --jobs 8
    """
    try:
        from quantum_forge.runner.campaign.descriptors import toolkit_version
        from quantum_forge.runner.campaign.properties import (
            compute_properties,
            count_without_descriptors,
            count_without_smiles,
        )
        from quantum_forge.runner.workers.liveness import identity
    except ImportError as error:
        raise EngineMissing(error) from error

    where = options.conditions(molecules, written)
    settings = load_settings()
    needs = ["molecules", "molecule_properties_computed", "molecule_fingerprints"]
    with open_forge(settings, writes=True, needs=needs) as forge:
        with forge.connect() as connection:
            missing = count_without_descriptors(
                connection, settings.tenant_id, toolkit_version(), where
            )
            without = count_without_smiles(connection, settings.tenant_id, where)
        total = missing if limit is None else min(missing, limit)
        recorder = Recorder(
            forge.engine,
            Author(
                tenant_id=settings.tenant_id,
                user_id=forge.author.user_id,
                more={"service": "properties", **identity()},
            ),
        )
        with (
            recorder,
            kept_current(forge.engine),
            console.progress("computing", total) as report,
        ):
            done = compute_properties(
                recorder,
                jobs=max(1, min(jobs, total)),
                where=where,
                limit=limit,
                on_molecule=lambda successful: report(1, 0 if successful else 1),
            )
    if without:
        console.note(
            f"Left out {counted(without, 'molecule')} without a SMILES, from which descriptors "
            "are computed"
        )
    for problem in done.problems[:PROBLEMS_SHOWN]:
        console.note(f"{problem.smiles}: {problem.reason}")
    if (more := len(done.problems) - PROBLEMS_SHOWN) > 0:
        console.note(f"… and {more} more")
    if as_json:
        console.emit_json(done)
    else:
        console.table(
            ["outcome", "molecules"],
            [
                ("computed", done.computed),
                *([("computed by another process", done.elsewhere)] if done.elsewhere else []),
                ("failed", len(done.problems)),
            ],
            right=["molecules"],
        )
    if done.signal is not None:
        console.note("Interrupted; run the same command again to continue.")
        sys.exit(128 + done.signal)
    sys.exit(of_outcomes(succeeded=done.computed, failed=len(done.problems)))
