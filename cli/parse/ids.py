"""An id as it is written on the command line: whole, or its first digits."""

from typing import NewType
from uuid import UUID

import click
from sqlalchemy import Connection

from quantum_forge.eventstore.log import abbreviations

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
