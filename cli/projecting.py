"""Read models kept up to date while calculations run."""

import contextlib
import threading
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from quantum_forge.cli.session import tell_trouble
from quantum_forge.cli.show.catching_up import is_projector, note_not_allowed
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability.outage import Patience, passes
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS

PROJECT_EVERY = 5.0
"""Seconds after which others see in the tables what this run has recorded."""

LAST_PATIENCE = 30.0
"""Seconds for which the end of a run waits for a database that refuses to project."""


@contextlib.contextmanager
def kept_current(engine: Engine) -> Iterator[None]:
    """Bring the read models up to date now and then, and at the end, however that comes.

    A read model that cannot follow stops no calculation: the error is raised at the end. Where the
    login may not project, it is left to others, and one line says so.
    """
    if not is_projector(engine):
        yield
        note_not_allowed()
        return
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(PROJECT_EVERY):
            try:
                catch_up(engine, PROJECTIONS.values(), stop=stop)
            except Exception as error:
                # What does not pass by itself, the last attempt of the main thread raises.
                if not (passes(error) or isinstance(error, QuantumForgeError)):
                    return

    thread = threading.Thread(target=follow, name="projector", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        stop.set()
        thread.join()
        with contextlib.suppress(QuantumForgeError, DBAPIError):
            catch_up(engine, PROJECTIONS.values())
        raise
    stop.set()
    thread.join()
    Patience(LAST_PATIENCE, on_trouble=tell_trouble).persist(
        lambda: catch_up(engine, PROJECTIONS.values())
    )
