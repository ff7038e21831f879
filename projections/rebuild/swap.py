"""Puts another table in the place of the live one, in one short transaction.

Tables change places by changing schemas: each brings its indexes and constraints along under their
own names. Whoever waits for the live table while that happens looks its name up again afterwards,
and reads the new one; views hold on to the old one, so they are made again over the new one.
"""

import itertools
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.compiler import dead_letters
from quantum_forge.projections.project.checkpoint import (
    Checkpoint,
    create_checkpoints,
    lock_checkpoint,
    move_checkpoint,
)
from quantum_forge.projections.rebuild import attached
from quantum_forge.projections.rebuild.copy import Copy, forget_copy, kept_at, lock_copy, store_copy
from quantum_forge.projections.rebuild.errors import SwapBlocked
from quantum_forge.projections.rebuild.shadow import (
    REBUILDING,
    add_key,
    fill,
    missing_indexes,
    tune_rebuild,
)
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables.log import CopyKind

LOCK_TIMEOUT = 0.2
"""Seconds for which readers may have to queue behind a swap that waits for one of them. Well below
deadlock_timeout: where a reader of a view and a swap block each other, the swap gives way."""

LONGEST_PAUSE = 1.0
"""Seconds between two attempts at most: time for whoever queued behind one."""

CHECKPOINT_TIMEOUT = 10
"""Seconds to wait for a projector's batch, which blocks nobody."""

_GAVE_WAY = {"55P03", "40P01"}  # lock_not_available, deadlock_detected

# Transactions that hold a snapshot, and which one.
_SNAPSHOTS = text("""
    SELECT a.pid, l.virtualtransaction, a.backend_xmin::text, a.usename, a.application_name
      FROM pg_stat_activity AS a
      JOIN pg_locks AS l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
     WHERE a.datname = current_database() AND a.backend_xmin IS NOT NULL
       AND a.pid <> pg_backend_pid() AND a.application_name <> :rebuilding
       AND a.backend_type = 'client backend'
""")

_HOLDERS = text("""
    SELECT DISTINCT a.pid, a.usename, a.application_name
      FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
     WHERE l.relation = to_regclass(:name) AND l.granted AND a.pid <> pg_backend_pid()
     ORDER BY a.pid
""")


class NothingKept(QuantumForgeError):
    """There is no table to swap back to."""

    def __init__(self, projection: str) -> None:
        self.projection = projection
        super().__init__(
            f"no earlier table of {projection} was kept: rebuild with --keep to be able to go back"
        )


def swap_in_shadow(connection: Connection, projection: Projection, *, keep: bool) -> Copy:
    """Fold what is left into the shadow and make it the live table; the caller commits.

    Args:
        connection: in a transaction; holds the live table until its end.
        projection: whose shadow is filled and indexed.
        keep: the table that was live; else it is dropped. One that was kept before is dropped.

    Returns:
        What is live now, and how far it has come.
    """
    shadow = lock_copy(connection, projection.name, CopyKind.SHADOW)
    assert shadow is not None
    live = _live(connection, projection)
    before = _lock_checkpoint(connection, projection)
    shadow = fill(connection, projection, shadow, max(safe_head(connection), shadow.position))
    add_key(connection, projection)
    attached.run(connection, missing_indexes(connection, projection, live))

    views = _lock_live(connection, projection, live)
    _drop(connection, projection, CopyKind.KEPT)
    _exchange(
        connection, projection, live, incoming=CopyKind.SHADOW, outgoing=CopyKind.KEPT, views=views
    )
    forget_copy(connection, projection.name, CopyKind.SHADOW)
    if keep:
        store_copy(connection, kept_at(before))
    else:
        _drop(connection, projection, CopyKind.KEPT)
    move_checkpoint(connection, shadow.as_checkpoint())
    return shadow


def swap_in_kept(connection: Connection, projection: Projection, *, keep: bool) -> Copy:
    """Make the kept table the live one again, with the checkpoint that it had.

    An unfinished rebuild is dropped. Arguments and result are those of `swap_in_shadow`.

    Raises:
        NothingKept
    """
    kept = lock_copy(connection, projection.name, CopyKind.KEPT)
    if kept is None:
        raise NothingKept(projection.name)
    lock_copy(connection, projection.name, CopyKind.SHADOW)
    _drop(connection, projection, CopyKind.SHADOW)
    live = _live(connection, projection)
    before = _lock_checkpoint(connection, projection)
    views = _lock_live(connection, projection, live)
    _exchange(
        connection, projection, live, incoming=CopyKind.KEPT, outgoing=CopyKind.SHADOW, views=views
    )
    forget_copy(connection, projection.name, CopyKind.KEPT)
    if keep:
        schema = CopyKind.KEPT.schema
        moved = f"ALTER TABLE {CopyKind.SHADOW.schema}.{projection.name} SET SCHEMA {schema}"
        attached.run(connection, [moved])
        dead_letters.hand_over(connection, projection.name, CopyKind.SHADOW, CopyKind.KEPT)
        store_copy(connection, kept_at(before))
    else:
        _drop(connection, projection, CopyKind.SHADOW)
    move_checkpoint(connection, kept.as_checkpoint())
    return kept


