"""Output of commands that append or import a file of events."""

from collections.abc import Callable

import click
import msgspec

from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.files.lines import BadLine
from quantum_forge.eventstore.log.load import Loaded

BAD_LINES_SHOWN = 20
PROBLEMS_KEPT = 1000
"""Bad lines that --json lists; it counts all."""


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; `repeated` events were in the log already."""

    appended: int
    repeated: int
    invalid: int
    problems: list[dict[str, object]]


class BadLines:
    """Names the bad lines of a file as they come: all, or the first ones."""

    def __init__(self, *, show_all: bool = False) -> None:
        self.count = 0
        self.problems: list[dict[str, object]] = []
        self._show_all = show_all

    def add(self, line: BadLine) -> None:
        """Name one more."""
        self.count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append({"line": line.number, "reason": line.reason})
        if self._show_all or self.count <= BAD_LINES_SHOWN:
            console.note(str(line))

    def end(self) -> None:
        """Say how many were not named."""
        if self.count > BAD_LINES_SHOWN and not self._show_all:
            console.note(f"… and {counted(self.count - BAD_LINES_SHOWN, 'more invalid line')}")


def progressing(report: console.Report) -> Callable[[Loaded], None]:
    """Tells a progress display of what a load has done so far."""
    shown = 0

    def loaded(so_far: Loaded) -> None:
        nonlocal shown
        report(so_far.appended + so_far.repeated - shown)
        shown = so_far.appended + so_far.repeated

    return loaded


def tell(
    context: click.Context,
    done: Loaded,
    bad: BadLines,
    *,
    verb: str,
    skip_invalid: bool,
    as_json: bool,
) -> None:
    """Print what was done, and exit: 1 if a line was bad, 3 if others were appended all the same.

    verb: `appended` or `imported`.
    """
    if as_json:
        console.emit_json(
            Appended(
                appended=done.appended,
                repeated=done.repeated,
                invalid=bad.count,
                problems=bad.problems,
            )
        )
    else:
        console.table(
            ("outcome", "events"),
            [(verb, done.appended), ("there already", done.repeated), ("bad lines", bad.count)],
            right=["events"],
        )
    if bad.count:
        if not skip_invalid:
            console.error(f"nothing was {verb}: correct the lines, or give --skip-invalid")
        context.exit(of_outcomes(succeeded=done.appended + done.repeated, failed=bad.count))
