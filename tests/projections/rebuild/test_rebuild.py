"""A rebuild under load, killed at every stage, and what it leaves as it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.folding import FoldFailed
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import (
    NothingKept,
    Progress,
    RebuildRunning,
    SwapBlocked,
    SwapImpossible,
    rebuild,
    roll_back,
)
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge
from tests.eventstore.database.test_roles_and_tenants import OURS, THEIRS, Login, login
from tests.schema.test_migrations import schema_dump
from tests.support.chemical_history import completed, created, record, started
from tests.support.tables import table_rows

__all__ = ["login"]

MOLECULES = PROJECTIONS["molecules"]
CALCULATIONS = PROJECTIONS["calculations"]
FILLED = ("molecules", "calculations", "atomic_properties", "batch_items")
"""Tables that are looked at here; the others need not be projected."""

OUTSIDE = """
    CREATE ROLE {role};
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE INDEX by_program ON calculations (tenant_id, program) WHERE energy < 0;
    COMMENT ON INDEX by_program IS 'Somebody''s own';
    ALTER TABLE calculations ADD CONSTRAINT gap_is_not_huge CHECK (gap < 1e6),
                             ADD CONSTRAINT one_of_each UNIQUE (tenant_id, id, attempt),
                             SET (fillfactor = 70);
    COMMENT ON CONSTRAINT gap_is_not_huge ON calculations IS 'Or it is no gap';
    CREATE POLICY only_ours ON calculations AS RESTRICTIVE FOR SELECT TO {role} USING (energy < 0);
    COMMENT ON POLICY only_ours ON calculations IS 'By contract';
    GRANT SELECT (id, energy) ON calculations TO {role} WITH GRANT OPTION;
    GRANT INSERT ON calculations TO {role};
    REVOKE SELECT ON calculations FROM qforge_auditor;
    CREATE TRIGGER noted AFTER UPDATE OF energy ON calculations
        FOR EACH ROW WHEN (NEW.energy < 0) EXECUTE FUNCTION note();
    COMMENT ON TRIGGER noted ON calculations IS 'Of energies';
    ALTER TABLE calculations ENABLE ALWAYS TRIGGER noted;
    CREATE VIEW energies WITH (security_invoker = true) AS
        SELECT tenant_id, id, energy FROM calculations WHERE energy IS NOT NULL;
    COMMENT ON VIEW energies IS 'A view';
    GRANT SELECT ON energies TO {role}, qforge_reader;
    CREATE VIEW lowest AS SELECT tenant_id, min(energy) AS energy FROM energies GROUP BY tenant_id;
    CREATE VIEW named AS SELECT name, energy FROM molecules AS m JOIN calculations AS c
        ON (c.tenant_id, c.molecule_id) = (m.tenant_id, m.id);
    ALTER VIEW named OWNER TO {role};
"""


@pytest.fixture
def populated(engine: Engine) -> Engine:
    """Some molecules and calculations of two tenants, projected."""
    for tenant in (OURS, THEIRS):
        for smiles in ("O", "CCO"):
            id_ = uuid7()
            record(
                engine,
                created(smiles, tenant_id=tenant),
                started(id_, smiles, tenant_id=tenant),
                completed(id_, smiles, tenant_id=tenant),
            )
    catch_up(engine, map(PROJECTIONS.__getitem__, FILLED))
    return engine


def leftovers(engine: Engine) -> list[str]:
    """Copies of tables, and what is known of them."""
    query = text("""
        SELECT relname FROM pg_class WHERE relnamespace IN ('qforge_shadow'::regnamespace,
                                                            'qforge_kept'::regnamespace)
        UNION ALL SELECT projection FROM projection_copies
    """)
    with engine.connect() as connection:
        return list(connection.scalars(query))


def is_proven(engine: Engine, name: str) -> bool:
    """Whether a table and its checkpoint are what the log says."""
    return verify(engine, PROJECTIONS[name]).agrees


def test_whatever_hangs_on_a_table_is_as_before(populated: Engine, database: Database) -> None:
    """Policies, grants, triggers, comments, CHECKs, indexes and views, declared or somebody's."""
    role = f"somebody_{uuid7().hex[-12:]}"
    with populated.begin() as connection:
        connection.exec_driver_sql(
            OUTSIDE.format(role=role), execution_options={"no_parameters": True}
        )
    try:
        before = schema_dump(database)
        lowest = text("SELECT min(energy) FROM lowest")
        assert "only_ours" in before

        done = rebuild(populated, CALCULATIONS, keep=True)
        assert (done.swapped, done.kept, bool(done.difference)) == (True, True, False)
        record(populated, *(completed(uuid7(), "O", tenant_id=OURS) for _ in range(2)))
        record(populated, started(id_ := uuid7(), "O", tenant_id=OURS))
        record(populated, completed(id_, "O", tenant_id=OURS, energy=-99.0))
        catch_up(populated, [CALCULATIONS])
        with populated.connect() as connection:
            assert connection.scalar(lowest) == -99.0, "a view still reads the old table"
        assert is_proven(populated, "calculations")

        roll_back(populated, CALCULATIONS)
        assert schema_dump(database) == before
        with populated.connect() as connection:
            assert connection.scalar(lowest) == -5.07
        catch_up(populated, [CALCULATIONS])
        with populated.connect() as connection:
            assert connection.scalar(lowest) == -99.0
        rebuild(populated, CALCULATIONS)
        assert schema_dump(database) == before
        assert is_proven(populated, "calculations")
        assert leftovers(populated) == []
    finally:
        with populated.begin() as connection:
            connection.exec_driver_sql(
                f"DROP VIEW named; DROP OWNED BY {role} CASCADE; DROP ROLE {role}"
            )


