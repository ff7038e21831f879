"""`qforge ui`: the dashboard in a browser, for whoever starts it."""

import os
import webbrowser

import click
import msgspec

from quantum_forge.cli.command import Command
from quantum_forge.cli.commands.operation.serve import listen
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import MissingLibrary
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.registry import PROJECTIONS

HOST = "127.0.0.1"
"""Nobody else's machine reaches it."""


@click.command(cls=Command)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free one",
    help="Port on this machine to listen at.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def ui(port: int, no_browser: bool) -> None:
    """Open the dashboard in your browser, until Ctrl-C.

    You act in it as in other commands (`qforge whoami`), without a password: the address is valid
    once, for ten minutes, on this machine. `qforge serve` serves others, who sign in.

    \b
    Example:
      qforge ui
      qforge ui --no-browser --port 8001
    """
    try:
        import uvicorn

        from quantum_forge.web.app import OF_UVICORN, create_app
        from quantum_forge.web.auth.local import LocalSignIn
        from quantum_forge.web.dashboard.sign_in import LINK
        from quantum_forge.web.server import try_out
        from quantum_forge.web.settings import load_web_settings
    except ModuleNotFoundError as error:
        raise MissingLibrary("qforge ui", error.name or "uvicorn", "web") from None
    settings, web = load_settings(), load_web_settings()
    try_out(settings, web)
    with open_forge(settings, reads=PROJECTIONS) as forge:
        # Only a login that administers the database brings tables up to date.
        projects = web.projects and forge.person.administers
    web = msgspec.structs.replace(web, log=False, projects=projects)
    local = LocalSignIn()
    config = uvicorn.Config(
        create_app(settings, web, local=local), host=HOST, port=port, **OF_UVICORN
    )
    listener, address = listen(config, web.stream_seconds)
    link = f"{address}{LINK}?token={local.link().reveal()}"
    console.note(f"the dashboard is at {link}; Ctrl-C stops it")
    # The browser's own messages are not ours, and one without a display would wait in a terminal.
    if not no_browser and _has_display():
        webbrowser.open(link)
    uvicorn.Server(config).run(sockets=[listener])


def _has_display() -> bool:
    """Whether a window can be opened: on Linux there may be no display, as over SSH."""
    if os.name != "posix" or os.uname().sysname == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
