"""The `eventsourcing` package from PyPI, on the same server, as its documentation shows it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    StoredEvent,
    TrackingRecorder,
)
from eventsourcing.utils import Environment
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from benchmarks.workload import STATES, histories
from benchmarks.writers import Write

VERSION = version("eventsourcing")


@contextmanager
def infrastructure(
    url: URL, *, create_table: bool = False
) -> Iterator[InfrastructureFactory[TrackingRecorder]]:
    """Its factory, made from its environment variables.

    Its tables are made once, before the writers come: made by several at once, they collide.
    """
    environment = Environment(
        "",
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(url.database),
            "POSTGRES_HOST": str(url.query["host"]),
            "POSTGRES_PORT": str(url.query["port"]),
            "POSTGRES_USER": str(url.username),
            "POSTGRES_PASSWORD": "any",
            "CREATE_TABLE": "yes" if create_table else "no",
        },
    )
    factory: InfrastructureFactory[TrackingRecorder] = InfrastructureFactory.construct(environment)
    try:
        yield factory
    finally:
        factory.close()


@contextmanager
def recorder(url: URL, *, create_table: bool = False) -> Iterator[ApplicationRecorder]:
    """Its recorder of events."""
    with infrastructure(url, create_table=create_table) as factory:
        yield factory.application_recorder()


@contextmanager
def writer(url: URL, batch: int = 1) -> Iterator[Write]:
    """Appends `batch` events a call."""
    own = threading.local()

    def write() -> int:
        if not hasattr(own, "events"):
            own.events = _stored()
        recorder_.insert_events([next(own.events) for _ in range(batch)])
        return batch

    with recorder(url) as recorder_:
        yield write


def copy_log(connection: Connection) -> None:
    """Put the events of the log into its table too, as its recorder would have."""
    connection.execute(
        text("""
        INSERT INTO stored_events (originator_id, originator_version, topic, state)
        SELECT entity_id, version, 'quantum_forge.schema.events:' || event_type,
          convert_to(data::text, 'UTF8') FROM event_logs ORDER BY id
        """)
    )


def read_all(recorder_: ApplicationRecorder, limit: int = 1_000) -> int:
    """Read every notification, undecoded, in sections; return their number."""
    count = 0
    start: int | None = None
    while notifications := recorder_.select_notifications(start, limit, inclusive_of_start=False):
        count += len(notifications)
        start = notifications[-1].id
    return count


def _stored() -> Iterator[StoredEvent]:
    """The events, encoded beforehand: what the package's transcoder would cost is a gift to it."""
    for calculation, number, event in histories():
        yield StoredEvent(
            calculation, number, f"quantum_forge.schema.events:{event.event_type}", STATES[number]
        )
