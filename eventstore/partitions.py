"""The partitions of the log: which there are, and making them ahead of need."""

import msgspec
from sqlalchemy import Connection, Engine, text


class Partition(msgspec.Struct, frozen=True):
    """A partition with its first and last position; both None for the default one.

    The default partition takes what no other does, so that running out of them refuses nothing.
    rows: as last estimated by the server. bytes: with indexes.
    """

    name: str
    first_position: int | None
    last_position: int | None
    rows: int
    bytes: int


_PARTITIONS = text(
    "SELECT name, first_position, last_position, rows, bytes FROM event_partitions()"
)
_MAINTAIN = text("SELECT maintain_event_partitions()")


def list_partitions(connection: Connection) -> list[Partition]:
    """Every partition, in order of position, the default one last."""
    return [Partition(*row) for row in connection.execute(_PARTITIONS)]


def make_partitions(engine: Engine) -> list[str]:
    """Make what is missing of the partitions ahead of the log's end, and return their names.

    Writers are not held up. Cheap when nothing is missing; done by every projector on its way.
    """
    with engine.begin() as connection:
        return list(connection.execute(_MAINTAIN).scalars())
