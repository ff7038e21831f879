"""Projectors inside another program: a thread that keeps read models up to date while it lives."""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.project.projector import Advance
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.projection import Projection


class BackgroundProjector:
    """Follows the log in a thread, from the beginning of a `with` to its end.

    Any number of them, in any number of processes, share the work. The thread survives outages of
    the database; what else ends it is raised by `check`, and at the end of the `with`.

    Args:
        engine: of the database; the thread uses two connections of its pool.
        projections: what to keep up to date; every registered projection unless given.
        on_advance, on_trouble: called from the thread; see
        `quantum_forge.projections.follow.following.follow`.
        auto_rebuild: fill the tables of changed definitions anew.

    Attributes:
        trouble: what is in the way at the moment, such as an outage or a definition that has
            changed; None while all goes well.
    """

    def __init__(
        self,
        engine: Engine,
        projections: Iterable[Projection] | None = None,
        *,
        on_advance: Callable[[Advance], None] = lambda _: None,
        on_trouble: Callable[[Exception | None], object] = lambda _: None,
        auto_rebuild: bool = False,
    ) -> None:
        self.trouble: Exception | None = None
        self._engine = engine
        self._projections = list(PROJECTIONS.values() if projections is None else projections)
        self._on_advance = on_advance
        self._on_trouble = on_trouble
        self._auto_rebuild = auto_rebuild
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive; in a forked child it is not."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.is_running:
            return
        self._stop.clear()
        self._error = None
        # Where the program ends without a word, a transaction in flight is rolled back.
        self._thread = threading.Thread(target=self._run, name="qforge-projector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its present batch; raises what had ended it before."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise what has ended the thread, if something has."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except Exception:
            if error is None:
                raise

    def _run(self) -> None:
        try:
            follow(
                self._engine,
                self._projections,
                self._stop,
                on_advance=self._on_advance,
                on_trouble=self._tell,
                auto_rebuild=self._auto_rebuild,
            )
        except Exception as error:
            self._error = self.trouble = error

    def _tell(self, trouble: Exception | None) -> None:
        self.trouble = trouble
        self._on_trouble(trouble)
