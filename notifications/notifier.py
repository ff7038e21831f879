"""The notifier: follows the log, gathers what people asked to be told of, and has it sent.

Where it has come to is an event of its own, `notifications_planned`, in the same append as the
messages that it queues: an event of the log is planned once, whenever the notifier is killed.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.envelope import (
    MUST_NOT_EXIST,
    NewEvent,
    RecordedEvent,
)
from quantum_forge.eventstore.base.errors import QuantumForgeError, RuleBroken, VersionConflict
from quantum_forge.eventstore.database.availability.clock import server_time
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.availability.outage import Patience, Trouble
from quantum_forge.eventstore.database.engine import is_direct
from quantum_forge.eventstore.log.read import Filter, last_events, read_all, safe_head
from quantum_forge.eventstore.log.wakeups import Wakeups, listening_connection
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.notifications.gatherings import Gatherings, Open
from quantum_forge.notifications.matters import KINDS, Subjects, kind_of, line_of, molecule_names
from quantum_forge.notifications.outbox import Outbox, Sent
from quantum_forge.notifications.recipients import Recipient, read_recipients
from quantum_forge.notifications.settings import NotifySettings
from quantum_forge.projections.follow.refresh import refresh
from quantum_forge.projections.queries.regressions import DAYS_BEFORE, Slowdown, find_slowdowns
from quantum_forge.projections.registry import named
from quantum_forge.schema.domains.notifications import (
    NotificationChannel,
    NotificationKind,
    NotificationQueued,
    NotificationsPlanned,
    notification_id,
    notifier_id,
)
from quantum_forge.schema.domains.telemetry import PerformanceRegressionFound
from quantum_forge.schema.language.event import identity_of

CHUNK = 500
"""Events that are looked at together."""

REMEMBERED_AFTER = 10_000
"""Events after which the log remembers the position although there is nothing to send."""

_READ = ("users", "user_preferences")

_HOLD = text("SELECT pg_try_advisory_lock(hashtext('notifier'), hashtext(:tenant))")


class NotifierRuns(QuantumForgeError):
    """Another process notifies the users of the tenant."""

    may_pass = True

    def __init__(self) -> None:
        super().__init__(
            "another qforge notify runs for this tenant: let it, or stop it before this one"
        )


class HasBegun(QuantumForgeError):
    """A notifier that has a position already is told where to begin."""

    exit_status = 2

    def __init__(self, position: int) -> None:
        super().__init__(
            f"notifications have been sent up to position {position} of the log: leave out --since,"
            " which is for the first run"
        )


class Notifier:
    """Notifies the users of a tenant; one process of a tenant at a time.

    Args:
        engine: of the database.
        author: on whose behalf what is sent is recorded.
        settings: of the mail server, webhooks, and joining.
        encryption: of the webhooks' URLs; None: there is no key.
        begin: the position to begin after, at the first run; None: the end of the log.
        on_sent: called after each attempt to send a message.
    """

    def __init__(
        self,
        engine: Engine,
        author: Author,
        settings: NotifySettings,
        encryption: Encryption | None,
        *,
        begin: int | None = None,
        on_sent: Callable[[Sent], None] = lambda _: None,
    ) -> None:
        self._engine = followed(engine)
        self._recorder = Recorder(engine, author)
        self._tenant_id = author.tenant_id
        self._settings = settings
        self._begin = begin
        self._outbox = Outbox(self._recorder, settings, encryption, on_sent)
        self._subjects = Subjects(author.tenant_id)
        self._gatherings = Gatherings()
        self._version: int | None = None
        self._position = 0
        self._found = 0
        self._checked: str | None = None

    def follow(self, stop: threading.Event, *, on_trouble: Trouble = lambda _: None) -> None:
        """Notify until `stop` is set, through outages of the database."""
        waiting = Patience(None, stop=stop.is_set, on_trouble=on_trouble)
        while not stop.is_set():
            try:
                with listening_connection(self._engine) as connection:
                    self._hold(connection)
                    self._load(connection)
                    wakeups = Wakeups(connection, stop, listen=True)
                    while not stop.is_set():
                        found = self._pass(connection, at_once=False, stop=stop.is_set)
                        waiting.over()
                        wakeups.wait(found=found)
            except Exception as error:
                waiting.wait(error)

    def once(self) -> None:
        """Notify of what is in the log, and try once to send what is queued.

        Raises:
            NotifierRuns: when another process notifies.
            HasBegun: when it is told where to begin, and has begun.
        """
        with listening_connection(self._engine) as connection:
            self._hold(connection)
            self._load(connection)
            self._pass(connection, at_once=True, stop=lambda: False)

    def look(self) -> list[NotificationQueued]:
        """Return what a run would send now; nothing is sent or recorded."""
        with listening_connection(self._engine) as connection:
            self._load(connection, may_record=False)
            now = self._read(connection)
            due = self._gatherings.due(now, 0)
            planned = self._messages(due, now, read_recipients(connection, self._tenant_id))
            return [*self._outbox.waiting(), *(each for each, _ in planned)]

    def close(self) -> None:
        """Close the connection that records."""
        self._recorder.close()

    def _hold(self, connection: Connection) -> None:
        """Keep other notifiers of the tenant from sending the same, as long as the connection is.

        Behind a pooler the lock would be held by whoever gets the server's session next.
        """
        if is_direct(connection) and not connection.scalar(_HOLD, {"tenant": str(self._tenant_id)}):
            raise NotifierRuns

    def _load(self, connection: Connection, *, may_record: bool = True) -> None:
        """Read from the log how far it was read, what waits, and what is queued."""
        refresh(self._engine, named(_READ))
        now = server_time(connection)
        id_ = notifier_id(self._tenant_id)
        last = last_events(connection, self._tenant_id, "notifier", [id_]).get(id_)
        self._found = 0
        if last is None:
            begin = safe_head(connection) if self._begin is None else self._begin
            self._version, self._position, self._gatherings = 0, begin, Gatherings()
            self._checked = _yesterday(now)
            if may_record:
                self._plan([], now)
        else:
            if self._begin is not None and self._version is None:
                raise HasBegun(last.data["position"])
            planned = last.event
            assert isinstance(planned, NotificationsPlanned)
            self._version, self._position = last.version, planned.position
            self._gatherings = Gatherings(planned.gatherings)
            self._checked = planned.performance_checked
        self._outbox.load(connection, now)

    def _pass(self, connection: Connection, *, at_once: bool, stop: Callable[[], bool]) -> bool:
        """Look once; `at_once`: gather no longer. Return whether there was something to do."""
        self._check_performance(connection)
        now = self._read(connection)
        due = self._gatherings.due(now, 0 if at_once else self._settings.join_seconds)
        if due or self._found >= (1 if at_once else REMEMBERED_AFTER):
            try:
                self._plan(due, now, read_recipients(connection, self._tenant_id))
            except VersionConflict:
                self._load(connection)  # another process has planned it
        if not self._outbox.is_due(now):
            return bool(due)
        refresh(self._engine, named(_READ))
        return self._outbox.deliver(connection, now, stop) > 0 or bool(due)

    def _read(self, connection: Connection) -> datetime:
        """Gather what was appended since; return the server's time."""
        head = safe_head(connection)
        now = server_time(connection)
        if head <= self._position:
            return now
        where = Filter(types=list(KINDS), tenant_id=self._tenant_id)
        recipients: dict[UUID, Recipient] | None = None
        for chunk in _chunks(read_all(connection, after=self._position, upto=head, where=where)):
            if recipients is None:
                refresh(self._engine, named(_READ))
                recipients = read_recipients(connection, self._tenant_id)
            self._gather(connection, chunk, recipients)
            self._found += len(chunk)
        self._position = head
        return now

    def _gather(
        self,
        connection: Connection,
        events: list[RecordedEvent],
        recipients: dict[UUID, Recipient],
    ) -> None:
        self._subjects.look_up(connection, events)
        wanted: list[tuple[RecordedEvent, Open]] = []
        for event in events:
            if (kind := kind_of(event)) is None:
                continue
            user_id = self._subjects.of(event).user_id
            if kind is NotificationKind.REGRESSION:
                concerned = list(recipients.values())
            else:
                concerned = [recipients[user_id]] if user_id in recipients else []
            wanted += [
                (event, self._gatherings.of(each.user_id, kind))
                for each in concerned
                if kind in each.kinds
            ]
        names = molecule_names(connection, [event for event, _ in wanted[:CHUNK]])
        for event, open_ in wanted:
            subject = self._subjects.of(event)
            line = line_of(event, subject, names) if open_.wants_a_line else None
            open_.add(event, subject, line)

    def _messages(
        self, due: Iterable[Open], now: datetime, recipients: dict[UUID, Recipient]
    ) -> list[tuple[NotificationQueued, NewEvent]]:
        """What is to be queued: a message for each channel that is open now."""
        found = []
        for each in due:
            matter = each.take(now, self._settings.join_seconds)
            recipient = recipients.get(each.user_id)
            if recipient is None:
                continue  # they closed their channels meanwhile
            for channel in sorted(recipient.channels):
                if channel is NotificationChannel.EMAIL and self._settings.mail is None:
                    continue
                queued = NotificationQueued(
                    user_id=each.user_id,
                    channel=channel,
                    kind=each.kind,
                    event_count=matter.event_count,
                    matter=matter,
                )
                id_ = notification_id(
                    self._tenant_id, matter.first_event_id, each.user_id, channel, each.kind
                )
                author = self._recorder.author.because_of(matter.first_event_id)
                found.append((queued, author.new(id_, queued)))
        return found

    def _plan(
        self, due: Iterable[Open], now: datetime, recipients: dict[UUID, Recipient] | None = None
    ) -> None:
        """Record what is to be sent, and how far the log was read, in one append."""
        messages = self._messages(due, now, recipients or {})
        planned = NotificationsPlanned(
            position=self._position,
            gatherings=self._gatherings.kept(now),
            performance_checked=self._checked,
        )
        id_ = notifier_id(self._tenant_id)
        self._recorder.record_all(
            *(event for _, event in messages),
            self._recorder.new(id_, planned, expected_version=self._version),
        )
        self._version = (self._version or 0) + 1
        self._found = 0
        for queued, event in messages:
            self._outbox.queue(event.entity_id, queued, now)

    def _check_performance(self, connection: Connection) -> None:
        """Once a day, compare the wall times of the day before, if somebody wants to know."""
        now = datetime.now(UTC)
        day = _yesterday(now)
        if self._checked is not None and self._checked >= day:
            return
        wanted = read_recipients(connection, self._tenant_id).values()
        if any(NotificationKind.REGRESSION in each.kinds for each in wanted):
            refresh(self._engine, named(["calculations", "molecules"]))
            for found in find_slowdowns(connection, self._tenant_id, date.fromisoformat(day)):
                self._record_slowdown(found)
        self._checked = day
        self._found += 1

    def _record_slowdown(self, found: Slowdown) -> None:
        event = PerformanceRegressionFound(
            day=found.day.isoformat(),
            kind=found.kind,
            count=found.count,
            average=found.average,
            count_before=found.count_before,
            average_before=found.average_before,
            days_before=DAYS_BEFORE,
            versions=found.versions,
            versions_before=found.versions_before,
        )
        identity = identity_of(PerformanceRegressionFound)
        assert identity is not None
        id_ = identity(self._tenant_id, event)
        with contextlib.suppress(VersionConflict, RuleBroken):  # found before a crash
            self._recorder.record(event, of=id_, expected_version=MUST_NOT_EXIST)


def _yesterday(now: datetime) -> str:
    return (now.astimezone(UTC).date() - timedelta(days=1)).isoformat()


def _chunks(events: Iterable[RecordedEvent]) -> Iterable[list[RecordedEvent]]:
    chunk: list[RecordedEvent] = []
    for event in events:
        chunk.append(event)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