def persistently(
    engine: Engine,
    projection: Projection,
    swap: Callable[[Connection], Copy],
    *,
    patience: float,
    between: Callable[[], object] = lambda: None,
) -> Copy:
    """Swap in a transaction of its own, as often as others are in the way, for `patience` seconds.

    Args:
        engine: for the transactions.
        projection: whose table it is.
        swap: one of the functions above.
        patience: seconds after which to give up.
        between: what to do after an attempt failed.

    Raises:
        SwapBlocked: naming who is in the way.
    """
    deadline = time.monotonic() + patience
    attempts = 0
    while True:
        attempts += 1
        try:
            with engine.begin() as connection:
                tune_rebuild(connection)
                return swap(connection)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _GAVE_WAY:
                raise
            if time.monotonic() > deadline:
                raise SwapBlocked(projection.name, _holders(engine, projection)) from error
        time.sleep(pause_after(attempts, longest=LONGEST_PAUSE))
        between()


def wait_for_snapshots(engine: Engine, projection: Projection, *, patience: float) -> None:
    """Wait until nobody has a snapshot from before the shadow was filled.

    A transaction under REPEATABLE READ, such as pg_dump's, that looked at the new table with a
    snapshot from before would find it empty.

    Raises:
        SwapBlocked: naming them, after `patience` seconds.
    """
    deadline = time.monotonic() + patience
    old: dict[tuple[int, str, str], str] | None = None
    for looks in itertools.count(1):
        with engine.connect() as connection:
            found = {
                (row.pid, row.virtualtransaction, row.backend_xmin): _who(row)
                for row in connection.execute(_SNAPSHOTS, {"rebuilding": REBUILDING})
            }
        old = found if old is None else {key: old[key] for key in old.keys() & found.keys()}
        if not old:
            return
        if time.monotonic() > deadline:
            raise SwapBlocked(projection.name, sorted(old.values()))
        time.sleep(pause_after(looks, longest=LONGEST_PAUSE))


def _live(connection: Connection, projection: Projection) -> int:
    live = attached.oid_of(connection, projection.name)
    assert live is not None, f"the table {projection.name} is missing"
    return live


def _lock_checkpoint(connection: Connection, projection: Projection) -> Checkpoint:
    create_checkpoints(connection, [projection])
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{CHECKPOINT_TIMEOUT}s'")
    checkpoint = lock_checkpoint(connection, projection)
    assert checkpoint is not None
    return checkpoint


def _lock_live(connection: Connection, projection: Projection, live: int) -> list[str]:
    """Shut out readers for the rest of the transaction.

    Returns:
        The statements that make the views again.
    """
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(LOCK_TIMEOUT * 1000)}ms'")
    # Views first, as their readers do. LOCK TABLE would lock what else they read, too.
    attached.run(connection, attached.remake_views(connection, live))
    attached.run(connection, [f"LOCK TABLE {projection.name} IN ACCESS EXCLUSIVE MODE"])
    return attached.remake_views(connection, live)


def _exchange(
    connection: Connection,
    projection: Projection,
    live: int,
    *,
    incoming: CopyKind,
    outgoing: CopyKind,
    views: Sequence[str],
) -> None:
    name = f"{incoming.schema}.{projection.name}"
    other = attached.oid_of(connection, name)
    assert other is not None, f"{name} was dropped by another session"
    schema = connection.scalar(
        text("SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = :live"),
        {"live": live},
    )
    attached.give_access(connection, live, other, name)
    attached.run(
        connection,
        [
            f"ALTER TABLE {schema}.{projection.name} SET SCHEMA {outgoing.schema}",
            f"ALTER TABLE {name} SET SCHEMA {schema}",
            *views,
        ],
    )
    # What each table leaves out goes where the table goes.
    dead_letters.hand_over(connection, projection.name, dead_letters.LIVE, outgoing)
    dead_letters.hand_over(connection, projection.name, incoming, dead_letters.LIVE)


def _drop(connection: Connection, projection: Projection, kind: CopyKind) -> None:
    connection.execute(text(f"DROP TABLE IF EXISTS {kind.schema}.{projection.name}"))
    forget_copy(connection, projection.name, kind)


def _holders(engine: Engine, projection: Projection) -> list[str]:
    """Who has the live table now."""
    with engine.connect() as connection:
        return [_who(row) for row in connection.execute(_HOLDERS, {"name": projection.name})]


def _who(row: Row[tuple[object, ...]]) -> str:
    return f"process {row.pid} ({row.usename}, {row.application_name or 'unnamed'})"
