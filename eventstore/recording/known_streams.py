"""Versions and states of the streams that a recorder wrote last, so that it need not read them."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.recording.standings import Standing

CAPACITY = 10_000
"""Streams; those that were not written for longest are forgotten."""


class KnownStreams:
    """A bounded cache of standings; threads may share it.

    Other writers make it wrong: whoever appends by it expects the versions, and forgets a stream
    whose version turns out to be another.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._standings: OrderedDict[Stream, Standing] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, stream: Stream) -> Standing | None:
        """Return what is known of a stream; None for nothing."""
        with self._lock:
            return self._standings.get(stream)

    def learn(
        self, events: Sequence[NewEvent], placed: Sequence[Placed], states: Mapping[Stream, str]
    ) -> None:
        """Note what an append made of its streams.

        Args:
            events: that were appended.
            placed: where each of them is.
            states: of the streams whose states are known, after the append.
        """
        with self._lock:
            for event, at in zip(events, placed, strict=True):
                state = states.get(stream := event.stream)
                if state is None or not at.appended:
                    continue
                known = self._standings.get(stream)
                if known is None or known.version < at.version:
                    self._standings[stream] = Standing(at.version, state)
                    if known is not None:
                        self._standings.move_to_end(stream)
            while len(self._standings) > self._capacity:
                self._standings.popitem(last=False)

    def forget(self, streams: Iterable[Stream]) -> None:
        """Forget what is known of these streams."""
        with self._lock:
            for stream in streams:
                self._standings.pop(stream, None)
