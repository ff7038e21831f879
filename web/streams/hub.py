"""One follower of the log for all streams of a process, with the latest events at hand.

A stream that has come up to the latest events takes them from memory; one that is behind, because
it begins in the past or its client is slow, reads the log. So a slow client costs no memory, and a
hundred clients cost one reader.
"""

import asyncio
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from uuid import UUID

import msgspec
from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.log.place import place_at
from quantum_forge.eventstore.log.read import Filter, safe_head
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.language.secrecy import secret_fields
from quantum_forge.web.streams.listeners import Listeners

MOST_EVENTS = 10_000
MOST_BYTES = 16 * 2**20
"""What is kept at hand at most; older events are read from the log."""

PAUSE_SECONDS = 0.02
"""Between two times that all streams are woken: what comes meanwhile is sent together."""

HIDDEN = "***"


class Frame(msgspec.Struct, frozen=True):
    """An event as it is sent, with what filters look at."""

    position: int
    tenant_id: UUID
    event_type: str
    entity_type: str
    entity_id: UUID
    user_id: UUID | None
    sent: bytes

    def matches(self, where: Filter) -> bool:
        """Whether a filter lets it through."""
        return (
            (where.tenant_id is None or where.tenant_id == self.tenant_id)
            and (where.types is None or self.event_type in where.types)
            and (where.entity_type is None or where.entity_type == self.entity_type)
            and (where.entity_id is None or where.entity_id == self.entity_id)
            and (where.user_id is None or where.user_id == self.user_id)
        )


class Hub:
    """Follows the log from now on; `start` it within the event loop that is to be woken.

    Args:
        engine: by a login that reads every tenant that is served.
        listeners: counts its streams; the log is followed while there are any.
        on_trouble: called with what keeps it from following, each time that it begins.
    """

    def __init__(
        self,
        engine: Engine,
        listeners: Listeners,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._listeners = listeners
        self._on_trouble = on_trouble
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._wanted = threading.Event()
        self._numbers = threading.Lock()
        self._lock = threading.Lock()
        self._frames: list[Frame] = []
        self._size = 0
        self._start = 0
        self._position: int | None = None
        self._thread = threading.Thread(target=self._follow, name="qforge-hub", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._is_waking = False
        self._woken_at = 0.0
        self._closing = False

    def start(self) -> None:
        """Begin to follow."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def is_closing(self) -> bool:
        """Whether the process has been asked to stop: streams end then."""
        return self._closing

    def begin_to_close(self) -> None:
        """Have the streams end; a signal handler may call it."""
        self._closing = True
        self._wake()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._idle.set()
        self._wanted.set()
        self._thread.join(timeout=2)

    @contextmanager
    def joined(self, tenant_id: UUID, who: UUID | str) -> Iterator[None]:
        """Have the log followed for a stream, for the length of a `with`.

        Raises:
            RestError: when there are too many: see `Listeners`.
        """
        with self._listeners.one(tenant_id, who):
            with self._numbers:
                self._idle.clear()
                self._wanted.set()
            try:
                yield
            finally:
                with self._numbers:
                    if self._listeners.number == 1:
                        self._wanted.clear()
                        self._idle.set()

    @property
    def position(self) -> int | None:
        """Up to where the log has been followed; None before the log was first read."""
        with self._lock:
            return self._position

    def since(self, position: int, where: Filter) -> tuple[list[Frame], int] | None:
        """Return the matching events above a position, and up to where that is all of them.

        None when older ones are wanted than are at hand: the log has them.
        """
        with self._lock:
            if self._position is None or position < self._start:
                return None
            first = bisect_right(self._frames, position, key=lambda frame: frame.position)
            frames, upto = self._frames[first:], self._position
        return [frame for frame in frames if frame.matches(where)], max(position, upto)

    async def changed(self, seconds: float) -> bool:
        """Wait until there are new events, at most some seconds; return whether there are."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _follow(self) -> None:
        attempts = 0
        while self._wanted.wait() and not self._stop.is_set():
            try:
                with self._engine.connect() as connection:
                    place = place_at(connection, safe_head(connection))
                with self._lock:
                    # What happened since the last attempt is read from the log.
                    self._frames, self._size = [], 0
                    self._start = self._position = place.position
                self._wake()
                for event in subscribe(self._engine, after=place, stop=self._idle, patience=None):
                    attempts = 0
                    self._add(frame_of(event))
            except Exception as error:  # whatever it is, the streams of the process depend on it
                attempts += 1
                self._on_trouble(f"{type(error).__name__}: {error}")
                self._stop.wait(pause_after(attempts))

    def _add(self, frame: Frame) -> None:
        with self._lock:
            self._frames.append(frame)
            self._size += len(frame.sent)
            self._position = frame.position
            if len(self._frames) > MOST_EVENTS or self._size > MOST_BYTES:
                half = max(1, len(self._frames) // 2)
                gone, self._frames = self._frames[:half], self._frames[half:]
                self._size -= sum(len(each.sent) for each in gone)
                self._start = gone[-1].position
        self._wake()

    def _wake(self) -> None:
        if self._is_waking or self._loop is None:
            return
        self._is_waking = True
        try:
            self._loop.call_soon_threadsafe(self._wake_soon)
        except RuntimeError:
            self._is_waking = False  # the loop has ended

    def _wake_soon(self) -> None:
        """Wake the streams now, unless that was done a moment ago."""
        assert self._loop is not None
        due = self._woken_at + PAUSE_SECONDS
        if self._closing or due <= self._loop.time():
            self._woken()
        else:
            self._loop.call_at(due, self._woken)

    def _woken(self) -> None:
        assert self._loop is not None
        self._woken_at = self._loop.time()
        self._is_waking = False
        self._changed.set()
        self._changed = asyncio.Event()


def frame_of(event: RecordedEvent) -> Frame:
    """Return an event as a server-sent event: its position is the id, its type the name."""
    text = msgspec.json.encode(without_secrets(event))
    sent = b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.event_type.encode(), text)
    return Frame(
        event.position,
        event.tenant_id,
        event.event_type,
        event.entity_type,
        event.entity_id,
        event.user_id,
        sent,
    )


def without_secrets(event: RecordedEvent) -> RecordedEvent:
    """Return an event with `***` in place of hashes and ciphertexts."""
    hidden = _secret_fields(event.event_type)
    if not hidden:
        return event
    data = {
        name: HIDDEN if name in hidden and value is not None else value
        for name, value in event.data.items()
    }
    return msgspec.structs.replace(event, raw_data=msgspec.Raw(msgspec.json.encode(data)))


@cache
def _secret_fields(event_type: str) -> frozenset[str]:
    cls = EVENTS.get(event_type)
    return frozenset() if cls is None else frozenset(secret_fields(cls))
