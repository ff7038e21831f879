"""Notations for times and positions of the log: ISO dates, ages such as 2h, positions."""

import re
from calendar import monthrange
from datetime import date, datetime, time, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> datetime:
    """The time that a text means: an ISO date or time, local unless it has a zone, or an age.

    `90s`, `30m`, `2h`, `3d` and `1w` are so long before `now`.

    Raises:
        ValueError: when it is neither.
    """
    text = text.strip()
    age = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text)
    try:
        if age is not None:
            return now - timedelta(**{_UNITS[age[2]]: float(age[1])})
        time = datetime.fromisoformat(text)
        return time if time.tzinfo is not None else time.astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is not a time; write 2026-11-20, 2026-11-20T14:30, 2026-11-20T14:30+01:00, "
            "or how long ago: 30m, 2h, 3d"
        ) from None


def parse_moment(text: str, now: datetime) -> int | datetime:
    """The position of the log, or the time, that a text means.

    A day or a month alone means its end: `as of 31 March` and `as of March` count what was recorded
    in March, as everybody's books do. One that is not over yet means now. (A range of time, as
    --since and --until give it, is cut where a day begins: see `parse_time`.)

    Raises:
        ValueError: when it is neither.
    """
    found = re.fullmatch(r"\s*(\d{4})-(\d{2})(?:-(\d{2}))?\s*", text)
    if found is None:
        is_number = re.fullmatch(r"\s*-?\d+\s*", text) is not None
        return int(text) if is_number else parse_time(text, now)
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