def test_what_cannot_be_moved_is_refused_before_anything_is_done(populated: Engine) -> None:
    """A materialised view would silently go on with the old table."""
    with populated.begin() as connection:
        connection.exec_driver_sql("CREATE MATERIALIZED VIEW frozen AS SELECT * FROM molecules")

    with pytest.raises(SwapImpossible, match="materialized view frozen"):
        rebuild(populated, MOLECULES)

    assert leftovers(populated) == []


def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    populated: Engine, qforge_here: Qforge
) -> None:
    """Rows that somebody added, removed and changed by hand."""
    tamper = """
        UPDATE molecules SET name = 'mine' WHERE (tenant_id, smiles) = (SELECT tenant_id, 'O'
          FROM molecules ORDER BY tenant_id LIMIT 1);
        DELETE FROM molecules WHERE smiles = 'CCO';
    """
    with populated.begin() as connection:
        connection.exec_driver_sql(tamper)
        before = table_rows(connection, MOLECULES)

    told = qforge_here("rebuild", "molecules", "--dry-run")

    header, row = (line.split("\t") for line in told.stdout.splitlines())
    numbers = dict(zip(header, row, strict=True))
    assert [numbers[name] for name in ("rows", "added", "removed", "changed")] == list("2201")
    assert "name mine → name of O" in told.stderr
    with populated.connect() as connection:
        assert table_rows(connection, MOLECULES) == before
    assert leftovers(populated) == []


def test_going_back_needs_a_kept_table(populated: Engine, qforge_here: Qforge) -> None:
    """The next rebuild without --keep drops the kept one."""
    qforge_here("rebuild", "molecules", "--keep", "--json")
    assert set(leftovers(populated)) >= {"molecules"}
    assert qforge_here("rebuild", "molecules", "--rollback").stdout == (
        "projection\tposition\nmolecules\t12\n"
    )
    with pytest.raises(NothingKept):
        roll_back(populated, MOLECULES)
    rebuild(populated, MOLECULES, keep=True)
    rebuild(populated, MOLECULES)
    assert leftovers(populated) == []


def test_a_table_of_another_shape_gets_the_declared_one(
    populated: Engine, database: Database
) -> None:
    """Columns that the definition gained and lost, while an older fingerprint is in place."""
    before = schema_dump(database)
    with populated.begin() as connection:
        connection.exec_driver_sql("""
            ALTER TABLE calculations DROP COLUMN gap, ADD COLUMN obsolete int,
                                     ALTER COLUMN charge TYPE text;
            CREATE INDEX by_obsolete ON calculations (obsolete);
            UPDATE projection_checkpoints SET fingerprint = 'old' WHERE projection = 'calculations'
        """)

    done = rebuild(populated, CALCULATIONS)

    assert (done.new_columns, done.lost_columns) == (["charge", "gap"], ["charge", "obsolete"])
    assert schema_dump(database) == before
    assert is_proven(populated, "calculations")


