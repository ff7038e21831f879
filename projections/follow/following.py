"""Follows the log for as long as it may: woken by appends, through outages and rebuilds."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import Engine

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability.deadline import followed, unlimited
from quantum_forge.eventstore.database.availability.outage import (
    LONGEST_PAUSE,
    Trouble,
    passes,
    pause_after,
)
from quantum_forge.eventstore.log.wakeups import Wakeups, listening_connection
from quantum_forge.projections.project.projector import Advance, Projector, trouble_of
from quantum_forge.projections.rebuild import RebuildRunning, RebuildStopped, rebuild
from quantum_forge.schema.language.projection import Projection


def follow(
    engine: Engine,
    projections: Iterable[Projection],
    stop: threading.Event,
    *,
    on_advance: Callable[[Advance], None] = lambda _: None,
    on_trouble: Trouble = lambda _: None,
    auto_rebuild: bool = False,
    listen: bool = True,
) -> None:
    """Keep the projections up to date until `stop` is set; the current batch is finished first.

    Wakes up when a process announces what it appended, and looks every quarter of a second
    besides. What can pass does not end it (eventstore/database/availability/outage.py): while the
    database is away, or refuses for a while, it tries again and again, and a projection that
    cannot go on waits while the others do. A server that falls silent is noticed
    (`quantum_forge.eventstore.database.availability.deadline`).

    Args:
        engine: of the database; one more connection listens.
        projections: what to keep up to date.
        stop: ends it, within 50 ms while it waits.
        on_advance: called after each commit.
        on_trouble: called when something is in the way: the database is away, the definition of
            projections has changed, the database refuses to fold.
        auto_rebuild: fill the tables of changed definitions anew, online, while the others go on.
        listen: for announcements; otherwise it polls.
    """
    projections = list(projections)
    engine = followed(engine)
    troubles = _Troubles(on_trouble)
    projector = Projector(engine, projections, on_advance=on_advance, stop=stop)
    with _rebuilding(unlimited(engine), projections, stop, troubles) as renew:
        attempts = 0
        while not stop.is_set():
            try:
                with listening_connection(engine) as connection:
                    wakeups = Wakeups(connection, stop, listen=listen)
                    while not stop.is_set():
                        done = projector.catch_up()
                        attempts = 0
                        troubles.tell("pass", trouble_of(done))
                        if auto_rebuild and done.stale:
                            renew(done.stale)
                        wakeups.wait(found=bool(done.folded))
            except Exception as error:
                if not passes(error):
                    raise
                troubles.tell("pass", error)
                attempts += 1
                stop.wait(pause_after(attempts))


class _Troubles:
    """Passes troubles on, each once, until something else or nothing is in the way."""

    def __init__(self, on_trouble: Trouble) -> None:
        self._on_trouble = on_trouble
        self._last: dict[str, str] = {}

    def tell(self, source: str, error: Exception | None) -> None:
        before = self._last.get(source, "")
        now = "" if error is None else str(error)
        if now == before:
            return
        self._last[source] = now
        if error is not None or not any(self._last.values()):
            self._on_trouble(error)


@contextmanager
def _rebuilding(
    engine: Engine,
    projections: Iterable[Projection],
    stop: threading.Event,
    troubles: _Troubles,
) -> Iterator[Callable[[list[str]], None]]:
    """A function that has projections rebuilt, one after the other, while its caller goes on."""
    by_name = {projection.name: projection for projection in projections}
    running: dict[str, Future[None]] = {}

    def one(projection: Projection) -> None:
        try:
            rebuild(engine, projection, stop=stop)
        except (RebuildRunning, RebuildStopped):
            return  # somebody does it; or the next one goes on with it
        except Exception as error:
            if passes(error):
                stop.wait(LONGEST_PAUSE)  # then the next pass asks for it again
                return
            if not isinstance(error, QuantumForgeError):
                raise
            troubles.tell(f"rebuild of {projection.name}", error)
            stop.wait(LONGEST_PAUSE)
        else:
            troubles.tell(f"rebuild of {projection.name}", None)

    with ThreadPoolExecutor(1, thread_name_prefix="qforge-rebuild") as worker:

        def renew(names: list[str]) -> None:
            for name in names:
                if (before := running.get(name)) is not None:
                    if not before.done():
                        continue
                    before.result()
                running[name] = worker.submit(one, by_name[name])

        yield renew
