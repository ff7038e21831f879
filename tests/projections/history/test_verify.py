"""Verification proves every untouched table, and finds every kind of tampering."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, ColumnElement, Engine, create_engine, null, select, text, update
from sqlalchemy.dialects.postgresql import BIT, JSONB, BitString
from sqlalchemy.exc import IntegrityError

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.append import append
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.history.verify import Verification, verify
from quantum_forge.projections.project.checkpoint import fingerprint
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import projection_checkpoints
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, record, started
from tests.support.histories import histories

WATER = UUID("aaaa1111-0000-4000-8000-000000000001")
every_projection = pytest.mark.parametrize(
    "projection", PROJECTIONS.values(), ids=lambda projection: projection.name
)


@every_projection
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_an_untouched_table_is_proven_and_a_touched_one_is_not(
    projection: Projection, engine: Engine, data: st.DataObject
) -> None:
    """A value changed in any column, a row deleted, a row inserted: each is found, and no more."""
    # Given: a history that leaves rows, projected
    with engine.begin() as connection:
        append(connection, data.draw(histories([projection], max_size=20)))
    catch_up(engine, [projection], batch=7)
    assert verify(engine, projection).agrees
    with engine.connect() as connection:
        rows = connection.execute(select(projection.table)).mappings().all()
    assume(rows)
    row = dict(rows[data.draw(st.integers(0, 1000)) % len(rows)])
    key = {name: row[name] for name in ("tenant_id", *projection.key)}

    # When, then: a column is changed by hand, wherever the database lets it
    columns = [
        column
        for column in projection.table.c
        if column.name not in key and column.computed is None
    ]
    for column in data.draw(st.permutations(columns))[:4]:
        with tampering(engine, projection, row, {column.name: another(row, column)}) as done:
            if done:
                (found,) = one_row_differs(engine, projection, "changed").rows.examples
                stored = [
                    name for name in found.columns if projection.table.c[name].computed is None
                ]
                assert (found.key, stored) == (key, [column.name])

    # When, then: the row is deleted, or moved, which inserts one
    with tampering(engine, projection, row, None):
        (found,) = one_row_differs(engine, projection, "removed").rows.examples
        assert (found.key, found.before, found.after) == (key, row, None)
    with tampering(engine, projection, row, {"tenant_id": UUID(int=9)}) as done:
        assert done
        verification = verify(engine, projection)
        assert not verification.agrees
        assert (verification.rows.added, verification.rows.removed) == (1, 1)
    assert verify(engine, projection).agrees


def test_a_projection_that_never_ran_has_an_empty_table(engine: Engine) -> None:
    """What was not folded is not expected."""
    record(engine, created("O"), started(WATER, "O"), completed(WATER, "O"))

    for projection in PROJECTIONS.values():
        found = verify(engine, projection)

        assert found.agrees, projection.name
        assert (found.position, found.consumed, found.logged) == (0, 0, 0)


def test_an_event_that_was_skipped_is_found_though_no_row_shows_it(engine: Engine) -> None:
    """Count and hash of the events tell even what the rows do not."""
    # Given: a calculation that is started twice alike, the second time unseen by the projector
    projection = PROJECTIONS["calculation_execution_metrics"]
    record(engine, started(WATER, "O"))
    catch_up(engine, [projection])
    honest = verify(engine, projection)
    assert honest.agrees
    (placed,) = record(engine, completed(uuid7(), "O"))  # opens no row
    moved(engine, projection, position=placed.position)

    # When: the checkpoint has passed over it
    skipped = verify(engine, projection)

    # Then: it is missed, also when another event was counted in its place
    assert not skipped.agrees
    assert not skipped.rows
    assert (skipped.consumed, skipped.logged, skipped.same_events) == (1, 2, False)
    moved(engine, projection, consumed=2)
    assert not verify(engine, projection).agrees


def test_a_table_of_another_definition_is_not_compared(engine: Engine) -> None:
    """It is stale, which is not wrong, but proves nothing."""
    projection = PROJECTIONS["molecules"]
    catch_up(engine, [projection])
    moved(engine, projection, fingerprint="another")

    verification = verify(engine, projection)

    assert verification.stale
    assert not verification.agrees
    assert fingerprint(projection) != "another"


def test_a_table_is_proven_while_it_is_written(engine: Engine) -> None:
    """Checkpoint, rows and log are seen at one moment, and nobody waits."""
    # Given: writers and a projector at work
    projections = [PROJECTIONS["calculations"], PROJECTIONS["molecules"]]
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ids = [uuid7() for _ in range(20)]
            record(engine, *(started(id_, "O") for id_ in ids))
            record(engine, created("O"), *(completed(id_, "O") for id_ in ids))

    threads = [
        threading.Thread(target=write),
        threading.Thread(target=follow, args=(engine, projections, stop)),
    ]
    for thread in threads:
        thread.start()

    # When: it is verified again and again
    try:
        catch_up(engine, projections)
        proven: list[Verification] = []
        while len({verification.position for verification in proven}) < 4:
            proven += [verify(engine, projection) for projection in projections]
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    # Then: always
    assert all(verification.agrees for verification in proven)


def test_who_sees_one_tenant_verifies_its_rows(engine: Engine) -> None:
    """Row-level security is no tampering; the events of others are not counted."""
    projection = PROJECTIONS["molecules"]
    other = UUID(int=2, version=4)
    record(engine, created("O"), created("C", tenant_id=other))
    catch_up(engine, [projection])
    name = engine.url.database
    auditor = f"auditor_of_{name}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {auditor} LOGIN IN ROLE qforge_auditor"))
        connection.execute(text(f"ALTER ROLE {auditor} SET qforge.tenant_id = '{other}'"))
    theirs = create_engine(engine.url.set(username=auditor))
    try:
        untouched = verify(theirs, projection)
        with engine.begin() as connection:
            connection.execute(update(projection.table).values(name="forged"))
        touched = verify(theirs, projection)
    finally:
        theirs.dispose()
        with engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {auditor}"))

    assert untouched.agrees
    assert untouched.logged is None
    assert touched.rows.changed == 1


# -- the command


def test_the_command_proves_and_reports(engine: Engine, qforge_here: Qforge) -> None:
    """Exit status 0 when all agree; otherwise 1, and the rows with both values."""
    record(engine, created("O"), started(WATER, "O"), completed(WATER, "O", gap=14.6))
    catch_up(engine, PROJECTIONS.values())

    proven = qforge_here("verify")
    assert len(proven.stdout.splitlines()) == 1 + len(PROJECTIONS)
    with engine.begin() as connection:
        connection.execute(update(PROJECTIONS["calculations"].table).values(gap=1.0))
    wrong = qforge_here("verify", "calculations", "molecules", status=1)
    machine = qforge_here("verify", "calculations", "--json", status=1)

    assert "verified" in proven.stdout
    assert f"{WATER}\tchanged\tgap\t1.0\t14.6" in wrong.stdout
    assert "qforge rebuild calculations" in wrong.stderr
    assert '"changed":1' in machine.stdout
    assert qforge_here("verify", "nothing", status=2).stdout == ""


# -- tampering


@contextmanager
def tampering(
    engine: Engine, projection: Projection, row: dict[str, Any], values: dict[str, Any] | None
) -> Iterator[bool]:
    """Change a row by hand, or delete it (None), and put it back; say whether it was possible."""
    table = projection.table
    primary = list(table.primary_key.columns)

    def of(some: dict[str, Any]) -> list[ColumnElement[bool]]:
        return [column == some[column.name] for column in primary]

    try:
        with engine.begin() as connection:
            if values is None:
                connection.execute(table.delete().where(*of(row)))
            else:
                connection.execute(table.update().where(*of(row)).values(values))
    except IntegrityError:
        yield False
        return
    try:
        yield True
    finally:
        with engine.begin() as connection:
            connection.execute(table.delete().where(*of({**row, **(values or {})})))
            # None would be a JSON null in a JSONB column.
            back = {
                name: null() if value is None else value
                for name, value in row.items()
                if table.c[name].computed is None
            }
            connection.execute(table.insert().values(back))


def another(row: dict[str, Any], column: Column[Any]) -> Any:
    """Some other value that the column takes."""
    match row[column.name]:
        case BitString() as value:
            return BitString("10"[int(value[0])] + value[1:])
        case None if isinstance(column.type, BIT):
            return BitString("1" * (column.type.length or 1))
        case "failed":
            return "completed"
        case str(value):
            return "failed" if column.name == "status" else value + "!"
        case bool(value):
            return not value
        case int(value):
            return value - 1 if value > 1 else value + 1
        case Decimal() as value:
            # Not one more: of a large sum, that is beyond the digits that are kept.
            return value * 2 if value else Decimal(1)
        case float(value):
            return value * 1.5 if value else 1.0
        case datetime() as value:
            return value + timedelta(microseconds=1)
        case UUID() as value:
            return UUID(int=value.int ^ 1)
        case None if isinstance(column.type, JSONB):
            return {"forged": True}
        case None:
            kind = column.type.python_type
            return (
                uuid7()
                if kind is UUID
                else datetime.now().astimezone()
                if kind is datetime
                else kind(1)
            )
        case list() | dict() as value:
            return [value]
    raise AssertionError(row[column.name])


def one_row_differs(engine: Engine, projection: Projection, how: str) -> Verification:
    """What verification finds, which must be this and nothing else."""
    verification = verify(engine, projection)
    rows = verification.rows
    numbers = {"added": rows.added, "removed": rows.removed, "changed": rows.changed}
    assert numbers == {**dict.fromkeys(numbers, 0), how: 1}
    assert not verification.agrees
    assert verification.same_events
    return verification


def moved(engine: Engine, projection: Projection, **values: object) -> None:
    """Change a checkpoint by hand."""
    checkpoints = projection_checkpoints
    with engine.begin() as connection:
        connection.execute(
            update(checkpoints).where(checkpoints.c.projection == projection.name).values(**values)
        )


def test_a_statement_timeout_of_the_database_ends_no_verification(engine: Engine) -> None:
    """A limit for the requests of a web service would end it, however often it is tried."""
    projection = PROJECTIONS["molecules"]
    catch_up(engine, [projection])
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET statement_timeout = '60ms'"))
    limited = make_engine(engine.url)
    held = threading.Event()

    def hold() -> None:
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE molecules IN ACCESS EXCLUSIVE MODE"))
            held.set()
            time.sleep(2)  # longer than every attempt and pause together

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert verify(limited, projection).agrees
        assert not rebuild(limited, projection, dry_run=True).difference
    finally:
        thread.join()
        limited.dispose()


def test_a_checkpoint_beyond_the_head_is_found(engine: Engine) -> None:
    """It agrees with the log as it is, and would pass over what is appended next."""
    projection = PROJECTIONS["molecules"]
    record(engine, created("O"))
    catch_up(engine, [projection])
    assert verify(engine, projection).agrees
    moved(engine, projection, position=1_000_000)

    found = verify(engine, projection)

    assert found.beyond_head
    assert found.same_events
    assert not found.agrees

    # The remedy that it names: what is appended next is folded again.
    assert not rebuild(engine, projection).difference
    record(engine, created("C"))
    catch_up(engine, [projection])
    assert verify(engine, projection).agrees