def test_what_the_server_refuses_leaves_nothing_behind(populated: Engine) -> None:
    """If no event is to blame, the live table is as it was, and what was begun is gone."""
    with populated.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION is_wanted(bigint) RETURNS boolean LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'not now' USING ERRCODE = '55000'; END$$; ALTER TABLE calculations"
            " ADD CONSTRAINT c CHECK (is_wanted(last_position)) NOT VALID"
        )
    with pytest.raises(FoldFailed, match="not now"):
        rebuild(populated, CALCULATIONS)
    assert leftovers(populated) == []


def test_a_reader_in_the_way_is_named_and_never_waited_for_by_others(populated: Engine) -> None:
    """The swap gives way again and again; the filled table stays for the next attempt."""
    with populated.connect() as reader:
        reader.execute(text("SELECT count(*) FROM molecules"))
        pid = reader.scalar(text("SELECT pg_backend_pid()"))
        with pytest.raises(SwapBlocked, match=f"process {pid} "):
            rebuild(populated, MOLECULES, patience=0.5)
        with populated.connect() as other:
            other.exec_driver_sql("SET lock_timeout = '1s'")
            assert other.scalar(text("SELECT count(*) FROM molecules")) == 4
    assert leftovers(populated) != []
    rebuild(populated, MOLECULES)
    assert leftovers(populated) == []


def test_an_old_snapshot_never_finds_the_new_table_empty(populated: Engine) -> None:
    """A dump that began before the fill would not see rows written since: the swap waits for it."""
    with populated.connect().execution_options(isolation_level="REPEATABLE READ") as dump:
        dump.scalar(text("SELECT count(*) FROM event_streams"))
        with pytest.raises(SwapBlocked):
            rebuild(populated, MOLECULES, patience=0.3)
        assert dump.scalar(text("SELECT count(*) FROM molecules")) == 4
    rebuild(populated, MOLECULES)


def test_of_two_rebuilds_of_one_table_the_second_is_refused(populated: Engine) -> None:
    """And the first is not disturbed."""
    refused: list[str] = []

    def second(progress: Progress) -> None:
        with pytest.raises(RebuildRunning) as error:
            rebuild(populated, MOLECULES)
        refused.append(f"{progress.stage}: {error.value}")

    rebuild(populated, MOLECULES, on_progress=second)
    assert {line.partition(":")[0] for line in refused} == {
        "filling", "indexing", "comparing", "swapping", "done",
    }  # fmt: skip
    assert is_proven(populated, "molecules")


def test_batches_give_what_one_statement_gives(populated: Engine) -> None:
    """Every cut of the log, with rows that later batches change."""
    for name in FILLED:
        rebuild(populated, PROJECTIONS[name], batch=1)
        assert is_proven(populated, name)


# -- killed at every stage


def holding(statement: str) -> Callable[[Engine], AbstractContextManager[None]]:
    """A transaction that has executed a statement, and keeps its locks."""

    @contextmanager
    def hold(engine: Engine) -> Iterator[None]:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
            yield

    return hold


@contextmanager
def once_the_shadow_is_there(engine: Engine) -> Iterator[None]:
    """Keep indexes from being made on the shadow."""
    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:

        def lock() -> None:
            there = text("SELECT to_regclass('qforge_shadow.calculations') IS NOT NULL")
            while not connection.scalar(there):
                connection.rollback()
            connection.exec_driver_sql(
                "LOCK TABLE qforge_shadow.calculations IN ROW EXCLUSIVE MODE"
            )

        pool.submit(lock)
        yield


@contextmanager
def within_the_swap(engine: Engine) -> Iterator[None]:
    """Stop the swap when the live table has gone and the new one has not come yet."""
    with engine.begin() as connection:
        connection.exec_driver_sql("""
            CREATE FUNCTION wait_at_swap() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
                IF to_regclass('qforge_kept.calculations') IS NOT NULL THEN
                    PERFORM pg_advisory_xact_lock_shared(1, 1);
                END IF;
            END$$;
            CREATE EVENT TRIGGER wait_at_swap ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
                EXECUTE FUNCTION wait_at_swap();
        """)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1, 1)")
        yield
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP EVENT TRIGGER wait_at_swap; DROP FUNCTION wait_at_swap()")


