"""`qforge server`: the embedded PostgreSQL, shown and stopped."""

from datetime import UTC, datetime

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.server.embedded import EmbeddedServer, ServerState


@click.group(cls=Group)
def server() -> None:
    """Show or stop the embedded PostgreSQL.

    Commands start it when they need it. It stops QFORGE_SERVER_LINGER seconds (300, unless set)
    after the last command has ended.

    \b
    Example:
      qforge server status
      qforge server stop
    """


@server.command()
@json_option()
def status(as_json: bool) -> None:
    """Show whether the embedded PostgreSQL is running. Does not start it.

    \b
    Example:
      qforge server status
      qforge server status --json | jq .is_running
    """
    settings = load_settings()
    state = EmbeddedServer(settings.home).state()
    if as_json:
        console.emit_json(state)
    else:
        console.emit(described(state, datetime.now(UTC)))
        if state.user == "root":
            console.note(
                "It has root's rights to files, and so has whoever is a superuser of its database: "
                "run qforge as an ordinary user."
            )
    _note_other(settings)


@server.command()
@click.option(
    "--force", is_flag=True, help="Stop it even while a command uses it; that command then fails."
)
def stop(force: bool) -> None:
    """Stop the embedded PostgreSQL now.

    Refused while a command uses it.

    \b
    Example:
      qforge server stop
    """
    settings = load_settings()
    embedded = EmbeddedServer(settings.home)
    stopped = embedded.stop(force=force)
    console.note(f"{'Stopped' if stopped else 'Not running'}: {embedded.directory}")
    _note_other(settings)


def described(state: ServerState, now: datetime) -> str:
    """The state of the server in one line."""
    if not state.is_running:
        return f"{state.directory}: not running"
    if state.is_used:
        end = "in use"
    elif state.stops_at is not None:
        end = f"not in use, stops in {max((state.stops_at - now).total_seconds(), 0):.0f} s"
    else:
        end = "not in use; to stop it, run: qforge server stop"
    since = f", since {state.started_at.astimezone():%Y-%m-%d %H:%M:%S}" if state.started_at else ""
    user = f" of user {state.user}" if state.user else ""
    return (
        f"{state.directory}: running, PostgreSQL {state.version}, pid {state.pid}{user}{since}, "
        f"{end}"
    )


def _note_other(settings: Settings) -> None:
    if settings.url is not None:
        console.note(f"Commands use another database, which {settings.source} names.")
