"""Reading one's own writes: wait until a projection has folded what was just appended."""

import itertools
import time

from sqlalchemy import Engine

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability.outage import Patience, pause_after
from quantum_forge.projections.project.checkpoint import fingerprint, read_checkpoints
from quantum_forge.projections.project.projector import RebuildNeeded
from quantum_forge.schema.language.projection import Projection

TIMEOUT = 10.0

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.05
"""Seconds between two looks at the checkpoint."""


class ProjectionBehind(QuantumForgeError):
    """A projection did not reach a position in time; `reached` is where it was."""

    def __init__(self, projection: str, position: int, reached: int, timeout: float) -> None:
        self.projection = projection
        self.position = position
        self.reached = reached
        self.timeout = timeout
        super().__init__(
            f"{projection} is {position - reached} positions behind: it did not advance from "
            f"{reached} to {position} within {timeout:g} s; is `qforge project` running? see "
            "`qforge status`"
        )


def wait_for(
    engine: Engine, projection: Projection, position: int, *, timeout: float = TIMEOUT
) -> None:
    """Return as soon as everything up to a position, such as that of an append, is in the table.

    Folds nothing itself. Holds no transaction while it waits.

    Args:
        engine: of the database.
        projection: whose table will be read.
        position: of the last event that must be seen.
        timeout: seconds.

    Raises:
        ProjectionBehind: when it takes longer.
        RebuildNeeded: when the definition has changed, so that waiting would be in vain.
        DatabaseUnavailable, DBAPIError: when the database does not answer for as long.
    """
    deadline = time.monotonic() + timeout
    patience = Patience(timeout)
    patience.persist(lambda: _wait_until(engine, projection, position, deadline, timeout))


def _wait_until(
    engine: Engine, projection: Projection, position: int, deadline: float, timeout: float
) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for looks in itertools.count(1):
            checkpoint = read_checkpoints(connection).get(projection.name)
            reached = 0
            if checkpoint is not None:
                if checkpoint.fingerprint != fingerprint(projection):
                    raise RebuildNeeded([projection.name])
                reached = checkpoint.position
            if reached >= position:
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise ProjectionBehind(projection.name, position, reached, timeout)
            pause = pause_after(looks, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
            time.sleep(min(pause, left))
