"""A served store as what a recorder appends to, so that a runner needs HTTPS and nothing else."""

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import (
    DatabaseUnavailable,
    EventRefused,
    NeedsDatabase,
    QuantumForgeError,
)
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.availability.outage import asked_pause
from quantum_forge.eventstore.log.append import encode_wire
from quantum_forge.eventstore.log.group_commit import Call, Together
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.eventstore.recording.repeated_retractions import Repeated
from quantum_forge.eventstore.spool.entries import events_of
from quantum_forge.web.client.attempts import (
    AGAIN,
    checked,
    headers_of,
    httpx_library,
    pause_before,
    trust_in,
)
from quantum_forge.web.client.calls import Reply
from quantum_forge.web.client.errors import KeyRefused, RemoteError, RemoteUnreachable, ServerBusy
from quantum_forge.web.wire import (
    APPEND_PATH,
    MOST_IDS,
    READ_PATH,
    Answer,
    CallerFacts,
    Page,
    Question,
    error_of,
)

LARGEST_GROUP = 2**20
"""Characters of JSON that are sent together: some 1,000 events."""

ASKED_TOGETHER = 250
"""Entities whose events one request asks for: a few MB."""

TIMEOUT = 30.0
"""Seconds for an answer where the caller gives no limit."""

_Answer = TypeVar("_Answer")


class ServedStore:
    """A store that `qforge serve` serves, as a `Store`; threads may share it.

    Appends of several threads are sent together: those that come while a request is on its way are
    the next one. A request whose kept connection turns out to be closed is sent once more at once;
    event ids make that harmless.

    Args:
        url: of the server.
        key: an API key or a token, of a researcher at least.
        ca: file of the certificate authorities to trust instead of those of the system.
        timeout: for an answer where the caller gives no limit, in s.
        tries: times that a request without a limit is sent where the server is away or busy.
    """

    def __init__(
        self,
        url: str,
        key: Secret,
        *,
        ca: Path | None = None,
        timeout: float = TIMEOUT,
        tries: int = 1,
    ) -> None:
        self.where = url
        self._httpx = httpx_library()
        self._timeout = timeout
        self._tries = tries
        headers = {**headers_of(key), "Content-Type": "application/json"}
        self._options = {"base_url": url, "headers": headers, "verify": trust_in(ca)}
        self._lock = threading.Lock()
        self._http: Any = None
        self._together: Together[_Append, list[Placed]] = Together(
            self._send,
            keys=lambda append: set(append.streams),
            size=lambda append: len(append.wire),
            largest=LARGEST_GROUP,
        )

    def caller(self) -> CallerFacts:
        """Return who the key stands for, in which tenant.

        Raises:
            KeyRefused, RemoteUnreachable, ServerBusy, RemoteError
        """
        return self._ask(Question(ask="caller"), CallerFacts)

    def append(
        self,
        events: Sequence[NewEvent],
        *,
        rules: bool,
        by_action: bool = False,
        seconds: float | None = None,
    ) -> list[Placed]:
        """See `Store`; the server checks the rules, and what its user may record."""
        if by_action:
            raise NeedsDatabase("an action on accounts", self.where)
        wire = encode_wire(events, rules=rules)
        return self._appended(wire, {event.stream for event in events}, seconds)

    def append_spooled(self, wire: bytes, seconds: float) -> None:
        """See `Store`."""
        self._appended(wire, {event.stream for event in events_of(wire)}, seconds)

    @contextmanager
    def reading(self) -> Iterator[LogReader]:
        """See `Store`."""
        yield _Reader(self)

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def __enter__(self) -> "ServedStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, question: Question, kind: type[_Answer]) -> _Answer:
        found: _Answer = _decoded(self._post(READ_PATH, msgspec.json.encode(question), None), kind)
        return found

    def _appended(
        self, wire: bytes, streams: Collection[Stream], seconds: float | None
    ) -> list[Placed]:
        return self._together.ask(_Append(wire, streams, seconds))

    def _send(self, group: list[Call["_Append", list[Placed]]]) -> None:
        """Send every call of a group as one request, and settle each by its own answer."""
        body = b'{"appends":[%b]}' % b",".join(call.question.wire for call in group)
        limits = [call.question.seconds for call in group if call.question.seconds is not None]
        try:
            answers = _decoded(
                self._post(APPEND_PATH, body, min(limits, default=None)), list[Answer]
            )
            if len(answers) != len(group):
                raise RemoteError(200, "QF000", "the server answered other appends than were sent")
        except QuantumForgeError as error:
            for call in group:
                call.error = error
            return
        for call, answer in zip(group, answers, strict=True):
            if answer.refused is not None:
                call.error = error_of(answer.refused)
            else:
                call.answer = answer.placed or []

    def _post(self, path: str, body: bytes, seconds: float | None) -> bytes:
        until = None if seconds is None else time.monotonic() + seconds
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._posted(path, body, until, is_first=attempt == 1)
            except DatabaseUnavailable as error:
                if until is not None or not error.may_pass or attempt >= self._tries:
                    raise
                time.sleep(max(pause_before(attempt), asked_pause(error)))

    def _posted(self, path: str, body: bytes, until: float | None, *, is_first: bool) -> bytes:
        """Send a request once, or twice where the kept connection had been closed meanwhile."""
        limit = self._timeout if until is None else max(0.001, until - time.monotonic())
        try:
            response = self._client().post(path, content=body, timeout=limit)
        except self._httpx.TransportError as error:
            was_closed = isinstance(error, self._httpx.NetworkError | self._httpx.ProtocolError)
            if is_first and was_closed and not isinstance(error, self._httpx.ConnectError):
                return self._posted(path, body, until, is_first=False)
            raise RemoteUnreachable(self.where, str(error) or type(error).__name__) from error
        reply = Reply(response.status_code, response.headers, response.content)
        try:
            return checked(reply).body
        except RemoteError as error:
            raise self._meaning(error, reply) from error

    def _client(self) -> Any:
        with self._lock:
            if self._http is None:
                self._http = self._httpx.Client(**self._options)
            return self._http

    def _meaning(self, error: RemoteError, reply: Reply) -> QuantumForgeError:
        """What a request that was refused as a whole means for what it asked."""
        if error.status in AGAIN or error.status >= 500:
            asked = "retry-after" in reply.headers
            return ServerBusy(
                self.where, str(error), pause_before(1, reply.headers) if asked else None
            )
        if error.status in (401, 403):
            return KeyRefused(self.where, str(error))
        if error.status == 413:
            return EventRefused("append", str(error))
        if error.status == 404:
            return RemoteError(
                404, error.code, f"{self.where} has no {APPEND_PATH}", str(error), _NO_STORE
            )
        return error


