"""An id as it is written on the command line: whole, or its first digits."""

from contextlib import suppress
from typing import NewType
from uuid import UUID

import click
from sqlalchemy import Connection, select

from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.log import abbreviations
from quantum_forge.schema.domains.users import users

_SUGGESTED_FROM = 1_000

Beginning = NewType("Beginning", str)
"""The first hexadecimal digits of an id, in lower case."""


class Id(click.ParamType[UUID | Beginning]):
    """The type of what takes an id: a UUID, or at least its first four digits.

    A command resolves it with `entity` or `user`, once it has a connection.
    """

    name = "id"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> UUID | Beginning:
        """Return the id, or its beginning."""
        digits = abbreviations.id_digits(str(value).strip().lower())
        if digits is None:
            self.fail(
                f"{value!r} is not an id; give a UUID, or at least the first "
                f"{abbreviations.SHORTEST_PREFIX} of its hexadecimal digits",
                param,
                ctx,
            )
        if len(digits) == abbreviations.FULL_LENGTH:
            return UUID(digits)
        return Beginning(digits)


ID = Id()


def entity(connection: Connection, tenant_id: UUID, given: UUID | Beginning | None) -> UUID | None:
    """The entity that is meant.

    Raises:
        UnknownId, AmbiguousId: when it is abbreviated, and no entity, or more than one, fits.
    """
    if given is None or isinstance(given, UUID):
        return given
    return abbreviations.find_entity(connection, tenant_id, given)


def user(connection: Connection, tenant_id: UUID, given: UUID | Beginning | None) -> UUID | None:
    """The user that is meant.

    Raises:
        UnknownId, AmbiguousId: when it is abbreviated, and no user, or more than one, fits.
    """
    if given is None or isinstance(given, UUID):
        return given
    return abbreviations.find_user(connection, tenant_id, given)


def named_user(connection: Connection, tenant_id: UUID, given: str) -> UUID:
    """The user with this id, user name or email address.

    Raises:
        click.BadParameter: when no user has that name, or an id that begins so.
        AmbiguousId: when it is an abbreviated id that fits more than one user.
    """
    try:
        return UUID(given)
    except ValueError:
        pass
    c = users.c
    name = c.email if "@" in given else c.username
    found = connection.scalar(select(c.id).where(c.tenant_id == tenant_id, name == given))
    if found is None:
        if (digits := abbreviations.id_digits(given.lower())) is not None:
            with suppress(abbreviations.UnknownId):
                return abbreviations.find_user(connection, tenant_id, digits)
        hint = suggestion(
            given,
            names_of_users(connection, tenant_id),
            otherwise="give a user name, an email address, an id or at least "
            f"{abbreviations.SHORTEST_PREFIX} of its digits",
        )
        raise click.BadParameter(f"no user {given!r}; {hint}")
    assert isinstance(found, UUID)
    return found


def names_of_users(connection: Connection, tenant_id: UUID) -> list[str]:
    """User names of the tenant, from which an error suggests similar ones."""
    c = users.c
    query = select(c.username).where(c.tenant_id == tenant_id).limit(_SUGGESTED_FROM)
    return list(connection.scalars(query))
