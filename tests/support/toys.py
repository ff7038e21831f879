"""Tables that no domain needs, to prove the operations that no registered projection uses yet."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, MetaData, PrimaryKeyConstraint, Table, Uuid

from quantum_forge.schema.language.table import TIMESTAMP

REQUIRED: dict[str, Any] = {"nullable": False}


def toy_table(
    name: str, *columns: Column[Any], key: Sequence[str | Column[Any]] = ("id",)
) -> Table:
    """A read model of its own MetaData, which no migration knows; a key by name is a UUID."""
    keys = [Column(part, Uuid, **REQUIRED) if isinstance(part, str) else part for part in key]
    return Table(
        name,
        MetaData(),
        Column("tenant_id", Uuid, **REQUIRED),
        *keys,
        *columns,
        Column("created_at", TIMESTAMP, **REQUIRED),
        Column("updated_at", DateTime(timezone=True), **REQUIRED),
        Column("last_position", BigInteger, **REQUIRED),
        PrimaryKeyConstraint("tenant_id", *(part.name for part in keys)),
    )
