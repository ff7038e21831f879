"""Notations for times and positions of the log: ISO dates, ages such as 2h, positions."""

import re
from calendar import monthrange
from datetime import date, datetime, time, timedelta

_UNITS = {
    **dict.fromkeys(("s", "sec"), "seconds"),
    **dict.fromkeys(("m", "min"), "minutes"),
    "h": "hours",
    "d": "days",
    "w": "weeks",
}
_MONTHS = {"mo": 1, "y": 12}
"""Units that are counted in the calendar: `m` is a minute, a month is `mo`."""


def parse_time(text: str, now: datetime) -> datetime:
    """The time that a text means: an ISO date or time, local unless it has a zone, or an age.

    `90s`, `5m` (or `5min`), `2h`, `3d` and `1w` are so long before `now`; `3mo` and `1y` are so
    many calendar months and years before it, on the last day of a month that has not that day.

    Raises:
        ValueError: when it is neither, or in an hour that daylight saving skips.
    """
    text = text.strip()
    age = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text)
    months = re.fullmatch(r"(\d+)\s*(mo|y)", text)
    try:
        if months is not None:
            return _months_before(now, int(months[1]) * _MONTHS[months[2]])
        if age is not None and age[2] in _UNITS:
            return now - timedelta(**{_UNITS[age[2]]: float(age[1])})
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time
        found = time.astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is not a time; write 2026-11-20, 2026-11-20T14:30, 2026-11-20T14:30+01:00, "
            "or how long ago: 30m (minutes), 2h, 3d, 6mo (months)"
        ) from None

    if found.replace(tzinfo=None) != time and (time.hour or time.minute):
        raise ValueError(
            f"{text!r} does not exist here: the clocks skip that hour; write it with an offset, as "
            f"{found.isoformat(timespec='minutes')}"
        )
    return found


def _months_before(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    last = monthrange(year, month + 1)[1]
    return now.replace(year=year, month=month + 1, day=min(now.day, last))


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