STAGES: dict[str, Callable[[Engine], AbstractContextManager[None]]] = {
    "filling": holding("LOCK TABLE event_logs IN ACCESS EXCLUSIVE MODE"),
    "creating": holding("LOCK TABLE projection_copies IN ACCESS EXCLUSIVE MODE"),
    "indexing": once_the_shadow_is_there,
    "comparing": holding("LOCK TABLE calculations IN ACCESS EXCLUSIVE MODE"),
    "waiting for a projector": holding("SELECT FROM projection_checkpoints FOR UPDATE"),
    "waiting for a reader": holding("LOCK TABLE calculations IN ACCESS SHARE MODE"),
    "swapping": within_the_swap,
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_rebuild_is_gone_on_with_and_leaves_nothing(
    stage: str, populated: Engine, database: Database, tmp_path: Path, qforge_here: Qforge
) -> None:
    """Kill -9 while it waits for a lock that only this stage needs."""
    before = schema_dump(database)
    with populated.begin() as connection:
        connection.exec_driver_sql("UPDATE calculations SET energy = 0")
    with STAGES[stage](populated):
        process = subprocess.Popen(
            [sys.executable, "-m", "quantum_forge.cli.main", "rebuild", "calculations"],
            env={
                **os.environ,
                "DATABASE_URL": libpq_url(database.url),
                "QFORGE_HOME": str(tmp_path / "home"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_until_it_waits(populated, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with populated.connect() as connection:
            energy = text("SELECT max(energy) FROM calculations")
            if stage in ("filling", "creating", "waiting for a reader"):
                assert connection.scalar(energy) == 0

    qforge_here("rebuild", "calculations")

    assert is_proven(populated, "calculations")
    assert leftovers(populated) == []
    assert schema_dump(database) == before


def wait_until_it_waits(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    """Return when a transaction of the command's waits for a lock."""
    waiting = text("""
        SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
         WHERE NOT l.granted AND a.datname = current_database()
    """)
    deadline = time.monotonic() + 30
    with engine.connect() as connection:
        while not connection.scalar(waiting):
            connection.rollback()
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.01)


# -- under load


def test_readers_and_writers_never_notice(engine: Engine, login: Login) -> None:
    """8 writers, a projector and 4 readers while the table is rebuilt again and again."""
    tenants = [OURS, THEIRS]
    record(engine, *(created("C" * (n + 1), tenant_id=t) for n in range(200) for t in tenants))
    catch_up(engine, [MOLECULES])
    stop = threading.Event()
    reader = login("qforge_reader")

    def write(number: int) -> None:
        written = 0
        while not stop.is_set():
            smiles = "C" * (number + 1) + "O" * (written % 150 + 1)
            with engine.begin() as connection:
                append(connection, [created(smiles, tenant_id=tenants[number % 2])])
            written += 1
            stop.wait(0.02)

    def read(number: int) -> int:
        tenant = tenants[number % 2]
        seen = reads = 0
        while not stop.is_set():
            isolation = "REPEATABLE READ" if number > 1 else "READ COMMITTED"
            with reader.connect().execution_options(isolation_level=isolation) as connection:
                act_for(connection, tenant)
                rows = connection.execute(text("SELECT tenant_id, id FROM molecules")).all()
            assert {row.tenant_id for row in rows} == {tenant}, "rows of another tenant"
            assert len(set(rows)) == len(rows), "a row twice"
            assert len(rows) >= (seen if number < 2 else 200), f"{seen - len(rows)} rows vanished"
            seen, reads = len(rows), reads + 1
            stop.wait(0.005)
        return reads

    with ThreadPoolExecutor(14) as pool:
        tasks: list[Any] = [pool.submit(write, number) for number in range(8)]
        readers = [pool.submit(read, number) for number in range(4)]
        tasks.append(pool.submit(follow, engine, [MOLECULES], stop))
        try:
            swaps = 0
            until = time.monotonic() + 2
            while time.monotonic() < until or swaps < 3:
                rebuild(engine, MOLECULES, keep=swaps % 2 == 0)
                swaps += 1
                assert not any(task.done() for task in (*tasks, *readers))
        finally:
            stop.set()
        for task in tasks:
            task.result()
        assert min(task.result() for task in readers) >= swaps

    catch_up(engine, [MOLECULES])
    rebuild(engine, MOLECULES)
    assert leftovers(engine) == []
    assert is_proven(engine, "molecules")
    with engine.connect() as connection:
        events = list(read_all(connection))
        reference = Reference(MOLECULES)
        reference.apply_all(events)
        assert table_rows(connection, MOLECULES) == reference.rows
        assert read_checkpoints(connection)["molecules"].position == events[-1].position
