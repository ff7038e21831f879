"""Sessions that hold the heads of streams for which other appends wait."""

from contextlib import suppress

import sqlalchemy.exc
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.errors import QuantumForgeError, StreamLocked

# Each transaction that appends holds a lock on append_evidence(), and one that is itself waiting
# is not the cause. Whether it holds the very stream is not visible to a login that may only append.
_HOLDER = text("""
    SELECT a.pid, a.usename AS user, a.application_name AS application, a.state,
           a.xact_start AS since
      FROM pg_stat_activity AS a
     WHERE a.pid <> pg_backend_pid()
       AND a.pid IN (SELECT l.pid FROM pg_locks AS l
                      WHERE l.locktype = 'relation' AND l.relation = append_evidence()
                        AND l.database = (SELECT oid FROM pg_database
                                           WHERE datname = current_database()))
       AND a.pid NOT IN (SELECT l.pid FROM pg_locks AS l WHERE NOT l.granted AND l.pid IS NOT NULL)
     ORDER BY a.xact_start, a.pid
     LIMIT 1
""")


def named_holder(engine: Engine) -> StreamLocked | None:
    """Return the error that names the oldest transaction that appends and does not wait.

    None when it has ended, or the database does not show it.
    """
    with (
        suppress(sqlalchemy.exc.SQLAlchemyError, QuantumForgeError),
        engine.connect() as connection,
    ):
        if (row := connection.execute(_HOLDER).one_or_none()) is not None:
            since = (
                "" if row.since is None else f", since {row.since.isoformat(timespec='seconds')}"
            )
            state = "" if row.state is None else f", {row.state}"
            return StreamLocked(
                f"pid {row.pid}, user {row.user}, application {row.application!r}{since}{state}, "
                "which has appended and not committed",
                row.pid,
            )
    return None
