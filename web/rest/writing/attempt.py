"""Recording of what a request changes: one append, all or none, or a try that is rolled back."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, Placed
from quantum_forge.eventstore.base.errors import RuleBroken
from quantum_forge.eventstore.recording.lifecycle_check import checked
from quantum_forge.eventstore.recording.rules import append_in_chunks
from quantum_forge.schema.language.lifecycle import NEW
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.preferences import Transaction
from quantum_forge.web.rest.writing.asked import Asked
from quantum_forge.web.rest.writing.changes import Begun, key_of_begun
from quantum_forge.web.rest.writing.rows import NOW, Key, Represented


class Change(Struct, frozen=True, kw_only=True):
    """A row that a request affects.

    events: that change it; none where it is so already. begun: what an insert begins.
    key: of the row; of an inserted one it follows from `begun`, and may be a position.
    """

    events: tuple[NewEvent, ...] = ()
    begun: Begun | None = None
    key: Key | None = None


class Recorded(Struct, frozen=True, kw_only=True):
    """Changes that were recorded, the keys of their rows, and these as the reply has them.

    inserts: whether one of them is a new row.
    """

    changes: Sequence[Change]
    keys: Sequence[Key]
    represented: Represented | None
    inserts: bool


Decide = Callable[[Connection], Sequence[Change]]
"""Reads what it needs over a connection, and returns the changes."""


def record_changes(
    asked: Asked,
    decide: Decide,
    *,
    is_before: bool = False,
    at_once: Sequence[Change] | None = None,
) -> Recorded:
    """Record what is decided, all or none, and read the rows as they are then.

    Args:
        asked: what is asked for.
        decide: called again when others wrote to the same streams meanwhile.
        is_before: whether the rows are wanted as they were before.
        at_once: what is decided, where nothing has to be read for it.

    Raises:
        RestError, QuantumForgeError: when one of the changes may not happen.
    """
    rolls_back = asked.preferences.tx is Transaction.ROLLBACK
    attempts = 2
    while True:
        attempts -= 1
        if (known := _known(asked, is_before=is_before)) is not None:
            return known
        one = _Attempt(asked, decide, is_before=is_before)
        try:
            return one.tried() if rolls_back else one.recorded(at_once)
        except RuleBroken as broken:
            # A row may have ended between the moment that it was found and that it changed, or
            # another repetition of the request was faster.
            if attempts == 0 or (one.inserts and asked.repetition is None):
                raise one.explained(broken) from broken


def _known(asked: Asked, *, is_before: bool) -> Recorded | None:
    """What was recorded when the request was sent before; None: nothing."""
    if asked.repetition is None:
        return None
    with asked.recorder.engine.connect() as connection, connection.begin():
        asked.prepare(connection)
        found = asked.repetition.found(connection)
        if found is None:
            return None
        told, position = found
        asked.repetition.complete(connection, told.keys)
        represented = asked.represented(connection, told.keys, position - 1 if is_before else NOW)
    changes = [Change(key=key) for key in told.keys]
    return Recorded(changes=changes, keys=told.keys, represented=represented, inserts=told.inserts)


class _Attempt:
    """One attempt to record what a request changes."""

    def __init__(self, asked: Asked, decide: Decide, *, is_before: bool) -> None:
        self._asked = asked
        self._decide = decide
        self._is_before = is_before
        self._changes: Sequence[Change] = ()
        self._before: Represented | None = None
        self.inserts = False

    def recorded(self, at_once: Sequence[Change] | None) -> Recorded:
        """Commit what is decided."""
        asked = self._asked
        if at_once is None:
            placed = asked.recorder.decide(self._events)
        else:
            self._take(at_once)
            found = asked.recorder.record_all(*self._all())
            assert found is not None, "there is no spool"
            placed = found
        keys = self._keys(placed)
        if self._is_before or not asked.wants_rows:
            return self._made(keys, self._before)
        with asked.recorder.engine.connect() as connection, connection.begin():
            asked.prepare(connection)
            return self._made(keys, self._after(connection, keys, placed))

    def tried(self) -> Recorded:
        """Record what is decided, read the rows, and roll all of it back."""
        recorder = self._asked.recorder
        decide = recorder.permissions.permitted(self._events)
        with recorder.engine.connect() as connection, connection.begin() as transaction:
            events, _ = checked(connection, decide(connection))
            placed = append_in_chunks(connection, events) if events else []
            keys = self._keys(placed)
            after = self._before if self._is_before else self._after(connection, keys, placed)
            transaction.rollback()
        return self._made(keys, after)

    def explained(self, broken: RuleBroken) -> Exception:
        """Return the error of PostgreSQL that a broken rule is like, or the error itself."""
        table = self._asked.table.name
        own = {str(event.stream) for change in self._changes for event in change.events}
        if broken.entity not in own or (broken.state == NEW and self.inserts):
            return RestError(
                409,
                "23503",
                f'insert or update on table "{table}" violates foreign key constraint',
                details=str(broken),
            )
        if self.inserts:
            return RestError(
                409,
                "23505",
                f'duplicate key value violates unique constraint "{table}_pkey"',
                details=str(broken),
                hint="Send Prefer: resolution=merge-duplicates or ignore-duplicates.",
            )
        return broken

    def _events(self, connection: Connection) -> list[NewEvent]:
        self._asked.prepare(connection)
        self._take(self._decide(connection))
        if self._is_before:
            keys = [change.key for change in self._changes if change.key is not None]
            self._before = self._asked.represented(connection, keys, NOW)
        events = self._all()
        if self._asked.repetition is None or not events:
            return events
        plain: list[dict[str, Any]] = [msgspec.to_builtins(key) for key in self._keys(())]
        return self._asked.repetition.marked(events, plain, inserts=self.inserts)

    def _take(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self.inserts = any(change.begun is not None for change in changes)

    def _all(self) -> list[NewEvent]:
        return [event for change in self._changes for event in change.events]

    def _keys(self, placed: Sequence[Placed]) -> list[Key]:
        keys: list[Key] = []
        place = 0
        for change in self._changes:
            if change.begun is not None:
                position = placed[place].position if placed else None
                keys.append(key_of_begun(self._asked.writing, change.begun, position))
            elif change.key is not None:
                keys.append(change.key)
            place += len(change.events)
        return keys

    def _after(
        self, connection: Connection, keys: Sequence[Key], placed: Sequence[Placed]
    ) -> Represented | None:
        # A row that is so already may be newer than what was appended.
        whole = all(change.events for change in self._changes)
        position = max((each.position for each in placed), default=NOW) if whole else NOW
        return self._asked.represented(connection, keys, position)

    def _made(self, keys: Sequence[Key], represented: Represented | None) -> Recorded:
        return Recorded(
            changes=self._changes, keys=keys, represented=represented, inserts=self.inserts
        )
