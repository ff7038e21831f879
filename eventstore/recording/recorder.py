"""Recording events on behalf of an author: by the rules, by the fast path, through outages.

One path for everybody: an event is validated, checked against the lifecycle of its entity, and
appended at the version that it was checked at. What the recorder knows of a stream, because it has
written it or because an event begins it, is assumed without asking; a wrong assumption is a
conflict of versions, and then the stream is read. Appends of several threads are sent together.
Rules and spool are options.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from copy import copy
from pathlib import Path
from typing import Self
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.envelope import (
    ANY_VERSION,
    MUST_NOT_EXIST,
    NewEvent,
    Placed,
    Stream,
)
from quantum_forge.eventstore.base.errors import (
    DatabaseUnreachable,
    EventRefused,
    NeedsDatabase,
    VersionConflict,
)
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.availability.outage import AWAY
from quantum_forge.eventstore.log.append import encode_wire
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.calculation import CalculationRecording, Classify
from quantum_forge.eventstore.recording.database_store import DatabaseStore
from quantum_forge.eventstore.recording.decisions import append_decided
from quantum_forge.eventstore.recording.delivery import Delivery
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.eventstore.recording.person import Decide, Permissions, keep_off_accounts
from quantum_forge.eventstore.recording.rules import (
    TRIES,
    append_checked,
    pause_after_conflict,
)
from quantum_forge.eventstore.recording.store import Store
from quantum_forge.eventstore.spool.segment_drain import Drained
from quantum_forge.schema.domains.calculations import CalculationStarted
from quantum_forge.schema.language.event import Event, identity_of
from quantum_forge.schema.language.lifecycle import NEW, rule_of

DEADLINE = 2.0
"""Seconds that the database has to take an append, where there is a spool."""


Mark = Callable[[Sequence[NewEvent]], Sequence[NewEvent]]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was recorded. placed: where it is in the log; None while it is in the spool."""

    entity_id: UUID
    event_id: UUID
    placed: Placed | None


class _Shared:
    """What recorders of one process and several authors have in common."""

    def __init__(self, store: Store, delivery: Delivery | None) -> None:
        self.store = store
        self.delivery = delivery

    def without_spool(self) -> "_Shared":
        """The same for recorders that spool nothing."""
        other = copy(self)
        other.delivery = None
        return other


