"""Notes on stderr about what a command is about to show."""

from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted, shortened
from quantum_forge.projections.follow.refresh import Refreshed
from quantum_forge.projections.queries.molecules import count_undescribed

NAMES_SHOWN = 4


def note_undescribed(connection: Connection, tenant_id: UUID) -> None:
    """Say on stderr that computed properties are asked for which some molecules do not have."""
    if missing := count_undescribed(connection, tenant_id):
        console.note(
            f"Left out {counted(missing, 'molecule')} without computed properties; "
            "run: qforge properties compute"
        )


def note_behind(refreshed: Refreshed) -> None:
    """Say in one line on stderr which read models lag behind the log, and why, if any does."""
    lags = refreshed.behind
    if not lags:
        return
    names = shortened([lag.projection for lag in lags], NAMES_SHOWN)
    seconds = [lag.seconds for lag in lags if lag.seconds is not None]
    age = f", {max(seconds):.0f} s" if seconds else ""
    console.note(
        f"Not up to date: {names} "
        f"({counted(max(lag.positions for lag in lags), 'position')}{age} behind the log); "
        f"{refreshed.why}"
    )
