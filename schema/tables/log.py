"""The log and what keeps it in order: events, stream heads, checkpoints."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import METADATA, TIMESTAMP, check, column, one_of

POSITIONS = Sequence("event_logs_id_seq", metadata=METADATA, data_type=BigInteger, cache=1)
"""Hands out positions. CACHE must stay 1: cached values would lie below last_value, and readers
would pass over them."""

event_logs = Table(
    "event_logs",
    METADATA,
    Column(
        "id",
        BigInteger,
        server_default=text(f"nextval('{POSITIONS.name}')"),
        nullable=False,
        comment="Position in the log; grows, has gaps",
    ),
    column(
        "event_id", Uuid, "The client's id of the event (UUIDv7); a retry repeats it", required=True
    ),
    column("tenant_id", Uuid, "Tenant that owns the data", required=True),
    column("entity_type", Text, "Type of the entity", required=True),
    column("entity_id", Uuid, "Id of the entity; with tenant and type, the stream", required=True),
    column("version", Integer, "Version in the stream: 1, 2, …, without gaps", required=True),
    column("event_type", Text, "Type of the event", required=True),
    column("schema_version", SmallInteger, "Version of the event type's fields", required=True),
    column("data", JSONB, "Payload of the event", required=True),
    column(
        "metadata", JSONB, "host, service, program versions, ip, correlation_id, …", required=True
    ),
    column("user_id", Uuid, "User who caused it; null for the system itself"),
    column("occurred_at", TIMESTAMP, "Time of occurrence, by the client's clock", required=True),
    column("recorded_at", TIMESTAMP, "Time of the append, by the database's clock", required=True),
    PrimaryKeyConstraint("id"),
    Index("event_logs_stream_idx", "entity_id", "version"),
    Index("event_logs_event_id_idx", "event_id"),
    Index("event_logs_type_idx", "event_type", "id"),
    Index("event_logs_user_idx", "user_id", "id", postgresql_where=text("user_id IS NOT NULL")),
    # Its summaries tell which pages hold given times among given positions, whether the clocks grow
    # with the positions or not. As an expression: for id alone, the primary key would be read.
    Index(
        "event_logs_times_idx",
        text("(id + 0)"),
        "recorded_at",
        "occurred_at",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    ),
    comment="Every action as an event; append-only; everything else is derived from it",
    postgresql_partition_by="RANGE (id)",
)

event_streams = Table(
    "event_streams",
    METADATA,
    column("tenant_id", Uuid, "Tenant that owns the stream", required=True),
    column("entity_type", Text, "Type of the entity", required=True),
    column("entity_id", Uuid, "Id of the entity", required=True),
    column("version", Integer, "Version of the stream's last event", required=True),
    column("first_position", BigInteger, "No event of the stream lies below it", required=True),
    PrimaryKeyConstraint("tenant_id", "entity_type", "entity_id"),
    check("head_version_is_positive", "version > 0"),
    comment="The head of each stream; an append locks the heads of its streams",
    postgresql_with={"fillfactor": 80},
)

projection_checkpoints = Table(
    "projection_checkpoints",
    METADATA,
    column("projection", Text, "Name of the projection and of its table", required=True),
    column(
        "fingerprint", Text, "Fingerprint of the definition that filled the table", required=True
    ),
    column("position", BigInteger, "Every event up to here is folded in", required=True),
    column(
        "consumed", BigInteger, "Number of events of its types up to the position", required=True
    ),
    column("ids_hash", BigInteger, "XOR of the hashes of their positions", required=True),
    column(
        "updated_at",
        TIMESTAMP,
        "Time of the last move of the checkpoint, by the database's clock",
        required=True,
    ),
    column("event_id", Uuid, "Id of the last event up to the position; null before the first move"),
    PrimaryKeyConstraint("projection"),
    check("position_is_not_negative", "position >= 0"),
    comment="Checkpoint of each projection; updated in the transaction that changes its rows",
)

published_head = Table(
    "published_head",
    METADATA,
    Column(
        "is_only",
        Boolean,
        server_default=text("true"),
        nullable=False,
        comment="Always true: the table has one row",
    ),
    column(
        "position",
        BigInteger,
        "Every event up to here was committed before this row was, or will never exist",
        required=True,
    ),
    column(
        "published_at",
        TIMESTAMP,
        "Time at which the head was computed, by the database's clock",
        required=True,
    ),
    PrimaryKeyConstraint("is_only"),
    check("there_is_one_row", "is_only"),
    check("published_position_is_not_negative", "position >= 0"),
    comment="The safe head for readers on standby servers, which cannot see who appends",
)


class CopyKind(StrEnum):
    """Purpose of a copy of a read model."""

    SHADOW = "shadow"
    KEPT = "kept"

    @property
    def schema(self) -> str:
        """Where copies of this kind are."""
        return f"qforge_{self.value}"


class Stage(StrEnum):
    """Stage of a rebuild; after the last there is nothing left to do."""

    FILLING = "filling"
    INDEXING = "indexing"
    COMPARING = "comparing"
    SWAPPING = "swapping"
    DONE = "done"


projection_copies = Table(
    "projection_copies",
    METADATA,
    column("projection", Text, "Name of the projection and of its table", required=True),
    column(
        "kind",
        Text,
        f"{CopyKind.SHADOW}: being filled; {CopyKind.KEPT}: the table before the last swap",
        required=True,
    ),
    column(
        "stage",
        Text,
        "Stage of the rebuild: filling, indexing, comparing, swapping",
        required=True,
    ),
    column("fingerprint", Text, "Fingerprint of the definition that fills the copy", required=True),
    column("position", BigInteger, "Every event up to here is folded in", required=True),
    column(
        "consumed", BigInteger, "Number of events of its types up to the position", required=True
    ),
    column("ids_hash", BigInteger, "XOR of the hashes of their positions", required=True),
    column(
        "began_at",
        TIMESTAMP,
        "Time at which the copy was created, by the database's clock",
        required=True,
    ),
    column(
        "updated_at",
        TIMESTAMP,
        "Time of the last move of the copy, by the database's clock",
        required=True,
    ),
    PrimaryKeyConstraint("projection", "kind"),
    one_of("kind_is_known", "kind", CopyKind),
    one_of("stage_is_known", "stage", Stage),
    check("copy_position_is_not_negative", "position >= 0"),
    comment="Checkpoints of tables beside the live ones: shadow tables and kept tables",
)
