"""Moments of the log as users of the front door write them: positions, times, or text."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.moments import parse_moment, parse_time
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.history.moment import position_at

Moment = int | datetime | str
"""A position of the log, a time, or text such as "2h", "2026-11-20T14:30" or "4711"."""

Answer = TypeVar("Answer")


class WrongMoment(QuantumForgeError):
    """A value is not a time or a position of the log."""

    exit_status = 2


def time_of(written: datetime | str | None) -> datetime | None:
    """The time that somebody means; raises `WrongMoment`."""
    if isinstance(written, str):
        return _read_text(parse_time, written)
    if written is None:
        return None
    if not isinstance(written, datetime):
        raise WrongMoment(f"a time is a datetime or a text, not {written!r}")
    return _with_zone(written)


def moment_of(written: Moment | None) -> int | datetime | None:
    """The position or time that somebody means; raises `WrongMoment`."""
    if isinstance(written, str):
        return _read_text(parse_moment, written)
    if isinstance(written, datetime):
        return _with_zone(written)
    if written is None or (isinstance(written, int) and not isinstance(written, bool)):
        return written
    raise WrongMoment(f"a moment is a position, a datetime or a text, not {written!r}")


def _with_zone(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise WrongMoment(
            f"{time!r} has no time zone: give one, as in datetime.now(UTC), or use .astimezone()"
        )
    return time


def _read_text(read: Callable[[str, datetime], Answer], text: str) -> Answer:
    try:
        return read(text, datetime.now(UTC))
    except ValueError as error:
        raise WrongMoment(str(error)) from error


def position_of(
    connection: Connection, moment: Moment | None, *, may_precede: bool = False
) -> Position:
    """The position of a moment, or the safe head for None; raises as `Forge.position` does.

    `may_precede`: see `position_at`.
    """
    at = moment_of(moment)
    if at is None:
        return safe_head(connection)
    return position_at(connection, at, may_precede=may_precede)
