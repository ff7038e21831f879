"""How a moment of the log is written on the command line: as a position or as a time."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta

import click

from cli import options


def moment(text: str) -> int | datetime:
    """The type of an argument that takes a position, or a time as `parse_time` reads it now."""
    try:
        return int(text)
    except ValueError:
        return options.time(text)


def end_of(text: str, now: datetime) -> int | datetime:
    """As `moment`, but a day or a month alone means its end: 2026-03-31 and 2026-03 are the same.

    A day or a month that is not over means now.

    Raises:
        ValueError: when it is neither.
    """
    found = re.fullmatch(r"\s*(\d{4})-(\d{2})(?:-(\d{2}))?\s*", text)
    if found is None:
        return int(text) if text.strip().isdecimal() else options.parse_time(text, now)
    year, month, day = (int(part or 1) for part in found.groups())
    try:
        begin = date(year, month, day)
        length = 1 if found[3] else monthrange(year, month)[1]
        end = datetime.combine(begin + timedelta(days=length), time.min).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no day and no month; write 2026-03-31 or 2026-03") from None
    return min(end, now)


def moment_or_day(text: str) -> int | datetime:
    """The type of an option that takes what `end_of` reads now."""
    try:
        return end_of(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
