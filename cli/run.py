"""`qforge run`: xTB on the molecules of a file."""

import os
import sys
from pathlib import Path

import click

from cli import console
from cli.session import migrated_database
from eventstore.database import Database
from eventstore.errors import QuantumForgeError
from eventstore.recorder import Recorder
from eventstore.settings import Settings, load_settings
from projections.projector import catch_up
from projections.registry import PROJECTIONS
from runner.methods import METHODS, require_known
from runner.plan import Plan


class EngineMissing(QuantumForgeError):
    """RDKit or tblite is not installed."""

    exit_status = 2

    def __init__(self, module: str) -> None:
        super().__init__(f"{module} is not installed: pip install 'quantum-forge[xtb]'")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--batch", help="Name of the batch.  [default: the file's name]")
@click.option(
    "--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="Method."
)
@click.option("--charge", type=int, help="Charge in e of inputs that do not tell it.")
@click.option(
    "--multiplicity",
    type=click.IntRange(1),
    help="Spin multiplicity 2S+1 of inputs that do not tell it.",
)
@click.option("--solvent", help="Solvent of the ALPB model, as water.  [default: gas phase]")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    default=lambda: len(os.sched_getaffinity(0)),
    help="Worker processes.  [default: the processors there are]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds after which a calculation is stopped.",
)
@click.option("--limit", type=click.IntRange(1), help="Read only so many molecules.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of the inputs as JSON.")
def run(
    file: Path,
    batch: str | None,
    method: str,
    charge: int | None,
    multiplicity: int | None,
    solvent: str | None,
    jobs: int,
    timeout: float,
    limit: int | None,
    as_json: bool,
) -> None:
    """Run xTB on the molecules of a file.

    FILE is .smi, .csv with a column smiles, .sdf, or .xyz. Every step is recorded as an event. The
    same command again runs only what has not completed; Ctrl-C stops it.

    \b
    Example:
      qforge run molecules.smi
      qforge run library.csv --method GFN1-xTB --solvent water --jobs 8
    """
    require_known(method, solvent)
    plan = Plan(
        batch=batch or file.stem,
        method=method,
        charge=charge,
        multiplicity=multiplicity,
        solvent=solvent,
        timeout_seconds=timeout,
    )
    settings = load_settings()
    with migrated_database(settings) as database:
        _run(database, settings, plan, file, jobs=jobs, limit=limit, as_json=as_json)


def _run(
    database: Database,
    settings: Settings,
    plan: Plan,
    file: Path,
    *,
    jobs: int,
    limit: int | None,
    as_json: bool,
) -> None:
    try:
        from runner.campaign import Campaign
        from runner.inputs import count_inputs
        from runner.liveness import identity
        from runner.workshop import try_out
    except ModuleNotFoundError as error:
        raise EngineMissing(error.name or "a library") from error

    total = min(count_inputs(file), limit or sys.maxsize)
    try_out(plan.method, plan.solvent)
    recorder = Recorder(
        database.engine,
        tenant_id=settings.tenant_id,
        user_id=settings.user_id,
        metadata={"service": "runner", **identity()},
    )
    with console.progress("calculating", total) as report:
        campaign = Campaign(
            recorder,
            plan,
            file,
            total=total,
            jobs=min(jobs, total),
            limit=limit,
            on_input=lambda successful: report(1, 0 if successful else 1),
        )
        tally = campaign.run()
    catch_up(database.engine, PROJECTIONS.values())
    counts = {
        "inputs": tally.inputs,
        "completed": tally.completed,
        "completed before": tally.before,
        "failed": tally.failed,
        "lost": tally.lost,
        "invalidated": tally.invalidated,
        "duplicates": tally.duplicates,
        "running elsewhere": tally.elsewhere,
    }
    if as_json:
        console.emit_json({"batch": plan.batch, "batch_id": str(campaign.batch_id), **counts})
        return
    console.table(["inputs", "count"], counts.items(), right=["count"], title=f"Batch {plan.batch}")
