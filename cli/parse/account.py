"""The account that an argument names: by user name, email address, or id, looked up in the log."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from quantum_forge.cli.parse import ids
from quantum_forge.eventstore.base.errors import NoSuchUser, RuleBroken
from quantum_forge.eventstore.log import abbreviations
from quantum_forge.forge import Forge


@contextmanager
def naming(user: str) -> Iterator[None]:
    """Say what may not happen to a user with the name that the command was given.

    Raises:
        RuleBroken: the one that was raised, with that name.
    """
    try:
        yield
    except RuleBroken as error:
        if error.entity.partition(" ")[0] not in ("user", "organization_member"):
            raise
        raise RuleBroken(
            error.entity, error.state, error.event_type, error.allowed, name=user
        ) from error


def user_id_of(forge: Forge, user: str) -> UUID:
    """Return the id of the user with this name, email address or id, which may be abbreviated.

    Names are looked up in the log, whose tables may be behind.

    Raises:
        NoSuchUser: when no account has it.
        AmbiguousId: when it is an abbreviated id that fits more than one user.
    """
    tenant_id = forge.author.tenant_id
    with suppress(NoSuchUser):
        return forge.users.find(user)
    with forge.connect() as connection:
        if (digits := abbreviations.id_digits(user)) is not None:
            with suppress(abbreviations.UnknownId):
                return abbreviations.find_user(connection, tenant_id, digits)
        raise NoSuchUser(user, ids.names_of_users(connection, tenant_id))
