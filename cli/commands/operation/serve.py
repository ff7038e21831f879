"""`qforge serve`: the store over HTTP."""

import errno
import os
import socket
import sys
from typing import Any

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import MissingLibrary, QuantumForgeError
from quantum_forge.eventstore.database.settings import load_settings


class NoListener(QuantumForgeError):
    """The server cannot listen at the address: another program does, or it is not allowed."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        if error.errno == errno.EADDRINUSE:
            advice = "stop the program that listens there, or give another --port"
        elif error.errno == errno.EACCES:
            advice = "give a --port from 1024 on"
        else:
            advice = "give another --host"
        super().__init__(f"{host}:{port} cannot be listened at ({error.strerror}): {advice}")


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any free one.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes."
)
@click.option("--quiet", is_flag=True, help="No line for each request.")
def serve(host: str, port: int, workers: int, quiet: bool) -> None:
    """Answer HTTP requests until Ctrl-C or SIGTERM.

    Tables are read at /rest/v1/TABLE and events followed at /events, with an API key of `qforge
    users key` or a token from /auth/v1/token as bearer. Each request is a line of JSON on stdout.
    TLS is left to a reverse proxy.

    \b
    Example:
      qforge serve --port 8080 --workers 2
    """
    try:
        import uvicorn

        from quantum_forge.web.app import OF_UVICORN
        from quantum_forge.web.server import try_out
        from quantum_forge.web.settings import load_web_settings
    except ModuleNotFoundError as error:
        raise MissingLibrary("qforge serve", error.name or "uvicorn", "web") from None
    # Their errors are for the person at the terminal.
    settings, web = load_settings(), load_web_settings()
    try_out(settings, web)
    with open_forge(settings, writes=True):
        pass  # migrates, and refuses a database that does not fit
    if quiet:
        os.environ["QFORGE_WEB_LOG"] = "no"
    config = uvicorn.Config(
        "quantum_forge.web.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        **OF_UVICORN,
    )
    listener, address = listen(config, web.stream_seconds)
    console.note(f"serving at {address}; Ctrl-C stops it")
    sys.stdout.flush()
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        from uvicorn.supervisors import Multiprocess

        Multiprocess(config, sockets=[listener]).run()


def listen(config: Any, stream_seconds: float) -> tuple[socket.socket, str]:
    """Listen at the host and port of a configuration of uvicorn.

    Clients may come from then on: they wait until all is ready.

    Returns:
        The socket, and its address such as http://127.0.0.1:8000.

    Raises:
        NoListener
    """
    listener = _bound(config.host, config.port)
    _cut_off_who_does_not_read(listener, stream_seconds)
    listener.listen(config.backlog)
    host, port = listener.getsockname()[:2]
    return listener, f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address, which worker processes inherit.

    Raises:
        NoListener
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NoListener(host, port, error) from None
    listener.set_inheritable(True)
    return listener


def _cut_off_who_does_not_read(listener: socket.socket, seconds: float) -> None:
    """Have the kernel close connections whose client takes nothing of a reply for so long.

    The connections inherit it. A whole reply waits in the memory of the process until it is taken,
    where the server itself looks no more.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
    if option is not None:
        milliseconds = min(2**31 - 1, max(1, round(seconds * 1000)))
        listener.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
