"""Tells when what a command is about to show is older than the log."""

from sqlalchemy import Connection

from cli import console
from eventstore.read import safe_head
from projections.lag import read_lags
from projections.registry import named


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
