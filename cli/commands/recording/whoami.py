"""`qforge whoami`: as whom the database login acts, and what that user may do."""

import click
import msgspec

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.permissions import LEAST_ROLE
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.recording.person import Person
from quantum_forge.schema.domains.users import Role

MEANING = {
    Role.VIEWER: "read, and change their own account",
    Role.RESEARCHER: "read, and record calculations and all else but accounts",
    Role.ADMIN: "do everything",
}
"""What a user with a role may do."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, as `--json` prints it.

    how: how the user was determined. may: what the user may do. refused: the commands that the user
    may not run.
    """

    login: str
    tenant_id: str
    user_id: str | None
    user: str | None
    role: str | None
    how: str
    may: str
    refused: list[str]


@click.command(cls=Command)
@json_option()
def whoami(as_json: bool) -> None:
    """Show as whom you act, and what you may do.

    The user is the one that your database login is linked to (`qforge users link`). A login that
    administers the database may name another one in QFORGE_USER_ID.

    \b
    Example:
      qforge whoami
      qforge whoami --json
    """
    with open_forge() as forge:
        person, user_id = forge.person, forge.author.user_id
    answer = Answer(
        login=person.login,
        tenant_id=str(person.tenant_id),
        user_id=None if user_id is None else str(user_id),
        user=person.username,
        role=person.power,
        how=_how(person),
        may=_may(person),
        refused=[name for name, needed in LEAST_ROLE.items() if not person.may(needed)],
    )
    if as_json:
        console.emit_json(answer)
        return
    rows = [(name.replace("_", " "), value) for name, value in msgspec.to_builtins(answer).items()]
    console.table(("fact", "value"), [(name, _text(value)) for name, value in rows if value != []])


def _how(person: Person) -> str:
    if person.claimed is not None:
        return "QFORGE_USER_ID names the user"
    if person.linked_user is not None:
        return f"the database login {person.login} is linked to the user"
    if not person.has_users:
        return "the tenant has no users: the id is made of your name on this machine"
    if person.administers:
        return (
            f"the database login {person.login} administers the database, and is linked to no user"
        )
    return f"the database login {person.login} is linked to no user"


def _may(person: Person) -> str:
    if not person.has_users:
        return "do everything: the tenant has no users"
    if person.may_everything:
        return "do everything, as an administrator of the database"
    if person.state == "inactive":
        return "do nothing: the account is deactivated"
    if person.power is not None:
        return MEANING[person.power]
    if person.user_id is None and person.works:
        return "record what a machine computes, as a member of qforge_worker"
    if person.user_id is None:
        return "read what the roles of the login let it read (qforge db roles)"
    return "do nothing: there is no such user in the tenant"


def _text(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
