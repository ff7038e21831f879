"""Names of entities by their ids, where a table of theirs has them."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Column, Connection, Text, column, func, select, values

from quantum_forge.schema.domains.batches import batch_jobs
from quantum_forge.schema.domains.discovery import projects
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.organizations import organizations
from quantum_forge.schema.domains.users import users

NAMED: Mapping[str, Column[str]] = {
    "user": users.c.username,
    "organization": organizations.c.name,
    "project": projects.c.name,
    "molecule": molecules.c.name,
    "batch": batch_jobs.c.name,
}
"""By entity type, the column with its name."""


def names_by_id(
    connection: Connection, tenant_id: UUID, wanted: Mapping[str, Collection[UUID]]
) -> dict[UUID, str]:
    """Return the names of entities, as far as they are projected and have one.

    Without those of tables that the login may not read.

    Args:
        connection: in a transaction or not; it reads only.
        tenant_id: whose entities.
        wanted: by entity type, the ids; those of other types are passed over.
    """
    asked = {kind: ids for kind, ids in wanted.items() if ids and kind in NAMED}
    if not asked:
        return {}
    readable = _readable(connection, asked)
    found: dict[UUID, str] = {}
    for kind in readable:
        name = NAMED[kind]
        table = name.table
        query = select(table.c.id, name).where(
            table.c.tenant_id == tenant_id, table.c.id.in_(asked[kind]), name.is_not(None)
        )
        found |= {row.id: row[1] for row in connection.execute(query)}
    return found


def _readable(connection: Connection, kinds: Collection[str]) -> list[str]:
    kind, table = column("kind", Text), column("name", Text)
    named = values(kind, table, name="named").data(
        [(each, NAMED[each].table.name) for each in kinds]
    )
    query = select(kind).select_from(named)
    return list(connection.scalars(query.where(func.has_table_privilege(table, "SELECT"))))
