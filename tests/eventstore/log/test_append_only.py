"""What is in the log stays as it is: the database refuses to change it, for its owner too."""

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.errors import LogIsAppendOnly
from quantum_forge.eventstore.log.append import translated_errors
from tests.support.appending import append_and_commit, small_event

COLUMNS = (
    "id, event_id, tenant_id, entity_type, entity_id, version, event_type, schema_version, data,"
    " metadata, user_id, occurred_at, recorded_at"
)
ON_A_TABLE = {
    "update": "UPDATE {table} SET data = '{{}}'",
    "update of one column of one event": "UPDATE {table} SET user_id = NULL WHERE id = {id}",
    "update that changes nothing": "UPDATE {table} SET version = version",
    "move to another partition": "UPDATE {table} SET id = id + 10000000",
    "delete": "DELETE FROM {table}",
    "delete of one event": "DELETE FROM {table} WHERE id = {id}",
    "truncate": "TRUNCATE {table}",
    "truncate cascade": "TRUNCATE {table} RESTART IDENTITY CASCADE",
    "upsert": (
        f"INSERT INTO {{table}} ({COLUMNS}) SELECT {COLUMNS} FROM {{table}}"
        " ON CONFLICT (id) DO UPDATE SET data = '{{}}'"
    ),
    "merge that updates": (
        "MERGE INTO {table} AS log USING (SELECT id AS known FROM {table}) AS same"
        " ON log.id = known WHEN MATCHED THEN UPDATE SET data = '{{}}'"
    ),
    "merge that deletes": (
        "MERGE INTO {table} AS log USING (SELECT id AS known FROM {table}) AS same"
        " ON log.id = known WHEN MATCHED THEN DELETE"
    ),
    "delete within a query": (
        "WITH gone AS (DELETE FROM {table} RETURNING id) SELECT count(*) FROM gone"
    ),
}
PARENT = "event_logs"


@pytest.mark.parametrize("what", ON_A_TABLE)
def test_no_statement_changes_an_event_whatever_table_it_names(engine: Engine, what: str) -> None:
    """The log, each of its partitions, and the default one, in a session of the superuser."""
    # Given: events in two partitions and in the default one
    partitions = filled_partitions(engine)
    assert len(partitions) >= 3
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = user"))
        before = everything(connection)

    for table, position in {PARENT: 1, **partitions}.items():
        # When: somebody tries
        statement = ON_A_TABLE[what].format(table=table, id=position)
        with engine.connect() as connection, pytest.raises(LogIsAppendOnly), translated_errors():
            connection.execute(text(statement))

    # Then: every event is as it was
    with engine.connect() as connection:
        assert everything(connection) == before


def test_a_partition_made_later_is_protected_too(engine: Engine) -> None:
    """Truncation is refused by a trigger of its own on each partition."""
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT create_event_partition(20000001, 30000000)"))
        connection.execute(text("SELECT setval('event_logs_id_seq', 20000005)"))
    append_and_commit(engine, small_event())
    for statement in (f"TRUNCATE {name}", f"DELETE FROM {name}", f"UPDATE {name} SET version = 2"):
        with engine.connect() as connection, pytest.raises(LogIsAppendOnly), translated_errors():
            connection.execute(text(statement))


def test_running_out_of_partitions_refuses_no_event(engine: Engine) -> None:
    """Beyond the last prepared partition, events go to the default one and are read as ever."""
    partitions = filled_partitions(engine)
    assert "event_logs_default" in partitions
    placed = append_and_commit(engine, small_event(), small_event())
    assert placed[0].position > 20_000_000
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM event_logs_default"))
        assert found == 3


def filled_partitions(engine: Engine) -> dict[str, int]:
    """Append an event to every partition; return their names with the event's position."""
    with engine.connect() as connection:
        names = list(
            connection.scalars(
                text(
                    "SELECT inhrelid::regclass::text FROM pg_inherits"
                    " WHERE inhparent = 'event_logs'::regclass ORDER BY 1"
                )
            )
        )
    positions: dict[str, int] = {}
    for start in (0, 10_000_000, 20_000_000):
        if start:
            with engine.begin() as connection:
                connection.execute(text(f"SELECT setval('event_logs_id_seq', {start})"))
        (placed,) = append_and_commit(engine, small_event(number=start))
        with engine.connect() as connection:
            name = connection.scalar(
                text("SELECT tableoid::regclass::text FROM event_logs WHERE id = :id"),
                {"id": placed.position},
            )
        positions[str(name)] = placed.position
    assert set(positions) == set(names)
    return positions


def everything(connection: Connection) -> list[tuple[object, ...]]:
    """Every event, every column."""
    return [tuple(row) for row in connection.execute(text("SELECT * FROM event_logs ORDER BY id"))]
