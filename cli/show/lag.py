"""Tells when what a command is about to show is older than the log."""

from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.queries.calculations import count_undescribed
from quantum_forge.projections.registry import named


def note_undescribed(connection: Connection, tenant_id: UUID) -> None:
    """Say on stderr that computed properties are asked for which some molecules do not have."""
    note_lag(connection, "molecule_properties_computed")
    if missing := count_undescribed(connection, tenant_id):
        console.note(
            f"Left out {counted(missing, 'molecule')} without computed properties; "
            "run: qforge properties compute"
        )


def note_lag(connection: Connection, *names: str) -> None:
    """Say in one line on stderr which of these projections lag behind the log, if any does."""
    lags = [
        lag
        for lag in read_lags(connection, named(names), safe_head(connection))
        if lag.seconds is not None
    ]
    if lags:
        console.note(
            f"Not up to date: {', '.join(lag.projection for lag in lags)} "
            f"({max(lag.positions for lag in lags)} positions, "
            f"{max(lag.seconds or 0 for lag in lags):.0f} s behind the log); "
            "run: qforge project --once"
        )
