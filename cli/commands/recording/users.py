"""`qforge users`: accounts, their passwords and their API keys."""

import sys
from datetime import datetime
from uuid import UUID

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option, limit_option, time
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries.people import select_users
from quantum_forge.schema.domains.users import Role

LISTED = (
    Shown("id"),
    Shown("username"),
    Shown("email", long=True),
    Shown("full_name", label="name", long=True, rank=1),
    Shown("role"),
    Shown("tier", rank=3),
    Shown("is_active", label="active"),
    Shown("last_login_at", label="last login", rank=2),
)


@click.group(cls=Group)
def users() -> None:
    """Register users, and give them passwords and API keys.

    \b
    Example:
      qforge users register ada --email ada@example.org
    """


@users.command()
@click.argument("username")
@click.option("--email", required=True, help="Email address; unique, regardless of case.")
@click.option("--name", "full_name", help="Full name.")
@click.option("--institution", help="Where the user works.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.RESEARCHER.value,
    show_default=True,
    help="Role of the user.",
)
@click.option(
    "--no-password", is_flag=True, help="Register a user without a password, who logs in elsewhere."
)
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@json_option()
def register(
    username: str,
    email: str,
    full_name: str | None,
    institution: str | None,
    role: str,
    no_password: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Register USERNAME. Asks for a password, and stores only its Argon2id hash.

    \b
    Example:
      qforge users register ada --email ada@example.org --role admin
      qforge users register ada --email ada@example.org --password-stdin < password.txt
    """
    settings = load_settings()
    password = None if no_password else _password(from_stdin=password_stdin)
    with open_forge(settings, writes=True) as forge:
        user_id = forge.users.register(
            email=email,
            username=username,
            password=password,
            full_name=full_name,
            institution=institution,
            role=Role(role),
        )
    _print_id(user_id, as_json)


@users.command("list")
@view_options()
@limit_option("the newest")
@json_option()
def list_(limit: int, as_json: bool) -> None:
    """Print users, the newest first, without password hashes.

    \b
    Example:
      qforge users list --json
    """
    settings = load_settings()
    with open_forge(settings, reads=["users"]) as forge, forge.connect() as connection:
        query = select_users(settings.tenant_id, limit=limit)
        found = [dict(row) for row in connection.execute(query).mappings()]
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, found)


@users.command()
@click.argument("user")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
def password(user: str, password_stdin: bool) -> None:
    """Change the password of USER, a user name or an email address.

    \b
    Example:
      qforge users password ada
    """
    settings = load_settings()
    with open_forge(settings, writes=True) as forge:
        recorder = forge.users
        user_id = recorder.find(user)
        recorder.change_password(user_id, password=_password(from_stdin=password_stdin))
    console.note(f"{user} has a new password.")


@users.command()
@click.argument("user")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="Scope of the key; may be repeated.")
@click.option("--rate-limit", type=click.IntRange(min=1), help="Maximum number of uses per minute.")
@click.option("--quota", type=click.IntRange(min=1), help="Maximum number of uses in total.")
@click.option(
    "--expires", type=time, metavar="TIME", help="Day on which it expires, such as 2027-01-01."
)
@json_option()
def key(
    user: str,
    name: str,
    scopes: tuple[str, ...],
    rate_limit: int | None,
    quota: int | None,
    expires: datetime | None,
    as_json: bool,
) -> None:
    """Issue an API key called NAME to USER, and print it. It cannot be printed again.

    \b
    Example:
      qforge users key ada notebook --scope read --expires 2027-01-01
    """
    settings = load_settings()
    with open_forge(settings, writes=True) as forge:
        user_id = forge.users.find(user)
        issued = forge.keys.issue(
            user_id,
            name=name,
            scopes=scopes,
            rate_limit=rate_limit,
            usage_quota=quota,
            expires_at=expires,
        )
    if as_json:
        console.emit_json({"id": issued.id, "prefix": issued.prefix, "key": issued.key.reveal()})
        return
    console.emit(issued.key.reveal())
    console.note("Keep it: only its hash is stored, and it cannot be shown again.")


def _password(*, from_stdin: bool) -> Secret:
    if from_stdin:
        return Secret(sys.stdin.readline().rstrip("\n"))
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _print_id(user_id: UUID, as_json: bool) -> None:
    if as_json:
        console.emit_json({"id": user_id})
    else:
        console.emit(str(user_id))
