"""Events that a projection could not fold: set aside, so that the rest goes on."""

from sqlalchemy import BigInteger, Index, Integer, PrimaryKeyConstraint, Table, Text, Uuid

from quantum_forge.schema.language.table import METADATA, TIMESTAMP, check, column, one_of
from quantum_forge.schema.tables.log import CopyKind

LIVE = "live"
"""The copy that is the read model itself."""

projection_dead_letters = Table(
    "projection_dead_letters",
    METADATA,
    column("projection", Text, "Name of the projection and of its table", required=True),
    column(
        "copy",
        Text,
        f"Copy of the table that leaves the event out: {LIVE}; {CopyKind.SHADOW}: being filled;"
        f" {CopyKind.KEPT}: before the last swap",
        required=True,
    ),
    column("position", BigInteger, "Position of the event in the log", required=True),
    column("tenant_id", Uuid, "Tenant that owns the event", required=True),
    column("event_type", Text, "Type of the event", required=True),
    column("reason", Text, "Message of the database when it last refused the event", required=True),
    column(
        "parked_at",
        TIMESTAMP,
        "Time at which it was set aside, by the database's clock",
        required=True,
    ),
    column("retries", Integer, "Number of retries since", required=True),
    column("retried_at", TIMESTAMP, "Time of the last retry; null if there was none"),
    column("discarded_at", TIMESTAMP, "Time at which it was discarded; null while it waits"),
    PrimaryKeyConstraint("projection", "copy", "position"),
    one_of("copy_is_known", "copy", [LIVE, *CopyKind]),
    check("retries_is_not_negative", "retries >= 0"),
    Index("projection_dead_letters_tenant_idx", "tenant_id", "position"),
    comment="Events that a projection leaves out because its table cannot take them",
)
