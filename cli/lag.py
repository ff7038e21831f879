"""Tells when what a command is about to show is older than the log."""

from uuid import UUID

from sqlalchemy import Connection

from cli import console
from eventstore.counted import counted
from eventstore.read import safe_head
from projections.lag import read_lags
from projections.queries import count_undescribed
from projections.registry import named


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
