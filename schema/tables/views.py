"""The views that people read; schema/sql has their SQL."""

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import TIMESTAMP

_VIEWS = MetaData()

activity_logs = Table(
    "activity_logs",
    _VIEWS,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("action", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Uuid, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False),
)
system_health = Table(
    "system_health",
    _VIEWS,
    Column("pending", BigInteger),
    Column("running", BigInteger),
    Column("completed", BigInteger),
    Column("failed", BigInteger),
    Column("events_per_minute", BigInteger),
    Column("head", BigInteger),
    Column("lag", JSONB),
    Column("dead_letters", BigInteger),
    Column("spool_depth", BigInteger),
    Column("spool_reported_at", TIMESTAMP),
    Column("engine", Text),
    Column("engine_version", Text),
    Column("engine_seen_at", TIMESTAMP),
)
database_stats = Table(
    "database_stats",
    _VIEWS,
    Column("kind", Text),
    Column("name", Text),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
)

VIEWS: Mapping[str, Table] = {
    str(view.name): view for view in (activity_logs, system_health, database_stats)
}
"""By name."""
