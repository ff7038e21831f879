"""The server's clock, for decisions that several hosts make."""

import time
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select


def server_time(connection: Connection) -> datetime:
    """The server's time now; comparable with `recorded_at`, which no client's clock touches."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


class ServerClock:
    """The server's time without a query each: as last read, plus the seconds passed here since."""

    def __init__(self) -> None:
        self._read: datetime | None = None
        self._at = 0.0

    def note(self, moment: datetime) -> None:
        """Take the server's time, as it was just read."""
        self._read, self._at = moment, time.monotonic()

    def now(self) -> datetime:
        """The server's time; `note` must have been called before."""
        assert self._read is not None
        return self._read + timedelta(seconds=time.monotonic() - self._at)
