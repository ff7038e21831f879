"""Notes on stderr before a run: of retracted results, and of other batches with its name."""

import socket
from uuid import UUID

from sqlalchemy import Engine

from quantum_forge.cli.show import console
from quantum_forge.eventstore.actions.repeated_retractions import repeated_by
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.batches import select_batches
from quantum_forge.projections.queries.rows import rows
from quantum_forge.runner.campaign.plan import Plan

NAMESAKES_SHOWN = 3


def note_retracted(engine: Engine, tenant_id: UUID, method: str, version: str) -> None:
    """Warn on stderr of a run by a method or program version whose results were retracted."""
    with engine.connect() as connection:
        for each in repeated_by(
            connection, tenant_id, method=method, program_version=version, host=socket.gethostname()
        ):
            console.note(
                f"Warning: this run computes with {each.what} again, whose results were retracted "
                f"on {each.decided_at:%Y-%m-%d}: {' '.join(each.reason.split())}"
            )


def note_namesakes(engine: Engine, tenant_id: UUID, plan: Plan) -> None:
    """Say in one line on stderr that a run makes a new batch beside others of its name."""
    its_id = plan.batch_id(tenant_id)
    with engine.connect() as connection:
        others = rows(connection, select_batches(tenant_id, name=plan.batch))
    if others and all(other["id"] != its_id for other in others):
        listed = ", ".join(map(lookup.described, others[:NAMESAKES_SHOWN]))
        more = len(others) - NAMESAKES_SHOWN
        console.note(
            f"New batch {plan.batch} {str(its_id)[:8]}; other batches with this name: {listed}"
            + (f", and {more} more" if more > 0 else "")
        )
