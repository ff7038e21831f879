"""Filters that pages have in common: a time, a user."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, String, cast, func, or_, select

from quantum_forge.eventstore.base.moments import parse_time
from quantum_forge.schema.domains.users import users
from quantum_forge.web.rest.errors import RestError


def time_in(text: str | None, name: str) -> datetime | None:
    """Return a time of an address, such as 2026-03-31 or 3d for three days ago.

    Raises:
        RestError: 400, naming the parameter.
    """
    if text is None:
        return None
    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise RestError(400, "22007", f"{name}: {error}") from None


def is_user(column: ColumnElement[UUID], tenant_id: UUID, name: str) -> ColumnElement[bool]:
    """Return the condition that a column has the id of the user of a name: theirs, or e-mail."""
    known = users.c
    named = select(known.id).where(
        known.tenant_id == tenant_id,
        or_(
            func.lower(known.username) == name.lower(),
            func.lower(known.email) == name.lower(),
            cast(known.id, String) == name,
        ),
    )
    return column.in_(named)
