"""Refresh of read models by a login that is about to read them, as far as that is quick."""

import itertools
import threading
import time
from collections.abc import Collection, Iterable
from math import inf

import msgspec
from sqlalchemy import Connection, Engine, func, select, text

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.database.tenancy import sees_every_tenant
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.follow.lag import Lag, read_lags
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import projection_checkpoints, projection_dead_letters

SECONDS = 2.0
"""Seconds after which a refresh stops: at the end of the batch, which takes a second at most."""

MOST_POSITIONS = 100_000
"""Positions of lag above which a refresh is not begun, because it would not end in time."""

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Seconds between two looks at a checkpoint that another process holds."""

NOT_ALLOWED = "your login may not project; a login with the role qforge_projector has to"
"""Why read models stay as they are where `may_project` says no, as the end of a sentence."""

_MAY_WRITE = text("""
    SELECT has_function_privilege('publish_head()', 'EXECUTE')
           AND coalesce(bool_and(has_table_privilege(name, privilege)), true)
      FROM unnest(CAST(:tables AS text[])) AS name
     CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
""")


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a refresh.

    behind: the read models that have yet to fold events which were in the log when it began.
    why: why they are behind and what to do, as the end of a sentence; empty when none is.
    trouble: the error that keeps them from folding, if one does.
    """

    behind: list[Lag]
    why: str = ""
    trouble: QuantumForgeError | None = None


def may_project(connection: Connection, projections: Iterable[Projection]) -> bool:
    """Return whether the login may fold events into these tables, by the catalog of the server.

    A login that row-level security restricts to one tenant may not: it would move the checkpoints
    past the events of the others. On a standby and in a read-only session nobody may.
    """
    if connection.scalar(select(func.current_setting("transaction_read_only"))) == "on":
        return False
    tables = [
        projection_checkpoints.name,
        projection_dead_letters.name,
        *(projection.table.name for projection in projections),
    ]
    return sees_every_tenant(connection) and bool(connection.scalar(_MAY_WRITE, {"tables": tables}))


def refresh(
    engine: Engine, projections: Collection[Projection], *, seconds: float | None = SECONDS
) -> Refreshed:
    """Fold what the log holds now into read models, where the login may do so and it is quick.

    What another process folds at the moment is waited for. Commits.

    Args:
        engine: of the database.
        projections: what is to be read.
        seconds: the time limit; the batch that is being folded then is finished. None: however
            long it takes.
    """
    deadline = inf if seconds is None else time.monotonic() + seconds
    with engine.connect() as connection:
        head = safe_head(connection)
        behind = _behind(connection, projections, head)
        if not behind:
            return Refreshed(behind=[])
        if not may_project(connection, projections):
            return Refreshed(behind=behind, why=_why_not(connection))
    if seconds is not None and max(lag.positions for lag in behind) > MOST_POSITIONS:
        return Refreshed(behind=behind, why="run: qforge project --once")

    # Imported here, for a command that finds everything up to date waits for none of it.
    from quantum_forge.projections.project.projector import Advance, Projector, trouble_of

    stop = threading.Event()

    def advanced(_: Advance) -> None:
        if time.monotonic() >= deadline:
            stop.set()

    names = {lag.projection for lag in behind}
    lagging = [projection for projection in projections if projection.name in names]
    projector = Projector(engine, lagging, on_advance=advanced, stop=stop)
    for looks in itertools.count(1):
        trouble = trouble_of(projector.catch_up())
        with engine.connect() as connection:
            behind = _behind(connection, lagging, head)
        if not behind:
            return Refreshed(behind=[])
        if trouble is not None:
            return Refreshed(behind=behind, why=str(trouble), trouble=trouble)
        if (left := deadline - time.monotonic()) <= 0:
            return Refreshed(behind=behind, why="run: qforge project --once")
        time.sleep(min(left, pause_after(looks, first=FIRST_PAUSE, longest=LONGEST_PAUSE)))
    raise AssertionError("unreachable")


def _behind(connection: Connection, projections: Iterable[Projection], head: int) -> list[Lag]:
    return [lag for lag in read_lags(connection, projections, head) if lag.is_behind]


def _why_not(connection: Connection) -> str:
    if connection.scalar(select(func.pg_is_in_recovery())):
        return "the primary of this standby has to project them"
    return NOT_ALLOWED
