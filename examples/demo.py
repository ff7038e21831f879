"""The whole line in one go: molecules in, xTB results out, every step an event.

Run it by `make demo`, or `python -m examples.demo`. The second run computes nothing again.
"""

import os
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, func, select

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.engine import open_database
from quantum_forge.eventstore.database.installation.migrations import upgrade
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.log.statistics import count_by_type
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.runner.campaign.campaign import Campaign
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.inputs.files import MoleculeFile
from quantum_forge.runner.workers.liveness import identity
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.results import calculation_errors

MOLECULES = Path(__file__).with_name("drugs.smi")


def main() -> None:
    """Migrate, run, project, and show what there is now."""
    settings = load_settings()
    with open_database(settings) as database:
        upgrade(database.engine)
        with database.engine.connect() as connection:
            before = safe_head(connection)

        plan = Plan(batch=MOLECULES.stem, method="GFN2-xTB", optimization_level="normal")
        file = MoleculeFile(MOLECULES)
        total = file.total
        console.note(f"Optimising the {total} lines of {MOLECULES.name} with GFN2-xTB …")
        with console.progress("calculating", total) as report:
            campaign = Campaign(
                Recorder(
                    database.engine,
                    Author(
                        tenant_id=settings.tenant_id,
                        user_id=settings.user_id,
                        more={"service": "demo", **identity()},
                    ),
                ),
                plan,
                file,
                jobs=len(os.sched_getaffinity(0)),
                on_input=lambda successful: report(1, 0 if successful else 1),
            )
            tally = campaign.run()
        folded = catch_up(database.engine, PROJECTIONS.values())

        with database.engine.connect() as connection:
            show_results(connection, settings.tenant_id)
            show_failures(connection, settings.tenant_id)
            show_log(connection, before, folded)
        console.note(
            f"\n{tally.successful} molecules have results, {tally.completed} of them computed now;"
            f" {tally.unsuccessful} lines failed, as they should.\n\nTry next:\n"
            "  .venv/bin/qforge calculations list --gap 2:4 --order gap\n"
            "  .venv/bin/qforge events list --type calculation_failed --json\n"
            "  .venv/bin/qforge rebuild --all"
        )


def show_results(connection: Connection, tenant_id: UUID) -> None:
    """Print every calculation that completed, by gap."""
    query = (
        select(
            molecules.c.name,
            molecules.c.formula,
            calculations.c.energy,
            calculations.c.homo,
            calculations.c.lumo,
            calculations.c.gap,
            calculations.c.dipole,
            calculations.c.execution_time_seconds,
        )
        .join(
            molecules,
            (molecules.c.tenant_id == calculations.c.tenant_id)
            & (molecules.c.id == calculations.c.molecule_id),
        )
        .where(calculations.c.tenant_id == tenant_id, calculations.c.status == "completed")
        .order_by(calculations.c.gap)
    )
    columns = ("molecule", "formula", "energy / Eh", "HOMO / eV", "LUMO / eV", "gap / eV")
    rows = [
        (
            row.name,
            row.formula,
            f"{row.energy:.6f}",
            *(f"{x:.3f}" for x in row[3:7]),
            f"{row[7]:.2f}",
        )
        for row in connection.execute(query)
    ]
    headers = [*columns, "dipole / D", "time / s"]
    console.emit("Results (calculations, molecules)")
    console.table(headers, rows, right=headers[2:])


def show_failures(connection: Connection, tenant_id: UUID) -> None:
    """Print every recorded failure with its reason."""
    query = (
        select(
            calculation_errors.c.error_type,
            calculation_errors.c.error_message,
            calculation_errors.c.user_action_required,
        )
        .where(calculation_errors.c.tenant_id == tenant_id)
        .order_by(calculation_errors.c.id)
    )
    console.emit("\nFailures (calculation_errors)")
    console.table(["type", "reason", "needs a person"], connection.execute(query).all())


def show_log(connection: Connection, before: int, folded: int) -> None:
    """Print what this run appended, and what the tables hold."""
    head = safe_head(connection)
    console.emit(f"\nThe log: {head - before} events appended now, {folded} folded into tables")
    console.table(
        ["event", "count"], count_by_type(connection, head).events.items(), right=["count"]
    )
    counts = [
        (name, connection.execute(select(func.count()).select_from(projection.table)).scalar_one())
        for name, projection in PROJECTIONS.items()
    ]
    console.emit("\nProjected tables")
    console.table(["table", "rows"], [row for row in counts if row[1]], right=["rows"])
    console.emit(f"{sum(not rows for _, rows in counts)} tables of other domains are empty.")
    console.emit("\nSee them in your browser: .venv/bin/qforge ui")


if __name__ == "__main__":
    try:
        main()
    except QuantumForgeError as error:
        console.error(str(error))
        raise SystemExit(error.exit_status) from None
