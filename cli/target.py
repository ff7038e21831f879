"""Where a run reads and records: the database of this installation, or a store by HTTPS."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Engine, select

from quantum_forge.cli.parse.named import named_project
from quantum_forge.cli.projecting import kept_current
from quantum_forge.cli.served import opened
from quantum_forge.cli.session import open_forge
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.eventstore.recording.database_store import DatabaseStore
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.eventstore.recording.recorder import DEADLINE
from quantum_forge.eventstore.recording.store import Store
from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.eventstore.spool.segment_drain import Drained, Report
from quantum_forge.projections.queries.batches import select_batches
from quantum_forge.projections.queries.rows import rows
from quantum_forge.schema.domains.users import user_preferences


class Target(Protocol):
    """What commands that compute need to know of where they record.

    deadline: seconds that it has to take an append, before that goes to the spool.
    """

    tenant_id: UUID
    user_id: UUID | None
    spool: Path
    deadline: float

    @property
    def store(self) -> Engine | Store:
        """What a recorder takes."""

    def reading(self) -> AbstractContextManager[LogReader]:
        """Return a reader of the log for the length of a `with`."""

    def project(self, given: str | None) -> UUID | None:
        """Return the project that is meant; None where none is named."""

    def preferences(self) -> Mapping[str, Any] | None:
        """Return the row of `user_preferences` of who acts."""

    def batches(self, name: str) -> Sequence[dict[str, Any]]:
        """Return the batches of this name, the newest first."""

    def drain(self, *, report: Report = lambda _, __: None, past_damage: bool = False) -> Drained:
        """Bring what earlier commands left in the spool into the log."""

    def kept_current(self) -> AbstractContextManager[None]:
        """Keep the read models up to date for the length of a `with`, if that is our work."""


class OverDatabase:
    """The database of the settings.

    Args:
        engine: of it.
        settings: of the command.
        user_id: who acts.
    """

    def __init__(self, engine: Engine, settings: Settings, user_id: UUID | None) -> None:
        self.tenant_id = settings.tenant_id
        self.user_id = user_id
        self.spool = spool_directory(settings.home)
        self.deadline = DEADLINE
        # A look-up that gets no answer must not hold the results up for ever.
        self._engine = followed(engine, settings.deadline)

    @property
    def store(self) -> Engine:
        """See `Target`."""
        return self._engine

    def reading(self) -> AbstractContextManager[LogReader]:
        """See `Target`."""
        return DatabaseStore(self._engine, self.tenant_id).reading()

    def project(self, given: str | None) -> UUID | None:
        """See `Target`; by name, id, or a prefix of it."""
        with self._engine.connect() as connection:
            return named_project(connection, self.tenant_id, given)

    def preferences(self) -> Mapping[str, Any] | None:
        """See `Target`."""
        c = user_preferences.c
        query = select(c.default_method, c.default_solvation).where(
            c.tenant_id == self.tenant_id, c.user_id == self.user_id
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else dict(row)

    def batches(self, name: str) -> Sequence[dict[str, Any]]:
        """See `Target`."""
        with self._engine.connect() as connection:
            return rows(connection, select_batches(self.tenant_id, name=name))

    def drain(self, *, report: Report = lambda _, __: None, past_damage: bool = False) -> Drained:
        """See `Target`."""
        return drain(self.spool, self._engine, report=report, past_damage=past_damage)

    def kept_current(self) -> AbstractContextManager[None]:
        """See `Target`."""
        return kept_current(self._engine)


@contextlib.contextmanager
def open_target(
    settings: Settings,
    store: str | None,
    *,
    writes: bool,
    follows: bool = False,
    reads: Collection[str] = (),
    needs: Collection[str] = (),
) -> Iterator[Target]:
    """Open where a command records: the store that is named, or the database.

    Args:
        settings: of the command.
        store: the address that was given; None: that of the settings, or the database.
        writes: see `open_forge`; so are the others.
        follows: see `open_forge`.
        reads: see `open_forge`.
        needs: see `open_forge`.
    """
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(opened(settings, store))
        if served is not None:
            yield served
            return
        forge = stack.enter_context(
            open_forge(settings, writes=writes, follows=follows, reads=reads, needs=needs)
        )
        yield OverDatabase(forge.engine, settings, forge.author.user_id)
