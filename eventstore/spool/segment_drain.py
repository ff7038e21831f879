"""Draining a segment of the spool: its appends in order, each once, whatever is killed when.

Nothing is remembered of how far a drain came: a segment is removed when all of it is dealt with,
and repeated from its start until then, for the log knows the ids of the events that it has.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import (
    FollowsRejected,
    QuantumForgeError,
    SpoolDamaged,
    SpoolEntryUnusable,
    SpoolUnwritable,
)
from quantum_forge.eventstore.base.whole_file import sync_directory
from quantum_forge.eventstore.database.availability.outage import REFUSALS
from quantum_forge.eventstore.spool.directory import open_file
from quantum_forge.eventstore.spool.entries import Spooled, events_of
from quantum_forge.eventstore.spool.frames import Damage, Frame
from quantum_forge.eventstore.spool.segment import Segment

REJECTED = ".rejected.jsonl"


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An append that the database refuses permanently, as a line of a `.rejected.jsonl` file.

    offset: of its frame in the segment. error: the name of the error, reason its text. events: as
    they were to be appended.
    """

    offset: int
    error: str
    reason: str
    events: msgspec.Raw


class Aside(msgspec.Struct, frozen=True):
    """Bytes of a segment that are no append, and the file that they are kept in."""

    segment: str
    offset: int
    bytes: int
    kept: str


class Drained(msgspec.Struct):
    """What a drain did; appends are atomic calls, of one or more events.

    appends, events: now in the log, by this drain or an earlier try. busy: segments in the hands of
    living processes, left to them. damaged: segments that are stopped at damage. unusable: what
    cannot be read, or is of another tenant, or cannot be kept or removed; it was passed over.
    """

    appends: int = 0
    events: int = 0
    rejected: list[str] = []
    aside: list[Aside] = []
    busy: list[str] = []
    damaged: list[SpoolDamaged] = []
    unusable: list[SpoolEntryUnusable] = []


Append = Callable[[bytes], object]
"""Appends the JSON of one append and commits; raises one of `REFUSALS`, or something else when it
is not known what became of it."""

Report = Callable[[int, int], None]
"""Called with the number of further appends processed, and how many of them were rejected."""


class SegmentDrain:
    """How far a locked segment has been drained, by this process.

    An append that follows a rejected one in a stream, and counts on the version which that would
    have made, is rejected, too: it could otherwise end what another process began.

    Args:
        segment: which is locked by this process.
        past_damage: whether damaged bytes in the middle are set aside rather than waited for.
    """

    def __init__(self, segment: Segment, *, past_damage: bool = False) -> None:
        self.segment = segment
        self.result = Drained()
        self.rejected_streams: set[Stream] = set()
        self._past_damage = past_damage
        self._offset = 0
        self._rejections = segment.path.with_suffix(REJECTED)
        self._rejected_offsets: set[int] = set()
        for rejected in _repaired(self._rejections):
            self._rejected_offsets.add(rejected.offset)
            self._reject_streams(events_of(bytes(rejected.events)))

    @property
    def is_done(self) -> bool:
        """Whether everything that is in the segment now has been dealt with."""
        return self._offset == self.segment.size

    def moved(self, directory: Path) -> "SegmentDrain":
        """The drain of a new segment with what is still to be dealt with; this one's is closed.

        Raises:
            OSError: when it cannot be made; this one is as it was.
        """
        copy = SegmentDrain(
            self.segment.copied(directory, self._offset), past_damage=self._past_damage
        )
        copy.result, copy.rejected_streams = self.result, self.rejected_streams
        self.segment.close()
        return copy

    def run(
        self, append: Append, report: Report = lambda _, __: None, *, until: float | None = None
    ) -> bool:
        """Go on, to the end or to a time of `time.monotonic`; return whether everything is done.

        Raises:
            SpoolDamaged: at damage, with everything before it drained.
            SpoolUnwritable: when what is rejected or damaged cannot be kept.
            DatabaseUnavailable, DBAPIError: when the log cannot be reached; go on later.
        """
        for found in self.segment.scan(self._offset):
            if until is not None and time.monotonic() > until:
                return False
            if isinstance(found, Damage):
                self._set_aside(found)
            else:
                report(1, int(self._drain(found, append)))
            self._offset = min(found.end, self.segment.size)
        return self.is_done

    def _drain(self, frame: Frame, append: Append) -> bool:
        """Append one; return whether it was rejected."""
        if frame.offset in self._rejected_offsets:
            return True
        events = events_of(frame.wire)
        try:
            refuse_followers(self.rejected_streams, events)
            append(frame.wire)
        except REFUSALS as refusal:
            self._reject(frame, events, refusal)
            return True
        self.result.appends += 1
        self.result.events += len(events)
        return False

    def _reject(self, frame: Frame, events: list[Spooled], refusal: QuantumForgeError) -> None:
        rejected = Rejected(
            offset=frame.offset,
            error=type(refusal).__name__,
            reason=str(refusal),
            events=msgspec.Raw(frame.wire),
        )
        _append_durably(self._rejections, msgspec.json.encode(rejected) + b"\n")
        self._rejected_offsets.add(frame.offset)
        self._reject_streams(events)
        self.result.rejected.append(str(refusal))

    def _reject_streams(self, events: list[Spooled]) -> None:
        self.rejected_streams.update(event.stream for event in events)

    def _set_aside(self, damage: Damage) -> None:
        if not damage.is_tail and not self._past_damage:
            intact = sum(isinstance(each, Frame) for each in self.segment.scan(damage.end))
            raise SpoolDamaged(self.segment.path, damage.offset, intact)
        kept = self.segment.set_aside(damage)
        self.result.aside.append(
            Aside(str(self.segment.path), damage.offset, damage.end - damage.offset, str(kept))
        )


class Expecting(Protocol):
    """An event with the version at which it expects its stream."""

    @property
    def stream(self) -> Stream:
        """Where it goes."""

    @property
    def expected_version(self) -> int | None:
        """See `NewEvent`."""


def refuse_followers(rejected: set[Stream], events: Sequence[Expecting]) -> None:
    """Raise `FollowsRejected` for events that count on the versions of rejected ones."""
    for event in events:
        if (event.expected_version or 0) >= 1 and event.stream in rejected:
            raise FollowsRejected(str(event.stream), event.expected_version or 0)


def rejections(path: Path) -> list[Rejected]:
    """The lines of a `.rejected.jsonl` file, but for one that a kill cut off.

    Raises:
        SpoolEntryUnusable: when it cannot be read, or another program has written to it.
    """
    try:
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rejected = msgspec.json.decode(line, type=Rejected)
            events_of(bytes(rejected.events))
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            reason = f"line {number} is not a rejected append"
            advice = "repair the line, or move the file out of the spool"
            raise SpoolEntryUnusable(path, reason, advice) from error
        found.append(rejected)
    return found


def _repaired(path: Path) -> list[Rejected]:
    """The same, after removing the cut-off line: its append is still in the segment."""
    with (
        contextlib.suppress(FileNotFoundError),
        os.fdopen(open_file(path, os.O_RDWR), "r+b") as file,
    ):
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
    return rejections(path)


def _append_durably(path: Path, line: bytes) -> None:
    existed = path.exists()
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if not existed:
            sync_directory(path.parent)
    except OSError as error:
        raise SpoolUnwritable(path, error.strerror or str(error), "a rejected append") from error
