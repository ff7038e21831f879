"""How times and ranges may be written on the command line."""

from datetime import UTC, datetime, timedelta
from time import tzset

import pytest

from quantum_forge.cli.parse.options import parse_range
from quantum_forge.eventstore.base.moments import parse_time
from quantum_forge.projections.queries.rows import Range

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("5 min", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_an_age_is_a_time_before_now(text: str, age: timedelta) -> None:
    """`--since 2h` needs no arithmetic."""
    assert parse_time(text, NOW) == NOW - age


@pytest.mark.parametrize(
    ("text", "now", "time"),
    [
        ("3mo", NOW, NOW.replace(month=8)),
        ("11mo", NOW, NOW.replace(month=12, year=2025)),
        ("1y", NOW, NOW.replace(year=2025)),
        ("1mo", datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)),
        ("1y", datetime(2028, 2, 29, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC)),
    ],
)
def test_months_and_years_are_of_the_calendar(text: str, now: datetime, time: datetime) -> None:
    """`m` is a minute and `mo` a month; a day that a month lacks is its last."""
    assert parse_time(text, now) == time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20", datetime(2026, 11, 20).astimezone()),
        ("2026-11-20T14:30", datetime(2026, 11, 20, 14, 30).astimezone()),
        ("2026-11-20 14:30:05", datetime(2026, 11, 20, 14, 30, 5).astimezone()),
        ("2026-11-20T14:30Z", NOW),
        ("2026-11-20T15:30+01:00", NOW),
    ],
)
def test_a_time_without_a_zone_is_local(text: str, time: datetime) -> None:
    """A person means the clock on the wall; a program can say otherwise."""
    assert parse_time(text, NOW) == time
    assert parse_time(text, NOW).tzinfo is not None


def test_an_hour_that_the_clocks_skip_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a time that there is; days and other hours are as before."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    tzset()
    try:
        with pytest.raises(ValueError, match=r"clocks skip that hour.*T0[13]:30\+0[12]:00"):
            parse_time("2026-03-29T02:30", NOW)
        assert parse_time("2026-03-29T03:30", NOW).astimezone(UTC).hour == 1
        assert parse_time("2026-03-29", NOW).astimezone(UTC).day == 28
    finally:
        monkeypatch.undo()
        tzset()


@pytest.mark.parametrize(
    "text",
    ["", "2x", "2M", "9999y", "1.5mo", "h", "-2h", "yesterday", "2026-13-01", "9" * 30 + "d"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    """The message shows what can be written."""
    with pytest.raises(ValueError, match=r"write 2026-11-20, .* 2h"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("1:3", Range(1, 3)),
        (":3", Range(None, 3)),
        ("1:", Range(1, None)),
        ("-20:-10", Range(-20, -10)),
        ("-1e-3:.5", Range(-0.001, 0.5)),
        ("2:2", Range(2, 2)),
    ],
)
def test_a_range_may_have_open_ends_and_negative_numbers(text: str, bounds: Range) -> None:
    """Energies are negative."""
    assert parse_range(text) == bounds


@pytest.mark.parametrize("text", ["", ":", "2", "a:b", "1:2:3", "nan:1", "1:nan", "3:1"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """Nothing is guessed: a number alone could mean either end."""
    with pytest.raises(ValueError, match=r"write 1:3|smaller number first"):
        parse_range(text)
