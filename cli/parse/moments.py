"""How a moment of the log is written on the command line: as a position or as a time."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta

import click

from quantum_forge.cli.parse import options

MOMENT = "a position, a day or month (its end), 2026-11-20T14:30, or how long ago, as 2h"
"""For the help of whatever takes a moment."""


def parse_moment(text: str, now: datetime) -> int | datetime:
    """The position, or the time, that a text means.

    A day or a month alone means its end: `as of 31 March` and `as of March` count what was recorded
    in March, as everybody's books do. One that is not over yet means now. (A range of time, as
    --since and --until give it, is cut where a day begins: see `options.parse_time`.)

    Raises:
        ValueError: when it is neither.
    """
    found = re.fullmatch(r"\s*(\d{4})-(\d{2})(?:-(\d{2}))?\s*", text)
    if found is None:
        return int(text) if _is_number(text) else options.parse_time(text, now)
    year, month, day = (int(part or 1) for part in found.groups())
    try:
        begin = date(year, month, day)
        length = 1 if found[3] else monthrange(year, month)[1]
        end = datetime.combine(begin + timedelta(days=length), time.min).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a day nor a month; write 2026-03-31 or 2026-03"
        ) from None
    return min(end, now) if begin <= now.astimezone().date() else end


def moment(text: str) -> int | datetime:
    """The type of what takes a moment, as `parse_moment` reads it now."""
    try:
        return parse_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*-?\d+\s*", text) is not None
