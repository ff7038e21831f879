"""`qforge users`: accounts, their passwords and their API keys."""

import sys
from datetime import datetime
from uuid import UUID

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.commands.recording.notifications import notifications
from quantum_forge.cli.commands.recording.totp import totp
from quantum_forge.cli.parse.account import naming, user_id_of
from quantum_forge.cli.parse.options import json_option, limit_option, time
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries.people import select_users
from quantum_forge.projections.queries.rows import rows
from quantum_forge.schema.domains.access import Scope
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
    """Register users, give them roles, passwords and API keys, and link logins to them.

    \b
    Example:
      qforge users register ada --email ada@example.org
    """


users.add_command(notifications)
users.add_command(totp)


@users.command()
@click.argument("username")
@click.option("--email", required=True, help="Email address; unique, regardless of case.")
@click.option("--name", "full_name", help="Full name.")
@click.option("--institution", help="Where the user works.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    help="Role of the user. [default: researcher; admin, if the tenant has no admin yet]",
)
@click.option(
    "--no-password", is_flag=True, help="Register a user without a password, who logs in elsewhere."
)
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option(
    "--id",
    "id_",
    type=UUID,
    metavar="ID",
    help="Id of the user: one that events carry from before there were users.  [default: a new"
    " one; for the first user, that of what you have recorded]",
)
@json_option()
def register(
    username: str,
    email: str,
    full_name: str | None,
    institution: str | None,
    role: str | None,
    no_password: bool,
    password_stdin: bool,
    id_: UUID | None,
    as_json: bool,
) -> None:
    """Register USERNAME. Asks for a password, and stores only its Argon2id hash.

    The first admin of a tenant is you: your database login is linked to the new user, as `qforge
    users link` does, and later commands act as that user, who also gets the id that your earlier
    events carry. What others have recorded before becomes theirs by --id.

    \b
    Example:
      qforge users register ada --email ada@example.org
      qforge users register bob --email bob@example.org --role viewer
      qforge users register ada --email ada@example.org --password-stdin < password.txt
    """
    settings = load_settings()
    password = None if no_password else _password(from_stdin=password_stdin)
    with open_forge(settings, writes=True) as forge:
        first = not forge.users.has_admin()
        chosen = Role(role) if role is not None else Role.ADMIN if first else Role.RESEARCHER
        if first and chosen is not Role.ADMIN:
            raise click.UsageError(
                "the tenant has no admin yet, who could give roles to others: register the admin "
                f"first, without --role {chosen}"
            )
        login = forge.person.login if first and forge.person.linked_user is None else None
        earlier = forge.author.user_id if login and not forge.person.has_users else None
        if id_ is None and earlier is not None and not settings.user_is_given:
            id_ = earlier
        is_known = id_ is not None and any(forge.events(user_id=id_, limit=1))
        user_id = forge.users.register(
            user_id=id_,
            email=email,
            username=username,
            password=password,
            full_name=full_name,
            institution=institution,
            role=chosen,
            login=login,
        )
    console.emit_id(user_id, as_json=as_json)
    if is_known:
        console.note(f"What was recorded under this id before is {username}'s from now on.")
    if login is not None:
        console.note(
            f"{username} is the first admin of the tenant, and you: the database login {login} acts"
            f" as {username} from now on. To undo that: qforge users unlink {login}"
        )


@users.command()
@click.argument("login")
@click.argument("user")
def link(login: str, user: str) -> None:
    """Have the database login LOGIN act as USER: a user name, an email address, or an id.

    Whoever connects with it has the role of that user. Several logins may act as the same user.

    \b
    Example:
      qforge users link ada_laptop ada
    """
    with open_forge(writes=True) as forge, naming(user):
        user_id, person = user_id_of(forge, user), forge.person
        forge.logins.link(login, user_id)
    console.note(f"The database login {login} acts as {user}.")
    if person.login == login and person.linked_user not in (None, user_id):
        console.note(
            f"It is yours, and acted as {person.name} before. To undo that: "
            f"QFORGE_USER_ID={person.name} qforge users link {login} {person.name}"
        )


@users.command()
@click.argument("login")
def unlink(login: str) -> None:
    """Have the database login LOGIN act as no user.

    \b
    Example:
      qforge users unlink ada_laptop
    """
    with open_forge(writes=True) as forge:
        forge.logins.unlink(login)
    console.note(f"The database login {login} acts as no user.")


@users.command()
@click.argument("user")
@click.argument("role", type=click.Choice([role.value for role in Role]), metavar="ROLE")
@click.option("--yes", is_flag=True, help="Do not ask.")
def role(user: str, role: str, yes: bool) -> None:
    """Give USER the role ROLE: admin, researcher or viewer.

    USER is a user name, an email address, or an id. Asks before it takes the role of admin from
    you. The last admin of a tenant keeps it.

    \b
    Example:
      qforge users role ada admin
    """
    with open_forge(writes=True) as forge:
        user_id = user_id_of(forge, user)
        loses = Role(role) is not Role.ADMIN and forge.person.power is Role.ADMIN
        if loses and not yes and user_id == forge.author.user_id:
            click.confirm(
                f"{user} is you, and will no longer be an admin. Go on?", abort=True, err=True
            )
        with naming(user):
            forge.users.change_role(user_id, role=Role(role))
    console.note(f"{user} has the role {role}.")


@users.command()
@click.argument("user")
@click.option("--reason", help="Reason, which is recorded.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def deactivate(user: str, reason: str | None, yes: bool) -> None:
    """Close the account of USER. What the user did stays; sessions and keys open nothing any more.

    Asks before it closes your own account. The last admin of a tenant cannot be deactivated.

    \b
    Example:
      qforge users deactivate ada --reason 'left the group'
    """
    with open_forge(writes=True) as forge:
        user_id = user_id_of(forge, user)
        if not yes and user_id == forge.author.user_id:
            click.confirm(
                f"{user} is you, and you can do nothing more afterwards. Deactivate the account?",
                abort=True,
                err=True,
            )
        with naming(user):
            forge.users.deactivate(user_id, reason=reason)
    console.note(f"The account of {user} is deactivated.")


@users.command()
@click.argument("user")
def reactivate(user: str) -> None:
    """Open the account of USER again. Sessions and keys from before stay closed.

    \b
    Example:
      qforge users reactivate ada
    """
    with open_forge(writes=True) as forge, naming(user):
        forge.users.reactivate(user_id_of(forge, user))
    console.note(f"The account of {user} is active.")


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
    with open_forge(reads=["users"]) as forge, forge.connect() as connection:
        query = select_users(forge.author.tenant_id, limit=limit)
        found = rows(connection, query)
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
    with open_forge(writes=True) as forge:
        user_id = user_id_of(forge, user)
        with naming(user):
            forge.users.change_password(user_id, password=_password(from_stdin=password_stdin))
    console.note(f"{user} has a new password.")


@users.command()
@click.argument("user")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    help="Scope of the key; may be repeated.  [default: whatever the user may]",
)
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
    with open_forge(writes=True) as forge:
        user_id = user_id_of(forge, user)
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
