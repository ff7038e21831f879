"""Read models of the machinery, for the view system_health."""

from sqlalchemy import BigInteger, Text, Uuid

from quantum_forge.schema.language.table import TIMESTAMP, column, read_model

spools = read_model(
    "spools",
    "One row per machine that has reported what waits there for the database",
    [column("id", Uuid, "uuid5 of tenant and host")],
    column("host", Text, "Name of the machine", required=True),
    column("events", BigInteger, "Events that waited when it last reported", required=True),
    column("bytes", BigInteger, "Bytes of the files that held them", required=True),
    column("rejected", BigInteger, "Appends that the database had refused", required=True),
    column("oldest_at", TIMESTAMP, "When the first of the events happened"),
    column("reported_at", TIMESTAMP, "When it last reported", required=True),
)
