"""What needs attention, and the command or the page that helps; read in one statement."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.spool.state import SpoolState
from quantum_forge.projections.compiler.dead_letters import LIVE
from quantum_forge.schema.domains.batches import batch_jobs
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.results import calculation_errors
from quantum_forge.schema.domains.system import spools
from quantum_forge.schema.tables import projection_dead_letters

SILENT_AFTER = timedelta(minutes=15)
"""After which a runner that has reported nothing has probably ended."""


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do. link: the page with its rows or its button. command: for a terminal."""

    text: str
    link: str | None = None
    command: str | None = None


def matters(connection: Connection, tenant_id: Any, spool: SpoolState) -> list[Matter]:
    """Return what needs attention in a tenant, and on the machine of the server.

    Args:
        connection: of a caller, who sees the tenant.
        tenant_id: whose.
        spool: of this machine.
    """
    jobs, c, errors, dead = (
        batch_jobs.c,
        calculations.c,
        calculation_errors.c,
        projection_dead_letters.c,
    )
    counts: dict[str, Any] = {
        "parked": select(func.count()).where(dead.copy == LIVE, dead.discarded_at.is_(None)),
        "silent": select(func.count()).where(
            jobs.tenant_id == tenant_id,
            jobs.status == "processing",
            jobs.updated_at < func.now() - SILENT_AFTER,
        ),
        "waiting": select(func.count()).where(
            c.tenant_id == tenant_id, c.status == "pending", c.attempt > 0
        ),
        "persons": select(func.count()).where(
            errors.tenant_id == tenant_id,
            errors.user_action_required.is_(True),
            errors.resolved_at.is_(None),
        ),
        "spooled": select(func.coalesce(func.sum(spools.c.events), 0)).where(
            spools.c.tenant_id == tenant_id
        ),
        "rejected": select(func.coalesce(func.sum(spools.c.rejected), 0)).where(
            spools.c.tenant_id == tenant_id
        ),
    }
    columns = [query.scalar_subquery().label(name) for name, query in counts.items()]
    found = connection.execute(select(*columns)).one()
    here = _of_this_machine(spool)
    return [
        *here,
        *(told(getattr(found, name)) for name, told in _TOLD.items() if getattr(found, name)),
    ]


def _of_this_machine(spool: SpoolState) -> list[Matter]:
    found = []
    if spool.events:
        found.append(
            Matter(
                text=f"{counted(spool.events, 'event')} in the spool of the server's machine",
                command="qforge spool drain",
            )
        )
    if spool.needs_attention:
        found.append(
            Matter(
                text="The spool of the server's machine has what no drain can bring into the log",
                command="qforge spool status",
            )
        )
    return found


_TOLD: dict[str, Callable[[int], Matter]] = {
    "silent": lambda n: Matter(
        text=f"{counted(n, 'batch', 'batches')} in processing without news for 15 minutes: "
        "the runner may have ended; run the same command again, or cancel it",
        link="/campaigns?status=processing",
    ),
    "waiting": lambda n: Matter(
        text=f"{counted(n, 'retry', 'retries')} scheduled",
        link="/calculations?status=pending",
        command="qforge retry --follow",
    ),
    "persons": lambda n: Matter(
        text=f"{counted(n, 'error')} that no retry resolves, such as unreadable input",
        link="/calculations?status=failed&error_type=input_error",
    ),
    "parked": lambda n: Matter(
        text=f"{counted(n, 'event')} that a table could not take",
        command="qforge dead-letters list",
    ),
    "spooled": lambda n: Matter(
        text=f"{counted(n, 'event')} in spools of other machines, as last reported",
        command="qforge spool drain",
    ),
    "rejected": lambda n: Matter(
        text=f"{counted(n, 'append')} in spools that the database refused, as last reported",
        command="qforge spool status",
    ),
}
