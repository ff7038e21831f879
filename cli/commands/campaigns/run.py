"""`qforge run`: xTB on the molecules of a file."""

import contextlib
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy import Engine

from quantum_forge.cli.command import Command
from quantum_forge.cli.commands.campaigns.projecting import kept_current
from quantum_forge.cli.commands.recording.spool import tell
from quantum_forge.cli.parse.options import jobs_option
from quantum_forge.cli.parse.xtb import METHOD, SOLVENT
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console, run_tally
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import DatabaseUnavailable, QuantumForgeError
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.availability.outage import PATIENCE
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.projections.queries import calculations as queries
from quantum_forge.projections.queries import lookup
from quantum_forge.runner.campaign.plan import Plan, source_of
from quantum_forge.runner.engines.methods import ENGINES, LEVELS, METHODS, require_known
from quantum_forge.runner.errors import EngineMissing, ResultsInSpool

NAMESAKES_SHOWN = 3


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--batch",
    help=(
        "Name of the batch; files that are run with the same name and settings share it.  "
        "[default: a batch of this file alone, named after it]"
    ),
)
@click.option(
    "--method",
    type=METHOD,
    default=METHODS[0],
    show_default=True,
    help="Method; also as gfn2, GFN2, 2.",
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
    help="Solvent of the ALPB model, by any of its names: water, H2O.  [default: gas phase]",
)
@jobs_option()
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds after which a calculation is stopped.",
)
@click.option("--limit", type=click.IntRange(1), help="Read at most this many molecules.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for a database that becomes unreachable during the run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes of the inputs as JSON.")
def run(
    file: Path,
    batch: str | None,
    method: str,
    engine: str,
    optimization_level: str | None,
    charge: int | None,
    multiplicity: int | None,
    solvent: str | None,
    jobs: int,
    timeout: float,
    limit: int | None,
    patience: float,
    as_json: bool,
) -> None:
    """Run xTB on the molecules of a file.

    FILE is .smi, .csv with a column smiles, .sdf, or .xyz. Every step is recorded as an event.
    Repeating the command runs only what has not completed; Ctrl-C stops it. If the database becomes
    unreachable, results are kept in the spool. A run begins by draining the spool.

    A batch belongs to one file and one set of settings: another file with the same name, or another
    method, charge, multiplicity, solvent, engine or level, starts another batch, which reuses
    existing results. With --batch, files with the same settings share a batch.

    \b
    Example:
      qforge run molecules.smi
      qforge run library.csv --method GFN1-xTB --solvent water --jobs 8
      qforge run molecules.smi --opt normal
      qforge run molecules.smi --engine xtb --opt tight
      qforge run part1.smi --batch library && qforge run part2.smi --batch library
    """
    require_known(method, solvent, engine=engine, optimization_level=optimization_level)
    try:
        from quantum_forge.runner.campaign.campaign import Campaign
        from quantum_forge.runner.engines.check import try_out
        from quantum_forge.runner.inputs.files import MoleculeFile
        from quantum_forge.runner.workers.liveness import identity
    except ImportError as error:
        raise EngineMissing(error) from error

    plan = Plan(
        batch=batch or file.stem,
        source=None if batch else source_of(file),
        method=method,
        charge=charge,
        multiplicity=multiplicity,
        solvent=solvent,
        timeout_seconds=timeout,
        engine=engine,
        optimization_level=optimization_level,
    )
    molecules = MoleculeFile(file, limit=limit)
    in_file, total = molecules.count, molecules.total
    try:
        try_out(method, solvent, engine=engine, optimization_level=optimization_level)
    except ImportError as error:
        raise EngineMissing(error) from error
    settings = load_settings()
    spool = spool_directory(settings.home)
    with open_forge(settings, writes=True, reads=["batch_jobs"]) as forge:
        # A look-up that gets no answer must not hold the results up for ever.
        limited = followed(forge.engine, settings.deadline)
        drained = drain(spool, limited)
        if (
            drained.events
            or drained.rejected
            or drained.aside
            or drained.damaged
            or drained.unusable
        ):
            tell(drained)
        note_namesakes(limited, settings.tenant_id, plan)
        with Recorder(
            limited,
            Author(
                tenant_id=settings.tenant_id,
                user_id=settings.user_id,
                more={"service": "runner", **identity()},
            ),
            spool=spool,
            on_away=lambda why: console.note(f"Results go to the spool from now on: {why}"),
            on_back=tell,
        ) as recorder:
            campaign = Campaign(
                recorder,
                plan,
                molecules,
                jobs=min(jobs, total),
                on_input=lambda successful: report(1, 0 if successful else 1),
                patience=patience,
                on_wait=lambda why: console.note(
                    f"Waiting up to {patience:.0f} s for the database: {why}"
                ),
            )
            with kept_current(limited):
                try:
                    with console.progress("calculating", total) as report:
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
                        run_tally.as_json_object(plan.batch, campaign.batch.id, tally, in_file)
                    )
                else:
                    run_tally.print_tally(plan.batch, tally, in_file)
                if events := unsettled(recorder):
                    raise ResultsInSpool(events)


def note_namesakes(engine: Engine, tenant_id: UUID, plan: Plan) -> None:
    """Say in one line on stderr that a run makes a new batch beside others of its name."""
    its_id = plan.batch_id(tenant_id)
    with engine.connect() as connection:
        others = queries.rows(connection, queries.select_batches(tenant_id, name=plan.batch))
    if others and all(other["id"] != its_id for other in others):
        listed = ", ".join(map(lookup.described, others[:NAMESAKES_SHOWN]))
        more = len(others) - NAMESAKES_SHOWN
        console.note(
            f"New batch {plan.batch} {str(its_id)[:8]}; other batches with this name: {listed}"
            + (f", and {more} more" if more > 0 else "")
        )


def unsettled(recorder: Recorder) -> int:
    """How many events are in the spool even after a last try to bring them into the log."""
    with contextlib.suppress(DatabaseUnavailable):
        recorder.settle()
    return recorder.spooled
