"""Messages that are queued and not yet delivered, and how each is sent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.errors import RuleBroken, Undecryptable, VersionConflict
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.log.read import Filter, read_all
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.notifications import mail, webhook
from quantum_forge.notifications.attempt import NotSent
from quantum_forge.notifications.messages import render
from quantum_forge.notifications.recipients import Recipient, read_recipients
from quantum_forge.notifications.settings import NotifySettings
from quantum_forge.schema.domains.notifications import (
    NotificationAbandoned,
    NotificationChannel,
    NotificationDelivered,
    NotificationFailed,
    NotificationQueued,
)
from quantum_forge.schema.language.event import Event

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
"""Seconds between two attempts to send a message: they double from one to the other."""

PATIENCE = timedelta(days=3)
"""After which a message is not sent any more: who reads it then knows by other means."""

_ENDED = (NotificationDelivered.event_type, NotificationAbandoned.event_type)
_TYPES = (NotificationQueued.event_type, NotificationFailed.event_type, *_ENDED)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one attempt. status: delivered, failing or abandoned."""

    id: UUID
    user_id: UUID
    channel: NotificationChannel
    subject: str
    status: str
    error: str | None = None


class _Waiting(msgspec.Struct, kw_only=True):
    """A message that is queued. next_at: of the next attempt, by the server's clock."""

    id: UUID
    queued: NotificationQueued
    queued_at: datetime
    next_at: datetime
    attempts: int = 0
    error: str | None = None


