"""`qforge run`: xTB on the molecules of files, or what it would compute."""

import contextlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
from click.core import ParameterSource

from quantum_forge.cli.command import Command
from quantum_forge.cli.commands.campaigns.cautions import note_namesakes, note_retracted
from quantum_forge.cli.commands.campaigns.given import read_all
from quantum_forge.cli.commands.campaigns.preferences import note_preferences, preferred
from quantum_forge.cli.commands.recording.spool import tell
from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.parse.named import tables_of
from quantum_forge.cli.parse.options import jobs_option, limit_option, store_option
from quantum_forge.cli.parse.xtb import METHOD, SOLVENT
from quantum_forge.cli.show import console, run_tally
from quantum_forge.cli.target import Target, open_target
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import DatabaseUnavailable, QuantumForgeError
from quantum_forge.eventstore.database.availability.outage import PATIENCE
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.engines.methods import ENGINES, LEVELS, METHODS, require_known
from quantum_forge.runner.errors import EngineMissing, ResultsInSpool
from quantum_forge.runner.inputs.formats import FORMATS
from quantum_forge.runner.molecules.seeds import LARGEST_SEED, SEED

if TYPE_CHECKING:  # RDKit, which the readers need, may not be installed
    from quantum_forge.runner.inputs.files import MoleculeFile


