"""What a server refuses for a while, made real on a test's database."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import make_engine

END_OTHERS = text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'
""")

_END = text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = :database AND pid <> :but AND backend_type = 'client backend'
""")

Fault = Callable[[Engine], AbstractContextManager[None]]
"""Makes a fault for the length of a `with`."""


def raising(sqlstate: str) -> Fault:
    """The safe head, which every follower asks for, raises this SQLSTATE."""

    @contextmanager
    def fault(engine: Engine) -> Iterator[None]:
        with engine.begin() as connection:
            connection.execute(text("ALTER FUNCTION safe_head() RENAME TO safe_head_kept"))
            connection.exec_driver_sql(
                "CREATE FUNCTION safe_head() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN"
                f" RAISE EXCEPTION 'for a while' USING ERRCODE = '{sqlstate}'; END $$"
            )
        yield
        with engine.begin() as connection:
            connection.execute(text("DROP FUNCTION safe_head()"))
            connection.execute(text("ALTER FUNCTION safe_head_kept() RENAME TO safe_head"))

    return fault


def configured(setting: str, *, locked: str = "") -> Fault:
    """All new sessions have a setting, and somebody holds a lock on a table meanwhile."""

    @contextmanager
    def fault(engine: Engine) -> Iterator[None]:
        database = engine.url.database
        elsewhere = make_engine(engine.url.set(database="postgres"))
        with (
            elsewhere.connect().execution_options(isolation_level="AUTOCOMMIT") as outside,
            engine.connect() as holder,
        ):
            pid = holder.scalar(text("SELECT pg_backend_pid()"))
            if locked:
                holder.execute(text(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE"))
            outside.execute(text(f'ALTER DATABASE "{database}" SET {setting}'))
            outside.execute(_END, {"database": database, "but": pid})
            yield
            name = setting.partition(" ")[0]
            outside.execute(text(f'ALTER DATABASE "{database}" RESET {name}'))
            outside.execute(_END, {"database": database, "but": pid})
        elsewhere.dispose()

    return fault
