"""`qforge retry`: failed calculations again, after a while, until the limit."""

import sys
from datetime import datetime
from typing import Any

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.parse.options import jobs_option, json_option, store_option
from quantum_forge.cli.session import tell_trouble
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.cli.target import open_target
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.errors import EngineMissing

PLANNED = (
    Shown("id"),
    Shown("story", label="until now", long=True),
    Shown("decision", long=True),
    Shown("attempt", 0, "next attempt"),
    Shown("retry_at", label="not before"),
    Shown("error_message", label="last error", long=True, rank=1),
)


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Only print what would be done; record nothing.")
@click.option(
    "--max-retries",
    type=click.IntRange(0),
    help="Retries after errors of the same type.  [default: by type; input errors never]",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Keep running, and run retries as they become due, until Ctrl-C.",
)
@click.option(
    "--first-delay",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds before the first retry; each further one waits twice as long.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="Time limit of an attempt in seconds.  [default: that of the attempt before]",
)
@view_options()
@jobs_option()
@store_option()
@json_option()
def retry(
    dry_run: bool,
    max_retries: int | None,
    follow: bool,
    first_delay: float,
    timeout: float | None,
    jobs: int,
    store: str | None,
    as_json: bool,
) -> None:
    """Try failed calculations again, with exponential backoff, up to a limit.

    What was asked for and has not begun, as by the editor of the dashboard, is computed at once.
    Each retry is scheduled as an event (60 s after the failure, then 2 min, 4 min, … up to an hour;
    half of the delay is random) and runs when it is due: in this command with --follow, otherwise
    in the next call. The limit follows from the type of error: 3 retries after a timeout or a lack
    of resources, 5 after a lost process or a random error, 1 after a convergence error or an
    unknown error, none after an input error. Exit status: 0 when no attempt failed, 3 when some
    failed again, 1 when all did or after an error.

    \b
    Example:
      qforge retry --dry-run
      qforge retry --follow --jobs 8
      qforge retry --max-retries 1 --timeout 1800
    """
    if dry_run and follow:
        raise click.UsageError("--dry-run and --follow contradict each other; give one of them")
    try:
        from quantum_forge.runner.retries.backoff import Backoff
        from quantum_forge.runner.retries.retries import Retries, find_failed
        from quantum_forge.runner.workers.liveness import identity
    except ImportError as error:
        raise EngineMissing(error) from error

    backoff = Backoff(
        limit=max_retries, first_seconds=first_delay, longest_seconds=max(first_delay, 3600.0)
    )
    settings = load_settings()
    with open_target(
        settings, store, writes=not dry_run, follows=follow, needs=["calculations"]
    ) as target:
        if dry_run:
            with target.reading() as log:
                known = find_failed(log, backoff)
                now = log.server_time()
            _print([_planned(each, backoff, now) for each in known], as_json)
            return
        recorder = Recorder(
            target.store,
            Author(
                tenant_id=target.tenant_id,
                user_id=target.user_id,
                more={"service": "retry", **identity()},
            ),
        )

        def tell(calculation: Any, successful: bool) -> None:
            outcome = "has a result" if successful else "failed again"
            console.note(f"{calculation.calculation_id}: attempt {calculation.attempt} {outcome}")

        with recorder, target.kept_current():
            done = Retries(
                recorder,
                backoff,
                jobs=jobs,
                timeout_seconds=timeout,
                on_attempt=tell,
                on_trouble=tell_trouble,
            ).run(follow=follow)
    console.note(
        f"{done.scheduled} scheduled, {done.attempts} tried again, {done.completed} completed"
    )
    if as_json:
        console.emit_json(done)
    else:
        _print([_planned(each, backoff) for each in (*done.waiting, *done.given_up)], False)
    if done.signal is not None:
        sys.exit(128 + done.signal)
    sys.exit(of_outcomes(succeeded=done.completed, failed=done.attempts - done.completed))


def _planned(calculation: Any, backoff: Any, now: datetime | None = None) -> dict[str, Any]:
    """A row of what is to be done; the time of a retry that has none is the earliest possible.

    `now`: by the server's clock, where there may be retries without a time.
    """
    from quantum_forge.runner.retries.failed_calculations import Verdict

    gave_up = calculation.verdict is Verdict.GIVEN_UP
    retry_at = calculation.retry_at
    decision = calculation.verdict.value
    if calculation.verdict is Verdict.TO_SCHEDULE:
        retry_at = calculation.failed_at + backoff.delay(len(calculation.earlier), 0.0)
        is_due = now is not None and retry_at <= now
        decision = "due" if is_due else "to be scheduled"
    elif calculation.reason is not None:
        decision = f"given up: {calculation.reason}"
    elif gave_up:
        allowed = backoff.allowed(calculation.error_type)
        decision = f"given up: {counted(allowed, 'retry', 'retries')} at most"
    return {
        "id": calculation.calculation_id,
        "story": calculation.story,
        "decision": decision,
        "attempt": None if gave_up else calculation.attempt,
        "retry_at": retry_at,
        "error_type": calculation.error_type,
        "error_message": calculation.error_message,
        "failures": calculation.failures,
    }


def _print(planned: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        console.emit_json(planned)
    elif planned or not console.is_terminal():
        columns.table(PLANNED, planned)
    else:
        console.note("No failed calculation can be tried again.")
