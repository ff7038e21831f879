"""`qforge users totp`: a second factor at login, from an authenticator app."""

import sys

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.account import naming, user_id_of
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import WrongCode
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.security.encryption import load_encryption


@click.group(cls=Group)
def totp() -> None:
    """Require the code of an authenticator app at the logins of a user.

    \b
    Example:
      qforge users totp enable ada
    """


@totp.command()
@click.argument("user")
@json_option()
def enable(user: str, as_json: bool) -> None:
    """Print a new secret for the authenticator app of USER, and ask for a code of the app.

    The secret is stored encrypted, with the key that `qforge db encryption-key` makes, and cannot
    be printed again. It counts once a code confirmed it: on a terminal this command asks for one,
    and prints the recovery codes; otherwise run `qforge users totp confirm`.

    \b
    Example:
      qforge users totp enable ada
    """
    with open_forge(writes=True) as forge:
        load_encryption(forge.settings)
        user_id = user_id_of(forge, user)
        app = forge.users.prepare_two_factor(user_id)
        if as_json:
            console.emit_json({"uri": app.uri.reveal(), "secret": app.text.reveal()})
            return
        console.emit(app.uri.reveal())
        console.emit(app.text.reveal())
        if not sys.stdin.isatty():
            console.note(f"Enter it in an app, and run: qforge users totp confirm {user} CODE")
            return
        while True:
            code = Secret(click.prompt("Code that the app shows"))
            try:
                codes = forge.users.enable_two_factor(user_id, code)
            except WrongCode as error:
                console.note(str(error))
            else:
                break
    _print_codes(user, codes)


@totp.command()
@click.argument("user")
@click.argument("code")
@json_option()
def confirm(user: str, code: str, as_json: bool) -> None:
    """Have the app that was prepared for USER count, with the CODE that it shows.

    Prints recovery codes, each of which takes the place of the app at one login. They cannot be
    printed again.

    \b
    Example:
      qforge users totp confirm ada 123456
    """
    with open_forge(writes=True) as forge:
        load_encryption(forge.settings)
        codes = forge.users.enable_two_factor(user_id_of(forge, user), Secret(code))
    if as_json:
        console.emit_json({"recovery_codes": [each.reveal() for each in codes]})
        return
    _print_codes(user, codes)


@totp.command()
@click.argument("user")
def disable(user: str) -> None:
    """Have the logins of USER take the password alone.

    \b
    Example:
      qforge users totp disable ada
    """
    with open_forge(writes=True) as forge, naming(user):
        forge.users.disable_two_factor(user_id_of(forge, user))
    console.note(f"The logins of {user} take the password alone.")


def _print_codes(user: str, codes: list[Secret]) -> None:
    for each in codes:
        console.emit(each.reveal())
    console.note(
        f"The logins of {user} take a code of the app from now on. Keep these recovery codes: each"
        " takes the place of the app once, and they cannot be shown again."
    )
