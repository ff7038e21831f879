"""`qforge notify`: send users the notifications that they chose."""

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

import click
import msgspec

from quantum_forge.cli.command import Command
from quantum_forge.cli.exit_status import of_outcomes
from quantum_forge.cli.parse.moments import MOMENT, moment
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge, tell_trouble
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import EncryptionKeyMissing
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.security.encryption import load_encryption
from quantum_forge.forge import Forge
from quantum_forge.notifications.messages import render
from quantum_forge.notifications.notifier import Notifier
from quantum_forge.notifications.outbox import Sent
from quantum_forge.notifications.settings import load_notify_settings
from quantum_forge.projections.history.moment import position_at
from quantum_forge.schema.domains.notifications import NotificationQueued

PLANNED = (
    Shown("user_id", label="user"),
    Shown("channel"),
    Shown("event_count", 0, "events"),
    Shown("subject", long=True),
)


@click.command(cls=Command)
@click.option(
    "--once/--follow",
    "once",
    default=False,
    help="Stop when what is there was sent, or run until Ctrl-C.  [default: --follow]",
)
@click.option("--dry-run", is_flag=True, help="Print what would be sent; send and record nothing.")
@click.option(
    "--since",
    type=moment,
    metavar="MOMENT",
    help=f"Where the first run begins: {MOMENT}.  [default: the end of the log]",
)
@json_option()
def notify(once: bool, dry_run: bool, since: int | datetime | None, as_json: bool) -> None:
    """Tell users by mail and webhook what they asked for: `qforge users notifications`.

    That is a batch that completed, something that failed, a calculation that is not retried any
    more, calculations that have become slower. Failures within a minute are one message; the next
    ones wait longer, up to an hour. Mails need QFORGE_SMTP_URL and QFORGE_SMTP_FROM. What cannot be
    sent is tried again for three days. Each attempt is an event, and a row of `notifications`. Exit
    status with --once: 0 when no attempt failed, 3 when some did, 1 when all did or after an error.

    \b
    Example:
      qforge notify
      qforge notify --once
      qforge notify --dry-run --since 1d
    """
    follows = not (once or dry_run)
    if follows and as_json:
        raise click.UsageError("--json prints one document at the end: give --once or --dry-run")
    notify_settings = load_notify_settings()
    settings = load_settings()
    try:
        encryption = load_encryption(settings)
    except EncryptionKeyMissing:
        encryption = None  # no webhook can be stored without it, either
    with open_forge(settings, writes=not dry_run, follows=follows) as forge:
        done: list[Sent] = []

        def sent(each: Sent) -> None:
            if not follows:
                done.append(each)
            if not as_json:
                console.row((each.status, each.channel, each.user_id, each.subject))
                if each.error is not None:
                    console.note(f"{each.id}: {each.error}")

        notifier = Notifier(
            forge.engine,
            msgspec.structs.replace(forge.author, more={"service": "notify"}),
            notify_settings,
            encryption,
            begin=None if since is None else _begin(forge, since),
            on_sent=sent,
        )
        try:
            if dry_run:
                _print(notifier.look(), as_json)
                return
            if notify_settings.mail is None:
                console.note("No mails are sent: QFORGE_SMTP_URL is not set.")
            if follows:
                _follow(notifier)
                return
            notifier.once()
        finally:
            notifier.close()
    if as_json:
        console.emit_json(done)
    counts = Counter(each.status for each in done)
    console.note(f"{counted(len(done), 'attempt')}, {counts['delivered']} delivered")
    delivered = counts["delivered"]
    sys.exit(of_outcomes(succeeded=delivered, failed=len(done) - delivered))


def _begin(forge: Forge, since: int | datetime) -> int:
    with forge.connect() as connection:
        return position_at(connection, since, may_precede=True)


def _print(planned: list[NotificationQueued], as_json: bool) -> None:
    rows = [
        {
            "user_id": each.user_id,
            "channel": each.channel,
            "kind": each.kind,
            "event_count": each.event_count,
            "subject": (message := render(each.kind, each.channel, each.matter)).subject,
            "text": message.text,
        }
        for each in planned
    ]
    if as_json:
        console.emit_json(rows)
    else:
        columns.table(PLANNED, rows)


def _follow(notifier: Notifier) -> None:
    """Follow in a thread: what interrupts this one must not interrupt a message."""
    stop = threading.Event()
    console.note("Notifying; stop with Ctrl-C.")
    with ThreadPoolExecutor(1) as worker:
        try:
            following = worker.submit(notifier.follow, stop, on_trouble=tell_trouble)
            # Ctrl-C, or the SystemExit that SIGTERM becomes.
            with suppress(KeyboardInterrupt, SystemExit):
                following.result()
        finally:
            stop.set()
        following.result()
