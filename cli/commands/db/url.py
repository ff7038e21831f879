"""`qforge db url`: the URL of the database."""

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.server.embedded import EmbeddedServer


@click.command(cls=Command)
@click.option(
    "--show-password",
    is_flag=True,
    help=(
        "Print secrets instead of ***. Pass them on in an environment variable or a private file: "
        "other users can read the arguments of a program."
    ),
)
def url(show_password: bool) -> None:
    """Print the URL of the database, as psql and DATABASE_URL accept it.

    To run psql or to make a dump, use `qforge db psql` and `qforge db backup`: they do not
    show the password.

    \b
    Example:
      qforge db url
      DATABASE_URL="$(qforge db url --show-password)" python analysis.py
    """
    settings = load_settings()
    address = settings.url
    if address is None:
        address = EmbeddedServer(settings.home).url()
        console.note(
            "The embedded server runs during a command and for some minutes after it; see: qforge "
            "server status"
        )
    console.emit(libpq_url(address, hide_password=not show_password))