@click.command(cls=Command)
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
)
@click.option(
    "--batch",
    help=(
        "Name of the batch; files that are run with the same name and settings share it.  "
        "[default: a batch of each file alone, named after it]"
    ),
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Format of FILE, whatever its name is; needed for -, standard input.",
)
@click.option(
    "--smiles-column",
    metavar="NAME",
    help="Column of each .csv and .tsv that holds the SMILES.  [default: smiles]",
)
@click.option(
    "--name-column",
    metavar="NAME",
    help="Column of each .csv and .tsv that holds the names.  [default: name or id]",
)
@click.option(
    "--project",
    help="Project that the molecules join: its name, its id, or a prefix of it.",
)
@click.option(
    "--method",
    type=METHOD,
    help=(
        "Method; also as gfn2, GFN2, 2.  [default: your preference default_method, or "
        f"{METHODS[0]}]"
    ),
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=ENGINES[0],
    show_default=True,
    help="The library tblite, or the program xtb, which must be in the PATH.",
)
@click.option(
    "--opt",
    "optimization_level",
    type=click.Choice(LEVELS),
    help="Optimise the geometry to this level of xtb.  [default: a single point]",
)
@click.option("--charge", type=int, help="Charge in e of inputs that do not state it.")
@click.option(
    "--multiplicity",
    type=click.IntRange(1),
    help="Spin multiplicity 2S+1 of inputs that do not state it.",
)
@click.option(
    "--solvent",
    type=SOLVENT,
    help=(
        "Solvent of the ALPB model, by any of its names: water, H2O; gas for the gas phase.  "
        "[default: your preference default_solvation, or the gas phase]"
    ),
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    help=(
        "Seed of the structures that are made from SMILES; another seed is another calculation.  "
        "[default: the same for everybody]"
    ),
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only print what would be computed, what is there already, and what is unreadable.",
)
@jobs_option()
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds after which a calculation is stopped.",
)
@limit_option("the first molecules of all files together", None, does="Read")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for a database that becomes unreachable during the run.",
)
@store_option()
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes of the inputs as JSON.")
def run(
    files: tuple[Path, ...],
    batch: str | None,
    format_: str | None,
    smiles_column: str | None,
    name_column: str | None,
    project: str | None,
    method: str | None,
    engine: str,
    optimization_level: str | None,
    charge: int | None,
    multiplicity: int | None,
    solvent: str | None,
    seed: int | None,
    dry_run: bool,
    jobs: int,
    timeout: float,
    limit: int | None,
    patience: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Run xTB on the molecules of files.

    FILE is .smi, .csv or .tsv with a column smiles, .sdf, .mol, or .xyz, also with .gz, or - for
    standard input. Every step is recorded as an event. Repeating the command runs only what has not
    completed; Ctrl-C stops it. If the database becomes unreachable, results are kept in the spool.
    A run begins by draining the spool. Exit status: 0 when every input has a result, 3 when some
    have none, 1 when none has one or after an error.

    A batch belongs to one file and one set of settings: another file with the same name, or another
    method, charge, multiplicity, solvent, engine, level or seed, starts another batch, which reuses
    existing results. With --batch, files with the same settings share a batch.

    \b
    Example:
      qforge run molecules.smi
      qforge run library.csv --method gfn1 --solvent water --jobs 8 --dry-run
      qforge run table.tsv --smiles-column structure --name-column code --project Malaria
      qforge run part1.smi.gz part2.sdf --batch library --opt normal
      qforge run molecules.smi --engine xtb --opt tight
      zcat huge.smi.gz | head -1000 | qforge run - --format smi
      qforge run molecules.smi --store https://forge.example
    """
    source = click.get_current_context().get_parameter_source("solvent")
    is_solvent_given = source is not ParameterSource.DEFAULT
    require_known(
        method or METHODS[0], solvent, engine=engine, optimization_level=optimization_level
    )
    try:
        from quantum_forge.runner.campaign.campaign import Campaign
        from quantum_forge.runner.engines.check import program_version, try_out
        from quantum_forge.runner.inputs.files import Reading
        from quantum_forge.runner.workers.liveness import identity
    except ImportError as error:
        raise EngineMissing(error) from error

    reading = Reading(format=format_, smiles_column=smiles_column, name_column=name_column)
    with contextlib.ExitStack() as stack:
        inputs = read_all(stack, files, limit, reading)
        settings = load_settings()
        reads = ["batch_jobs", "user_preferences", *tables_of(None, project)]
        target = stack.enter_context(open_target(settings, store, writes=not dry_run, reads=reads))
        project_id = target.project(project)
        wanted = preferred(
            target.preferences(), method=method is None, solvent=not is_solvent_given
        )
        note_preferences(wanted)
        method = method or wanted.method or METHODS[0]
        solvent = solvent or wanted.solvent or None
        require_known(method, solvent, engine=engine, optimization_level=optimization_level)
        try:
            try_out(method, solvent, engine=engine, optimization_level=optimization_level)
        except ImportError as error:
            raise EngineMissing(error) from error
        with target.reading() as log:
            note_retracted(log, method, program_version(engine))
        plan_of = partial(
            Plan,
            method=method,
            charge=charge,
            multiplicity=multiplicity,
            solvent=solvent,
            timeout_seconds=timeout,
            engine=engine,
            optimization_level=optimization_level,
            seed=None if seed == SEED else seed,
            project_id=project_id,
        )
        plans = [
            (plan_of(batch=batch or each.name, source=None if batch else each.source), each.file)
            for each in inputs
        ]
        if dry_run:
            _preview(target, plans, jobs=jobs, as_json=as_json)
            return
        drained = target.drain()
        if (
            drained.events
            or drained.rejected
            or drained.aside
            or drained.damaged
            or drained.unusable
        ):
            tell(drained)
        recorder = stack.enter_context(
            Recorder(
                target.store,
                Author(
                    tenant_id=target.tenant_id,
                    user_id=target.user_id,
                    more={"service": "runner", **identity()},
                ),
                spool=target.spool,
                deadline=target.deadline,
                on_away=lambda why: console.note(f"Results go to the spool from now on: {why}"),
                on_back=tell,
            )
        )
        stack.enter_context(target.kept_current())
        successful = unsuccessful = 0
        for plan, file in plans:
            note_namesakes(target.batches(plan.batch), plan, plan.batch_id(target.tenant_id))
            campaign = Campaign(
                recorder,
                plan,
                file,
                jobs=min(jobs, file.total),
                on_input=lambda successful: report(1, 0 if successful else 1),
                patience=patience,
                on_wait=lambda why: console.note(
                    f"Waiting up to {patience:.0f} s for the database: {why}"
                ),
            )
            try:
                with console.progress("calculating", file.total) as report:
                    tally = campaign.run()
            except QuantumForgeError:
                if events := unsettled(recorder):
                    console.note(
                        f"The spool has {counted(events, 'event')}; when the database is back: "
                        "qforge spool drain, or the same command again"
                    )
                raise
            if as_json:
                console.emit_json(
                    run_tally.as_json_object(plan.batch, campaign.batch.id, tally, file.count)
                )
            else:
                run_tally.print_tally(
                    plan.batch, tally, file.count, is_one_of_several=len(plans) > 1
                )
            successful += tally.successful
            unsuccessful += tally.unsuccessful
        if events := unsettled(recorder):
            raise ResultsInSpool(events)
    sys.exit(of_outcomes(succeeded=successful, failed=unsuccessful))


def _preview(
    target: Target,
    plans: Sequence[tuple[Plan, "MoleculeFile"]],
    *,
    jobs: int,
    as_json: bool,
) -> None:
    """Print what a run of each file would do, as if those before it had run."""
    from quantum_forge.runner.campaign.dry_run import preview

    seen: set[UUID] = set()
    for plan, file in plans:
        with console.progress("reading", file.total) as report:
            found = preview(
                target.reading,
                target.tenant_id,
                plan,
                file,
                jobs=min(jobs, file.total),
                seen=seen,
                on_input=lambda is_read: report(1, 0 if is_read else 1),
            )
        run_tally.show_preview(
            plan.batch,
            plan.batch_id(target.tenant_id),
            found,
            file.count,
            as_json,
            is_one_of_several=len(plans) > 1,
        )


def unsettled(recorder: Recorder) -> int:
    """How many events are in the spool even after a last try to bring them into the log."""
    with contextlib.suppress(DatabaseUnavailable):
        recorder.settle()
    return recorder.spooled