class Recorder:
    """Makes events of one author and records them, each call as one atomic append.

    Close it, or use it in a `with`; what is in the spool then is anybody's to drain. Threads may
    share it, and do well to.

    Args:
        store: the engine of a database, or what takes appends in its place.
        author: on whose behalf.
        rules: whether the lifecycle of each entity is checked; needs the right to read the log.
            What was spooled is checked when it is drained, and what is refused then is kept beside
            the spool with its reason.
        spool: the directory for what the database does not take now; None: an error says so.
        deadline: seconds that the database has to take an append, where there is a spool.
        on_away: called once when an outage begins, with its reason.
        on_back: called once when it has ended and everything that was spooled is in the log.
    """

    def __init__(
        self,
        store: Engine | Store,
        author: Author,
        *,
        rules: bool = True,
        spool: Path | None = None,
        deadline: float = DEADLINE,
        on_away: Callable[[str], None] = lambda _: None,
        on_back: Callable[[Drained], None] = lambda _: None,
    ) -> None:
        if isinstance(store, Engine):
            store = DatabaseStore(store, author.tenant_id)
        self.author = author
        self._rules = rules
        self._by_action = False
        self._mark: Mark | None = None
        self.new_id: Callable[[], UUID] = uuid7
        delivery = None
        if spool is not None:
            delivery = Delivery(
                spool, deadline, store.append_spooled, on_away=on_away, on_back=on_back
            )
        self._shared = _Shared(store, delivery)

    def acting_as(self, author: Author) -> Self:
        """A recorder of another author of the same tenant, over the same connection and spool.

        Closing either closes what they share.

        Raises:
            ValueError: when the author is of another tenant.
        """
        if author.tenant_id != self.author.tenant_id:
            raise ValueError(f"this recorder acts for tenant {self.author.tenant_id}")
        return self._with(author=author)

    def without_spool(self) -> Self:
        """The same recorder for who must know at once: an outage is an error.

        Closing either closes the connection that they share.
        """
        return self._with(_shared=self._shared.without_spool())

    def without_rules(self) -> Self:
        """The same recorder for who records what happened as it is, lifecycles or not."""
        return self._with(_rules=False)

    def for_action(self) -> Self:
        """The same recorder for an action that has checked whose entities its events are about.

        Only actions on accounts, sessions and keys call this: see `schema.permissions`.
        """
        return self._with(_by_action=True)

    def marking(self, mark: Mark, new_id: Callable[[], UUID]) -> Self:
        """The same recorder for a request that may be repeated: the same ids each time.

        Args:
            mark: called with the events of each append; returns as many, in the same order.
            new_id: of the next entity that begins.
        """
        return self._with(_mark=mark, new_id=new_id)

    @property
    def tenant_id(self) -> UUID:
        """Whose events it records."""
        return self.author.tenant_id

    @property
    def engine(self) -> Engine:
        """The engine of the database.

        Raises:
            NeedsDatabase: when it records over something else.
        """
        return self._database.engine

    @property
    def permissions(self) -> Permissions:
        """What its authors may record; raises as `engine` does."""
        return self._database.permissions

    @property
    def refused(self) -> Exception | None:
        """Why the store lets nobody in, until somebody changes that; what is recorded is spooled.

        None where it answers, or is away for a while.
        """
        return None if self._shared.delivery is None else self._shared.delivery.refused

    def reading(self) -> AbstractContextManager[LogReader]:
        """Return a reader of the log for the length of a `with`."""
        return self._shared.store.reading()

    @property
    def spooled(self) -> int:
        """How many events of this process wait in the spool, as far as is known."""
        return 0 if self._shared.delivery is None else self._shared.delivery.spooled

    def new(
        self, entity_id: UUID, event: Event, *, expected_version: int | None = ANY_VERSION
    ) -> NewEvent:
        """Make an event of this author, now."""
        return self.author.new(entity_id, event, expected_version=expected_version)

    def stream(self, entity_type: str, entity_id: UUID) -> Stream:
        """The history of an entity of the author's tenant."""
        return Stream(self.author.tenant_id, entity_type, entity_id)

    def record(
        self,
        event: Event,
        *,
        of: UUID | None = None,
        expected_version: int | None = ANY_VERSION,
    ) -> Receipt:
        """Record that something happened to an entity; on return it survives a crash.

            project = recorder.record(ProjectCreated(name="Malaria")).entity_id
            recorder.record(ProjectUpdated(name="Malaria 2"), of=project)

        Args:
            event: what happened.
            of: to which entity. Without it, an event that begins an entity begins a new one, or the
                one that its fields identify.
            expected_version: of the stream before, where only that will do.

        Raises:
            EventRefused: when a field does not fit, or no entity is named.
            RuleBroken, VersionConflict and the others: see `record_all`.
        """
        entity_id = self._begun_by(event) if of is None else of
        new = self.new(entity_id, event, expected_version=expected_version)
        (new,) = self._marked([new])
        placed = self._recorded([new])
        return Receipt(
            entity_id=entity_id, event_id=new.event_id, placed=placed[0] if placed else None
        )

    def record_all(self, *events: NewEvent) -> list[Placed] | None:
        """Record events, all or none; on return they survive a crash of this machine.

        A call may be repeated with the same events until it is known to have succeeded.

        Returns:
            Where they are in the log, in the given order; None while they are in the spool.

        Raises:
            EventRefused: when a payload does not fit its type.
            AccessRefused: when the author may not record one of them.
            RuleBroken: when one of them may not happen now; of what is in the spool, the drain
                tells.
            VersionConflict: when a stream is not at the version that an event expects.
            EventIdReused: when an id comes back with other content.
            SpoolUnwritable: when neither the database nor the spool takes them.
            DatabaseUnavailable: when the database is away and there is no spool.
        """
        return self._recorded(self._marked(events)) if events else []

    def _recorded(self, events: Sequence[NewEvent]) -> list[Placed] | None:
        if (delivery := self._shared.delivery) is None:
            return self._append(events, None)
        return delivery.deliver(
            events,
            lambda seconds: self._append(events, seconds),
            lambda: encode_wire(events, rules=self._rules),
        )

    def append_as_is(self, events: Sequence[NewEvent]) -> list[Placed]:
        """Append events whose authors' rights somebody has checked, without rules; commits.

        Raises:
            NeedsDatabase, EventRefused, VersionConflict, EventIdReused: see `record_all`.
        """
        return self._database.appender.append(events)

    def decide(self, decide: Callable[[Connection], Sequence[NewEvent]]) -> list[Placed]:
        """Record, by the rules, what follows from what can be read now: see `append_checked`.

        Nothing is spooled: what cannot be read cannot be decided.
        """
        return append_checked(
            self.engine,
            self._permitted(decide),
            learn=self._database.known.learn,
        )

    def decide_by_log(self, decide: Callable[[LogReader], Sequence[NewEvent]]) -> list[Placed]:
        """Record what follows from what can be read now, over whatever store there is.

        Args:
            decide: reads, writes nothing, and returns the events, which expect the versions of the
                streams that they follow from. It is called again when others wrote to them
                meanwhile.

        Nothing is spooled: what cannot be read cannot be decided.
        """
        attempts = 0
        while True:
            attempts += 1
            with self.reading() as log:
                events = self._marked(decide(log))
            if not events:
                return []
            try:
                return self._append(events, None)
            except VersionConflict:
                if attempts >= TRIES:
                    raise
            pause_after_conflict(attempts)

    def decide_from(
        self, streams: Collection[Stream], decide: Callable[[Connection], Sequence[NewEvent]]
    ) -> list[Placed]:
        """Record, by the rules, what follows from these streams, to which nobody adds meanwhile.

        At most one event goes to each of them: see `append_decided`.
        """
        return append_decided(self.engine, streams, self._permitted(decide))

    def calculation(
        self,
        molecule_id: UUID | None,
        *,
        method: str,
        program: str = "unknown",
        program_version: str = "unknown",
        charge: int | None = None,
        multiplicity: int | None = None,
        solvation_model: str | None = None,
        timeout_seconds: float = 3600.0,
        batch_id: UUID | None = None,
        calculation_id: UUID | None = None,
        expected_version: int | None = MUST_NOT_EXIST,
        attempt: int = 1,
        classify: Classify | None = None,
    ) -> CalculationRecording:
        """Record an attempt at a calculation: begun at the start of a `with`, ended within it.

            with recorder.calculation(molecule_id, method="GFN2-xTB") as calculation:
                calculation.complete(compute())

        A block that raises records a failure, of the type that `classify` says; one that is
        interrupted, or left without an end, records the attempt as lost.

        Args:
            molecule_id: of what is calculated; None where the input is no molecule.
            method: such as GFN2-xTB.
            program: that computes.
            program_version: of it.
            charge: in e.
            multiplicity: 2S + 1.
            solvation_model: such as ALPB(water); None for the gas phase.
            timeout_seconds: in s; after this time anyone may record the attempt as lost.
            batch_id: that it belongs to.
            calculation_id: of an earlier attempt, or a natural id; a new one if None.
            expected_version: of the calculation's stream before this attempt.
            attempt: counts from 1.
            classify: tells what an exception means; without it, that is an unknown error.
        """
        started = CalculationStarted(
            molecule_id=molecule_id,
            batch_id=batch_id,
            attempt=attempt,
            method=method,
            charge=charge,
            multiplicity=multiplicity,
            program=program,
            program_version=program_version,
            timeout_seconds=timeout_seconds,
            solvation_model=solvation_model,
        )
        return CalculationRecording(
            self,
            calculation_id or uuid7(),
            started,
            expected_version=expected_version,
            classify=classify,
        )

    def settle(self) -> None:
        """Bring everything that this process has spooled into the log.

        Raises:
            DatabaseUnreachable: when the database does not take it now; it stays in the spool.
            SpoolUnwritable: when what the database refuses cannot be kept.
        """
        if (delivery := self._shared.delivery) is None:
            return
        try:
            delivery.settle()
        except AWAY as error:
            raise DatabaseUnreachable(
                self._shared.store.where,
                f"the spool has {counted(delivery.spooled, 'event')}: {delivery.reason}",
                "run qforge spool drain when the database is back",
            ) from error

    def close(self) -> None:
        """Close the connection, and let go of this process's segment of the spool.

        Raises:
            SpoolUnwritable: when the segment was deleted, and what is in it cannot be written anew.
        """
        self._shared.store.close()
        if self._shared.delivery is not None:
            self._shared.delivery.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _database(self) -> DatabaseStore:
        store = self._shared.store
        if not isinstance(store, DatabaseStore):
            raise NeedsDatabase("this", store.where)
        return store

    def _marked(self, events: Sequence[NewEvent]) -> Sequence[NewEvent]:
        return events if self._mark is None or not events else self._mark(events)

    def _permitted(self, decide: Decide) -> Decide:
        """The same decision, of what its author may record, as it is to be recorded."""

        def kept_off(connection: Connection) -> Sequence[NewEvent]:
            events = decide(connection)
            keep_off_accounts(self.author, events)
            return events

        permitted = self.permissions.permitted(kept_off, by_action=self._by_action)
        return lambda connection: self._marked(permitted(connection))

    def _begun_by(self, event: Event) -> UUID:
        """The id of the entity that an event begins."""
        if (identity := identity_of(type(event))) is not None:
            return identity(self.author.tenant_id, event)
        rule = rule_of(type(event))
        if rule is not None and NEW not in rule.states:
            raise EventRefused(
                event.event_type,
                f"happens to an existing {event.entity_type}; give its id",
            )
        return self.new_id()

    def _with(self, **changes: object) -> Self:
        other = copy(self)
        other.__dict__.update(changes)
        return other

    def _append(self, events: Sequence[NewEvent], seconds: float | None) -> list[Placed]:
        keep_off_accounts(self.author, events)
        return self._shared.store.append(
            events, rules=self._rules, by_action=self._by_action, seconds=seconds
        )