_NO_STORE = "Is this the address of `qforge serve`, and is its version as new as this one?"


class _Append(msgspec.Struct, frozen=True):
    """One append, as JSON. streams: that it goes to. seconds: that it may take."""

    wire: bytes
    streams: Collection[Stream]
    seconds: float | None


class _Reader:
    """Asks the server; each answer is a request of its own."""

    def __init__(self, store: ServedStore) -> None:
        self._store = store

    def last_assigned(self) -> int:
        return self._ask("last_assigned", int)

    def server_time(self) -> datetime:
        return self._ask("server_time", datetime)

    def stream(
        self,
        entity_type: str,
        entity_id: UUID,
        *,
        after_version: int = 0,
        upto_version: int | None = None,
        backward: bool = False,
    ) -> Iterable[RecordedEvent]:
        while True:
            page = self._ask(
                "stream",
                Page,
                entity_type=entity_type,
                entity_ids=[entity_id],
                after_version=after_version,
                upto_version=upto_version,
                backward=backward,
            )
            yield from page.events
            if not page.more:
                return
            if backward:
                upto_version = page.events[-1].version - 1
            else:
                after_version = page.events[-1].version

    def streams(
        self, entity_type: str, entity_ids: Sequence[UUID]
    ) -> dict[UUID, list[RecordedEvent]]:
        found: dict[UUID, list[RecordedEvent]] = {}
        for some in _parts(entity_ids, ASKED_TOGETHER):
            events = self._ask(
                "streams", list[RecordedEvent], entity_type=entity_type, entity_ids=some
            )
            for event in events:
                found.setdefault(event.entity_id, []).append(event)
        return found

    def last_events(
        self, entity_type: str, entity_ids: Sequence[UUID]
    ) -> dict[UUID, RecordedEvent]:
        found: dict[UUID, RecordedEvent] = {}
        for some in _parts(entity_ids, ASKED_TOGETHER):
            events = self._ask(
                "last_events", list[RecordedEvent], entity_type=entity_type, entity_ids=some
            )
            found |= {event.entity_id: event for event in events}
        return found

    def last_event_types(
        self, entity_type: str, entity_ids: Sequence[UUID], among: Collection[str]
    ) -> dict[UUID, str]:
        found: dict[UUID, str] = {}
        for some in _parts(entity_ids, MOST_IDS):
            found |= self._ask(
                "last_event_types",
                dict[UUID, str],
                entity_type=entity_type,
                entity_ids=some,
                among=list(among),
            )
        return found

    def latest_ids(
        self, entity_type: str, entity_ids: Sequence[UUID], name: str
    ) -> dict[UUID, UUID | None]:
        found: dict[UUID, UUID | None] = {}
        for some in _parts(entity_ids, MOST_IDS):
            found |= self._ask(
                "latest_ids",
                dict[UUID, UUID | None],
                entity_type=entity_type,
                entity_ids=some,
                name=name,
            )
        return found

    def retry_candidates(self) -> list[UUID]:
        return self._ask("retry_candidates", list[UUID])

    def repeated_retractions(
        self, *, method: str, program_version: str, host: str
    ) -> list[Repeated]:
        return self._ask(
            "repeated_retractions",
            list[Repeated],
            method=method,
            program_version=program_version,
            host=host,
        )

    def _ask(self, question: str, kind: type[_Answer], **arguments: Any) -> _Answer:
        return self._store._ask(Question(ask=question, **arguments), kind)


def _parts(ids: Sequence[UUID], size: int) -> Iterator[list[UUID]]:
    every = list(ids)
    for start in range(0, len(every), size):
        yield every[start : start + size]


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteError(200, "QF000", "the answer is none of a store", str(error)) from error
