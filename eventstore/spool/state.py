"""State of the spool, read without a database and without changes."""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from quantum_forge.eventstore.base.errors import SpoolEntryUnusable
from quantum_forge.eventstore.spool.directory import SUFFIX, open_file, spool_files
from quantum_forge.eventstore.spool.entries import events_of
from quantum_forge.eventstore.spool.frames import Damage, appends
from quantum_forge.eventstore.spool.segment import DAMAGED, TORN, Segment
from quantum_forge.eventstore.spool.segment_drain import REJECTED, rejections


class SegmentState(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as it is.

    is_in_use: a living process writes to it or drains it. appends, events: intact ones, dealt with
    or not. oldest: when the first of its events occurred. torn, damaged: offsets of bytes that are
    no append, at its end and before it; in a segment that is in use, the end is being written.
    """

    path: str
    is_in_use: bool
    appends: int
    events: int
    bytes: int
    oldest: datetime | None
    torn: list[int]
    damaged: list[int]


class RejectedAppend(msgspec.Struct, frozen=True, kw_only=True):
    """An append that the database refused, and the file that keeps it."""

    path: str
    offset: int
    events: int
    error: str
    reason: str


class KeptBytes(msgspec.Struct, frozen=True, kw_only=True):
    """A file of bytes that a drain found where an append should have been."""

    path: str
    bytes: int


class UnusableEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that cannot be read, or is no file of the spool; a drain passes over it."""

    path: str
    reason: str
    advice: str


class SpoolState(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a spool; events, bytes, oldest: over all segments."""

    directory: str
    events: int
    bytes: int
    oldest: datetime | None
    segments: list[SegmentState]
    rejected: list[RejectedAppend]
    kept: list[KeptBytes]
    unusable: list[UnusableEntry] = []

    @property
    def needs_attention(self) -> bool:
        """Whether there is something that no drain can bring into the log."""
        return bool(
            self.rejected
            or self.kept
            or self.unusable
            or any(each.damaged or (each.torn and not each.is_in_use) for each in self.segments)
        )


def spool_state(directory: Path) -> SpoolState:
    """Look at a spool, without a database and without changing anything."""
    unusable: list[UnusableEntry] = []
    segments: list[SegmentState] = []
    rejected: list[RejectedAppend] = []
    kept: list[KeptBytes] = []
    try:
        paths = spool_files(directory)
    except SpoolEntryUnusable as error:
        paths, unusable = [], [_unusable(error)]
    for path in paths:
        try:
            if path.suffix == SUFFIX:
                if (state := _state(path)) is not None:
                    segments.append(state)
            elif path.name.endswith(REJECTED):
                rejected += _rejected(path)
            elif f"{SUFFIX}{TORN}" in path.name or f"{SUFFIX}{DAMAGED}" in path.name:
                kept.append(KeptBytes(path=str(path), bytes=path.lstat().st_size))
        except FileNotFoundError:
            continue  # it has been drained in between
        except SpoolEntryUnusable as error:
            unusable.append(_unusable(error))
    return SpoolState(
        directory=str(directory),
        events=sum(each.events for each in segments),
        bytes=sum(each.bytes for each in segments),
        oldest=min((each.oldest for each in segments if each.oldest), default=None),
        segments=segments,
        rejected=rejected,
        kept=kept,
        unusable=unusable,
    )


def _unusable(error: SpoolEntryUnusable) -> UnusableEntry:
    return UnusableEntry(path=str(error.path), reason=error.reason, advice=error.advice)


def _rejected(path: Path) -> list[RejectedAppend]:
    return [
        RejectedAppend(
            path=str(path),
            offset=each.offset,
            events=len(events_of(bytes(each.events))),
            error=each.error,
            reason=each.reason,
        )
        for each in rejections(path)
    ]


def _state(path: Path) -> SegmentState | None:
    """Read a segment; None when it has been drained in between.

    Raises:
        SpoolEntryUnusable: when it cannot be read.
    """
    segment = Segment.take(path)
    is_in_use = segment is None
    if segment is not None:
        segment.close()
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    count = events = 0
    oldest: datetime | None = None
    damages = []
    try:
        for found in appends(descriptor):
            if isinstance(found, Damage):
                damages.append(found)
                continue
            these = events_of(found.wire)
            count += 1
            events += len(these)
            oldest = oldest or these[0].occurred_at
        return SegmentState(
            path=str(path),
            is_in_use=is_in_use,
            appends=count,
            events=events,
            bytes=os.fstat(descriptor).st_size,
            oldest=oldest,
            torn=[each.offset for each in damages if each.is_tail],
            damaged=[each.offset for each in damages if not each.is_tail],
        )
    finally:
        os.close(descriptor)
