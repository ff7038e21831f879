"""Following the log: what is appended arrives shortly after, in order, and nothing is skipped."""

import time
from collections.abc import Iterator

from sqlalchemy import Engine

from eventstore.envelope import RecordedEvent
from eventstore.read import EVERYTHING, Filter, read_all, safe_head

POLL_SECONDS = 0.2


def follow(engine: Engine, *, after: int, where: Filter = EVERYTHING) -> Iterator[RecordedEvent]:
    """Every event above a position, for ever: first those that are there, then each new one.

    Looks for new ones every POLL_SECONDS; holds no connection and no transaction while it waits.
    """
    while True:
        with engine.connect() as connection:
            head = safe_head(connection)
            if head > after:
                yield from read_all(connection, after=after, upto=head, where=where)
                after = head
        time.sleep(POLL_SECONDS)
