"""`qforge users notifications`: which notifications a user gets, and by which channel."""

import sys
from typing import Any
from uuid import UUID

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.account import naming, user_id_of
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.forge import Forge
from quantum_forge.notifications.attempt import NotSent
from quantum_forge.notifications.recipients import ENABLED, WANTED
from quantum_forge.notifications.settings import load_notify_settings
from quantum_forge.notifications.webhook import require_webhook

_NAMES = (*ENABLED.values(), *(name for name, _ in WANTED.values()))
_DEFAULTS = {**dict.fromkeys(ENABLED.values(), False), **dict(WANTED.values())}


@click.command("notifications", cls=Command)
@click.argument("user", required=False)
@click.option("--email/--no-email", "email", default=None, help="Send mails to the user.")
@click.option("--slack/--no-slack", "slack", default=None, help="Post to the user's webhook.")
@click.option(
    "--completions/--no-completions", "completions", default=None, help="When a batch is done."
)
@click.option("--failures/--no-failures", "failures", default=None, help="When something failed.")
@click.option(
    "--given-up/--no-given-up",
    "given_up",
    default=None,
    help="When a calculation is not retried any more.",
)
@click.option(
    "--regressions/--no-regressions",
    "regressions",
    default=None,
    help="When calculations have become slower; off by default.",
)
@click.option("--webhook", is_flag=True, help="Ask for the URL of the webhook, and store it.")
@click.option("--webhook-stdin", is_flag=True, help="Read the URL of the webhook from stdin.")
@json_option()
def notifications(
    user: str | None,
    email: bool | None,
    slack: bool | None,
    completions: bool | None,
    failures: bool | None,
    given_up: bool | None,
    regressions: bool | None,
    webhook: bool,
    webhook_stdin: bool,
    as_json: bool,
) -> None:
    """Set and print which notifications USER gets from `qforge notify`; without USER, you.

    Nothing is sent unless a channel is on. The URL of a webhook, as Slack, Mattermost and others
    give it, is a secret, and stored encrypted: qforge db encryption-key makes the key.

    \b
    Example:
      qforge users notifications
      qforge users notifications --email --no-failures
      qforge users notifications ada --slack --webhook-stdin < webhook.txt
    """
    chosen = dict(
        zip(_NAMES, (email, slack, completions, failures, given_up, regressions), strict=True)
    )
    changes: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    url = _webhook(from_stdin=webhook_stdin) if webhook or webhook_stdin else None
    with open_forge(writes=bool(changes or url is not None)) as forge:
        if user is None and forge.author.user_id is None:
            raise click.UsageError("you act as no user: name the USER")
        user_id = forge.author.user_id if user is None else user_id_of(forge, user)
        assert user_id is not None
        with naming(user or "your user"):
            if url is not None:
                forge.users.set_webhook(user_id, url)
            if changes:
                forge.users.change_preferences(user_id, **changes)
        _print(forge, user_id, as_json)


def _print(forge: Forge, user_id: UUID, as_json: bool) -> None:
    stream = Stream(forge.author.tenant_id, "user", user_id)
    with forge.connect() as connection:
        latest = latest_values(connection, stream, [*_NAMES, "slack_webhook_url"])
    found = {name: _DEFAULTS[name] if latest[name] is None else latest[name] for name in _NAMES}
    found["has_webhook"] = latest["slack_webhook_url"] is not None
    if as_json:
        console.emit_json(found)
        return
    columns.table(
        (Shown("preference"), Shown("value")),
        [{"preference": name, "value": value} for name, value in found.items()],
    )


def _webhook(*, from_stdin: bool) -> Secret:
    """The URL of a webhook, checked as far as that needs no network."""
    if from_stdin:
        url = Secret(sys.stdin.readline().strip())
    elif sys.stdin.isatty():
        url = Secret(click.prompt("URL of the webhook", hide_input=True))
    else:
        raise click.UsageError("there is no terminal to ask for the URL; use --webhook-stdin")
    try:
        require_webhook(url, private=load_notify_settings().private_webhooks)
    except NotSent as error:
        raise InvalidSetting("--webhook", error.reason.removeprefix("the webhook's ")) from None
    return url
