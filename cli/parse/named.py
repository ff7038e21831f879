"""Users and projects that options name: by name, id, or how the id begins."""

from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.cli.parse import ids
from quantum_forge.projections.queries import lookup


def tables_of(user: str | None, project: str | None) -> list[str]:
    """The tables that these two are looked up in, of those that are named."""
    return [*(["users"] if user else []), *(["projects"] if project else [])]


def named_user(connection: Connection, tenant_id: UUID, given: str | None) -> UUID | None:
    """The user that is meant; None where none is named.

    Raises:
        click.BadParameter, AmbiguousId: as `ids.named_user` does.
    """
    return None if given is None else ids.named_user(connection, tenant_id, given)


def named_project(connection: Connection, tenant_id: UUID, given: str | None) -> UUID | None:
    """The project that is meant; None where none is named.

    Raises:
        NotFound, Ambiguous: when no project, or more than one, fits.
    """
    if given is None:
        return None
    found: UUID = lookup.find_project(connection, tenant_id, given)["id"]
    return found
