"""Partitions of the log: list them, and make them ahead of need."""

import msgspec
import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import QuantumForgeError


class Partition(msgspec.Struct, frozen=True):
    """A partition with its first and last position; both None for the default one.

    The default partition takes what no other does, so that running out of them refuses nothing.
    rows: as last estimated by the server. bytes: with indexes. Both None for a login of one tenant.
    """

    name: str
    first_position: int | None
    last_position: int | None
    rows: int | None
    bytes: int | None


class PartitionsBusy(QuantumForgeError):
    """The log was in use for longer than making partitions waits; nothing was changed."""

    may_pass = True

    def __init__(self) -> None:
        super().__init__(
            "no partition was created: a long transaction, such as a backup or a report, has the "
            "log open, or another process creates partitions; run qforge db maintain when it has "
            "ended"
        )


class DefaultPartitionLarge(QuantumForgeError):
    """Events are in the default partition, and reading them would block appends for a while."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"no partition was created: {reason}; nothing is lost or refused meanwhile. When "
            "nobody appends, run: qforge db maintain --scan"
        )


_PARTITIONS = text(
    "SELECT name, first_position, last_position,"
    " CASE WHEN counted.reltuples >= 0 THEN rows END AS rows, bytes"
    " FROM event_partitions() LEFT JOIN pg_class AS counted"
    " ON counted.oid = to_regclass(quote_ident(name)) ORDER BY first_position NULLS LAST"
)
_MAINTAIN = text("SELECT maintain_event_partitions()")
_SCAN = text("SELECT set_config('qforge.scan_default_partition', :scan, false)")


def list_partitions(connection: Connection) -> list[Partition]:
    """Every partition, in order of position, the default one last."""
    return [Partition(*row) for row in connection.execute(_PARTITIONS)]


def left_ahead(connection: Connection) -> int:
    """Positions after the last one for which there are partitions."""
    query = text(
        "SELECT coalesce(max(last_position), 0) - last_assigned_position() FROM event_partitions()"
    )
    return max(0, int(connection.execute(query).scalar_one()))


def make_partitions(engine: Engine, *, scan: bool = False) -> list[str]:
    """Make what is missing of the partitions ahead of the log's end, and return their names.

    Appends and readers wait for it for 0.05 s at most: the server gives up when the log is in use.
    Cheap when nothing is missing; done by every projector on its way.

    Args:
        engine: of the database.
        scan: whether to go on where many events are in the default partition, which nobody can
            append to or read from while it is read.

    Raises:
        PartitionsBusy: when another transaction has the log open; try again.
        DefaultPartitionLarge: unless `scan`.
    """
    # The server commits by itself: a client that dies in between leaves no lock.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            if not scan:
                return list(connection.execute(_MAINTAIN).scalars())
            connection.detach()  # the setting is the session's
            connection.execute(_SCAN, {"scan": "on"})
            return list(connection.execute(_MAINTAIN).scalars())
        except DBAPIError as error:
            match error.orig:
                case psycopg.errors.LockNotAvailable():
                    raise PartitionsBusy from error
                case psycopg.Error(sqlstate="QF011", diag=diag):
                    raise DefaultPartitionLarge(diag.message_primary or "it is large") from error
            raise
