"""The table that a rebuild fills: made from the declaration, without keys and indexes at first."""

from sqlalchemy import Connection, text
from sqlalchemy.schema import (
    CreateIndex,
    CreateTable,
    SetColumnComment,
    SetTableComment,
)

from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.dead_letters import inherit, leaves_out, sparing
from quantum_forge.projections.project.folding import as_fold_failure, fold
from quantum_forge.projections.project.log_range import count_events
from quantum_forge.projections.project.poison import fold_around, refusal_of
from quantum_forge.projections.rebuild import attached
from quantum_forge.projections.rebuild.copy import Copy, forget_copy, onto, start_of, store_copy
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables.log import CopyKind

WORK_MEM = "64MB"
MAINTENANCE_WORK_MEM = "256MB"
"""What a sort, a hash table and an index of a rebuild may take before they go to disk."""

REBUILDING = "quantum-forge rebuild"
"""The application_name of a rebuild's transactions, which other rebuilds need not wait for."""


_REVOKE = text("SELECT revoke_default_rights(CAST(:name AS regclass))")


def shadow_name(projection: Projection) -> str:
    """The shadow's table as SQL names it."""
    return f"{CopyKind.SHADOW.schema}.{projection.name}"


def tune_rebuild(connection: Connection) -> None:
    """Give this transaction the memory that large sorts need, and a name that says whose it is."""
    connection.exec_driver_sql(
        f"SET LOCAL application_name = '{REBUILDING}';"
        f" SET LOCAL work_mem = '{WORK_MEM}';"
        f" SET LOCAL maintenance_work_mem = '{MAINTENANCE_WORK_MEM}'"
    )


def create_shadow(connection: Connection, projection: Projection, live: int) -> Copy:
    """Make the empty shadow, in place of one that there may be."""
    drop_shadow(connection, projection)
    table = onto(projection, CopyKind.SHADOW).table
    connection.execute(CreateTable(table))
    connection.execute(_REVOKE, {"name": shadow_name(projection)})
    # Indexes of a full table are made in a fraction of the time that keeping them costs.
    name = shadow_name(projection)
    attached.run(connection, [f"ALTER TABLE {name} DROP CONSTRAINT {table.primary_key.name}"])
    connection.execute(SetTableComment(table))
    for column in table.columns:
        connection.execute(SetColumnComment(column))
    attached.add_checks(connection, live, _oid(connection, name), name)
    begun = start_of(projection)
    store_copy(connection, begun)
    return begun


def drop_shadow(connection: Connection, projection: Projection) -> None:
    """Drop the shadow and its row, if there is one."""
    connection.execute(text(f"DROP TABLE IF EXISTS {shadow_name(projection)}"))
    forget_copy(connection, projection.name, CopyKind.SHADOW)


def fill(connection: Connection, projection: Projection, shadow: Copy, upto: int) -> Copy:
    """Fold the events up to a position into the shadow, and store how far it has come.

    Leaves out what the live table leaves out, and what the database refuses besides.

    Returns:
        The copy as it is then, once the caller commits.

    Raises:
        FoldFailed: when the database refuses, for another reason than an event.
    """
    after = shadow.position
    events, ids_hash = count_events(connection, projection, after, upto)
    target = onto(projection, CopyKind.SHADOW)
    inherit(connection, target, shadow.fingerprint, after, upto)
    if leaves_out(connection, target, after, upto):
        target = sparing(target)
    if events and refusal_of(connection, lambda: _insert(connection, target, shadow, upto)):
        add_key(connection, projection)
        fold_around(connection, target, after=after, upto=upto)
    filled = shadow.plus(upto, events, ids_hash)
    store_copy(connection, filled)
    return filled


def _insert(connection: Connection, target: Projection, shadow: Copy, upto: int) -> None:
    """Fold all at once: without looking at rows while there are none."""
    if shadow.consumed:
        add_key(connection, target)
        fold(connection, target, after=shadow.position, upto=upto)
        return
    with as_fold_failure(target, shadow.position, upto):
        bounds = {"after": shadow.position, "upto": upto}
        connection.execute(compiler.insert_all(target), bounds)


def add_key(connection: Connection, projection: Projection) -> None:
    """Make the primary key, unless it is there: after the first batch, rows are looked up by it."""
    there = text(
        "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass(:name) AND indisprimary)"
    )
    name = shadow_name(projection)
    if not connection.scalar(there, {"name": name}):
        key = projection.table.primary_key
        columns = ", ".join(column.name for column in key)
        statement = f"ALTER TABLE {name} ADD CONSTRAINT {key.name} PRIMARY KEY ({columns})"
        attached.run(connection, [statement])


def missing_indexes(connection: Connection, projection: Projection, live: int) -> list[str]:
    """The statements that make the indexes that the shadow lacks, declared ones first."""
    name = shadow_name(projection)
    shadow = _oid(connection, name)
    query = text("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = :oid")
    there = {
        index.rpartition(".")[2].strip('"') for index in connection.scalars(query, {"oid": shadow})
    }
    declared = [
        index
        for index in sorted(
            onto(projection, CopyKind.SHADOW).table.indexes, key=lambda i: str(i.name)
        )
        if index.name not in there
    ]
    names = {index.name for index in declared}
    return [
        *(str(CreateIndex(index).compile(connection)) for index in declared),
        *(
            statement
            for index, statement in attached.index_statements(connection, live, shadow, name)
            if index not in names
        ),
    ]


def _oid(connection: Connection, name: str) -> int:
    oid = attached.oid_of(connection, name)
    assert oid is not None, f"{name} was dropped by another session"
    return oid
