"""Hot standby servers: reading the log, and errors that name the primary.

On the primary the safe head comes from the sequence and from the locks of unfinished appends. A
standby has neither: locks are not replicated, and a sequence is logged up to 32 positions ahead. So
the primary publishes its safe head as the row of `published_head`, and `safe_head()` on a standby
returns that row's position.

Why that is right: `publish_head()` computes the safe head H first, and then writes the row. When H
was computed, every event at or below H was committed or would never exist, so that the commit
record of each lies in the write-ahead log before that of the row. A standby replays and shows
commits in the order of the log. A reader that sees the row therefore sees every event at or below
H, at any point of the replay, and after any crash or promotion. The row is a minute or a second old
when no process publishes; it is never too new. No checkpoint of a projection lies above it, because
projectors publish before they fold.
"""

import psycopg
from sqlalchemy import Connection, Engine, func, select, text

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.base.errors import (
    CancelledByReplay,
    NeedsPrimary,
    NoPublishedHead,
    QuantumForgeError,
)

_PUBLISH = text("SELECT publish_head()")


def publish_head(connection: Connection) -> Position:
    """Return the safe head, and publish it for readers on standby servers.

    Commit at once: other publishers wait for the row meanwhile. Needs `qforge_projector` or
    `qforge_admin`.

    Raises:
        UnsafeIsolation: when the transaction has a stricter isolation level than READ COMMITTED.
        NeedsPrimary: on a standby.
    """
    return Position(connection.execute(_PUBLISH).scalar_one())


def is_standby(connection: Connection) -> bool:
    """Whether the server replays another one's changes and accepts none of its own."""
    return bool(connection.scalar(select(func.pg_is_in_recovery())))


def require_primary(engine: Engine, what: str) -> None:
    """Raise `NeedsPrimary` if the server is a standby.

    Args:
        engine: of the database.
        what: the subject of the error's sentence, such as "qforge run".
    """
    with engine.connect() as connection:
        if is_standby(connection):
            raise NeedsPrimary(what)


def standby_error(error: BaseException | None) -> QuantumForgeError | None:
    """Return the error that says why a standby or a read-only server refused; None for others."""
    if not isinstance(error, psycopg.Error):
        return None
    match error.sqlstate:
        case "QF010":
            return NoPublishedHead()
        case "25006":
            return NeedsPrimary(f"a change ({error.diag.message_primary})")
        case "40001" if error.diag.source_file == "postgres.c":
            # Serialization failures of transactions have the same state, and come from elsewhere.
            return CancelledByReplay()
    return None
