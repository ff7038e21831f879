"""Reports of the system about itself: the spool of each host."""

from typing import Annotated

from msgspec import Meta
from sqlalchemy import BigInteger, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, Timestamp
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, column, read_model
from quantum_forge.schema.language.value import entity_id, occurred_at


@event("spool")
class SpoolReported(Event, frozen=True, kw_only=True):
    """How much waits on a machine for the database; the spool is known by its host.

    events: appended nowhere yet. bytes: in its files. rejected: appends that the database refused.
    oldest_at: when the first of the events happened.
    """

    host: Annotated[str, Meta(min_length=1)]
    events: Count
    bytes: Count
    rejected: Count = 0
    oldest_at: Timestamp | None = None


spools = read_model(
    "spools",
    "One row per machine that has reported the size of its spool",
    [column("id", Uuid, "uuid5 of tenant and host")],
    column("host", Text, "Name of the machine", required=True),
    column("events", BigInteger, "Number of events in the spool at the last report", required=True),
    column("bytes", BigInteger, "Size of the spool in bytes", required=True),
    column("rejected", BigInteger, "Number of appends that the database rejected", required=True),
    column("oldest_at", TIMESTAMP, "Time at which the oldest of the events occurred"),
    column("reported_at", TIMESTAMP, "Time of the last report", required=True),
)

projection(
    spools,
    events=[SpoolReported],
    key={"id": entity_id},
    columns={"reported_at": last(occurred_at(SpoolReported))},
)
