"""`qforge spool`: what waits for the database on this machine, and bringing it there."""

import contextlib
import socket
import sys
from pathlib import Path

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option, store_option
from quantum_forge.cli.served import address_of
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.cli.target import open_target
from quantum_forge.eventstore.actions.spool_report import report_spool
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.directory import served_spool_directory, spool_directory
from quantum_forge.eventstore.spool.segment_drain import Drained, Report
from quantum_forge.eventstore.spool.state import SpoolState, spool_state

SHOWN = 10
"""Rejected appends that are shown with their reasons."""


@click.group(cls=Group)
def spool() -> None:
    """Show and drain the spool: events that wait for the database.

    While the database is unreachable, results are kept in QFORGE_HOME/spool.

    \b
    Example:
      qforge spool status
      qforge spool drain
    """


@spool.command()
@store_option()
@json_option()
def status(store: str | None, as_json: bool) -> None:
    """Show the contents of the spool. Needs no database, and no server.

    Each store that is reached over HTTPS has a spool of its own.

    Exits with 1 when something needs attention: appends that the database rejected, torn or damaged
    bytes, entries that cannot be used.

    \b
    Example:
      qforge spool status
      qforge spool status --json | jq .events
    """
    settings = load_settings()
    url = address_of(settings, store)
    state = spool_state(
        spool_directory(settings.home)
        if url is None
        else served_spool_directory(settings.home, url)
    )
    if as_json:
        console.emit_json(state)
    else:
        show(state)
    sys.exit(1 if state.needs_attention else 0)


@spool.command("drain")
@click.option(
    "--past-damage",
    is_flag=True,
    help="Continue after damaged bytes, which are kept in a separate file.",
)
@store_option()
@json_option("the outcome as JSON")
def drain_command(past_damage: bool, store: str | None, as_json: bool) -> None:
    """Append the events in the spool to the log.

    May be stopped and repeated at any time: each event is appended once. Exits with 1 if some
    events could not be appended; qforge spool status shows them and the reasons.

    \b
    Example:
      qforge spool drain
      qforge spool drain --store https://forge.example
    """
    with (
        open_target(load_settings(), store, writes=True) as target,
        contextlib.ExitStack() as stack,
    ):
        report: Report = _unreported
        if waiting := sum(each.appends for each in spool_state(target.spool).segments):
            report = stack.enter_context(console.progress("draining", waiting))
        drained = target.drain(report=report, past_damage=past_damage)
    if as_json:
        console.emit_json(summary(drained))
    else:
        tell(drained)
    left = drained.rejected or drained.aside or drained.damaged or drained.unusable
    sys.exit(1 if left else 0)


def _unreported(_: int, __: int) -> None:
    """Report to nobody."""


@spool.command("report")
def report_command() -> None:
    """Record the current size of the spool, for the view system_health.

    Run it by a timer on each machine, so that the database shows every machine's spool.

    \b
    Example:
      qforge spool report
    """
    settings = load_settings()
    directory = spool_directory(settings.home)
    with (
        open_forge(settings, writes=True) as forge,
        Recorder(forge.engine, forge.author) as recorder,
    ):
        report_spool(recorder, host=socket.gethostname(), directory=directory)


def show(state: SpoolState) -> None:
    """Print the segments to stdout, and what needs attention to stderr."""
    console.table(
        ["segment", "state", "appends", "events", "bytes", "oldest"],
        [
            (
                Path(each.path).name,
                "in use" if each.is_in_use else "waiting",
                each.appends,
                each.events,
                each.bytes,
                each.oldest,
            )
            for each in state.segments
        ],
        right=["appends", "events", "bytes"],
        title=f"Spool {state.directory}",
    )
    for each in state.segments:
        for offset in each.damaged:
            console.note(
                f"{each.path} is damaged at byte {offset}: restore it, or leave the bytes out "
                "with: qforge spool drain --past-damage"
            )
        for offset in [] if each.is_in_use else each.torn:
            console.note(
                f"{each.path} ends in the middle of an append, at byte {offset}: its writer was "
                "interrupted before the append was recorded; a drain keeps the bytes in a "
                "separate file"
            )
    for entry in state.unusable:
        console.note(f"{entry.path} cannot be used ({entry.reason}): {entry.advice}")
    for kept in state.kept:
        console.note(
            f"{kept.path} holds {kept.bytes} bytes that are not a complete append; delete it "
            "after inspection"
        )
    for rejected in state.rejected[:SHOWN]:
        console.note(
            f"{rejected.path}: {counted(rejected.events, 'event')} rejected: {rejected.reason} "
            f"[{rejected.error}]"
        )
    if (more := len(state.rejected) - SHOWN) > 0:
        console.note(f"… and {more} more: qforge spool status --json")
    if state.rejected:
        console.note(
            "The log does not accept rejected events as they are. Their files are JSON Lines: "
            "copy what you need from them, then delete them."
        )
    if state.events:
        console.note("To append it to the log: qforge spool drain")


def summary(drained: Drained) -> dict[str, object]:
    """What a program wants to know of a drain."""
    return {
        "appends": drained.appends,
        "events": drained.events,
        "rejected": drained.rejected,
        "kept": drained.aside,
        "in_use": drained.busy,
        "damaged": [
            {"path": str(each.path), "offset": each.offset, "intact": each.intact}
            for each in drained.damaged
        ],
        "unusable": [
            {"path": str(each.path), "reason": each.reason, "advice": each.advice}
            for each in drained.unusable
        ],
    }


def tell(drained: Drained) -> None:
    """Say on stderr what a drain did."""
    console.note(f"Appended {counted(drained.events, 'event')} from the spool to the log.")
    for reason in drained.rejected[:SHOWN]:
        console.note(f"Rejected: {reason}")
    if drained.rejected:
        console.note(
            f"Rejected {counted(len(drained.rejected), 'append')}, which the spool keeps; "
            "see: qforge spool status"
        )
    for aside in drained.aside:
        console.note(
            f"{aside.segment} had {aside.bytes} bytes at {aside.offset} that are not a complete "
            f"append; they are kept in {aside.kept}"
        )
    for problem in (*drained.damaged, *drained.unusable):
        console.note(str(problem))
    if drained.busy:
        console.note(
            f"Left {counted(len(drained.busy), 'segment')} to running processes, which drain "
            "their own segments."
        )