class Outbox:
    """Sends what is queued, each message until it is taken or refused for good.

    What is sent before the log says so is sent again after a crash, with the same Message-ID and
    Idempotency-Key.

    Args:
        recorder: records what became of each attempt.
        settings: of the mail server and webhooks.
        encryption: of the webhooks' URLs; None: there is no key.
        on_sent: called after each attempt.
    """

    def __init__(
        self,
        recorder: Recorder,
        settings: NotifySettings,
        encryption: Encryption | None,
        on_sent: Callable[[Sent], None] = lambda _: None,
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._encryption = encryption
        self._on_sent = on_sent
        self._waiting: dict[UUID, _Waiting] = {}
        self._paused: dict[NotificationChannel, tuple[int, datetime]] = {}

    def load(self, connection: Connection, now: datetime) -> None:
        """Read from the log what is queued and not delivered."""
        self._waiting = {}
        tenant_id = self._recorder.tenant_id
        # A little longer than anything waits, by whatever clock.
        where = Filter(types=_TYPES, tenant_id=tenant_id, since=now - PATIENCE - timedelta(days=1))
        for event in read_all(connection, where=where):
            self._read(event)

    def _read(self, event: RecordedEvent) -> None:
        if event.event_type == NotificationQueued.event_type:
            queued = event.event
            assert isinstance(queued, NotificationQueued)
            self.queue(event.entity_id, queued, event.recorded_at)
        elif event.event_type in _ENDED:
            self._waiting.pop(event.entity_id, None)
        elif (waiting := self._waiting.get(event.entity_id)) is not None:
            failed = event.event
            assert isinstance(failed, NotificationFailed)
            waiting.attempts, waiting.error = failed.attempt, failed.error_message
            waiting.next_at = failed.retry_at

    def queue(self, id_: UUID, queued: NotificationQueued, at: datetime) -> None:
        """Take a message that the log has as queued."""
        self._waiting[id_] = _Waiting(id=id_, queued=queued, queued_at=at, next_at=at)

    def waiting(self) -> list[NotificationQueued]:
        """Return what is queued, the oldest first."""
        return [each.queued for each in self._waiting.values()]

    def is_due(self, now: datetime) -> bool:
        """Return whether there is something to send now."""
        return any(self._is_due(each, now) for each in self._waiting.values())

    def deliver(self, connection: Connection, now: datetime, stop: Callable[[], bool]) -> int:
        """Attempt to send what is due; return how many attempts there were."""
        due = [each for each in self._waiting.values() if self._is_due(each, now)]
        users = {each.queued.user_id for each in due}
        recipients = read_recipients(connection, self._recorder.tenant_id, users) if due else {}
        attempts = 0
        for each in due:
            if stop():
                break
            if self._is_due(each, now):  # the one before may have found the mail server away
                attempts += 1
                self._attempt(each, recipients.get(each.queued.user_id), now)
        return attempts

    def _is_due(self, waiting: _Waiting, now: datetime) -> bool:
        _, until = self._paused.get(waiting.queued.channel, (0, now))
        return waiting.next_at <= now and until <= now

    def _attempt(self, waiting: _Waiting, recipient: Recipient | None, now: datetime) -> None:
        channel, number = waiting.queued.channel, waiting.attempts + 1
        try:
            id_ = self._send(waiting, recipient, now)
        except NotSent as refused:
            waiting.attempts, waiting.error = number, refused.reason
            if refused.concerns_all:
                failures = self._paused.get(channel, (0, now))[0] + 1
                self._paused[channel] = (failures, now + self._pause(failures))
            pause = self._pause(number)
            if refused.retry_after is not None:
                pause = max(pause, timedelta(seconds=refused.retry_after))
            waiting.next_at = now + pause
            if refused.is_final:
                self._record(waiting, NotificationAbandoned(error_message=refused.reason))
            else:
                failed = NotificationFailed(
                    attempt=number, error_message=refused.reason, retry_at=waiting.next_at
                )
                self._record(waiting, failed)
        else:
            self._paused.pop(channel, None)
            self._record(waiting, NotificationDelivered(attempt=number, message_id=id_))

    @staticmethod
    def _pause(attempts: int) -> timedelta:
        seconds = pause_after(attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        return timedelta(seconds=seconds)

    def _send(
        self, waiting: _Waiting, recipient: Recipient | None, now: datetime
    ) -> str | UnsetType:
        """Send a message; return the Message-ID of a mail.

        Raises:
            NotSent
        """
        queued = waiting.queued
        if (
            recipient is None
            or queued.channel not in recipient.channels
            or queued.kind not in recipient.kinds
        ):
            raise NotSent("the user does not want it any more", is_final=True)
        if now - waiting.queued_at > PATIENCE:
            why = waiting.error or "the notifier did not run"
            raise NotSent(f"not sent within {PATIENCE.days} days: {why}", is_final=True)
        message = render(queued.kind, queued.channel, queued.matter)
        if queued.channel is NotificationChannel.EMAIL:
            if (server := self._settings.mail) is None:
                raise NotSent("QFORGE_SMTP_URL is not set", concerns_all=True)
            composed = mail.compose(
                server, recipient.email, message, id_=waiting.id, at=waiting.queued_at
            )
            mail.send(server, composed)
            return mail.message_id(server, waiting.id)
        if recipient.webhook is None:
            raise NotSent("the user has no webhook any more", is_final=True)
        if self._encryption is None:
            raise NotSent("there is no key to decrypt the webhook's URL", concerns_all=True)
        try:
            url = self._encryption.decrypt(recipient.webhook)
        except Undecryptable as error:
            raise NotSent(str(error)) from None
        webhook.post(url, message, id_=waiting.id, private=self._settings.private_webhooks)
        return UNSET

    def _record(self, waiting: _Waiting, event: Event) -> None:
        if not isinstance(event, NotificationFailed):
            del self._waiting[waiting.id]
        try:
            self._recorder.record(event, of=waiting.id)
        except (RuleBroken, VersionConflict):
            self._waiting.pop(waiting.id, None)  # another process has sent it
            return
        queued = waiting.queued
        status = {
            NotificationDelivered.event_type: "delivered",
            NotificationFailed.event_type: "failing",
        }.get(event.event_type, "abandoned")
        subject = render(queued.kind, queued.channel, queued.matter).subject
        self._on_sent(
            Sent(
                id=waiting.id,
                user_id=queued.user_id,
                channel=queued.channel,
                subject=subject,
                status=status,
                error=getattr(event, "error_message", None),
            )
        )
