"""Authorisation of actions beyond recording; every refusal is recorded.

What the database enforces (roles and row-level security) holds for every program; what it refuses
is recorded, too. This adds what only the application knows: which person asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Engine

from quantum_forge.eventstore.base.errors import NotAllowed, OtherTenant
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Person, record_denied, refuse
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.domains.users import Role


def require_role(
    engine: Engine,
    author: Author,
    person: Person,
    action: str,
    needed: Role,
    *,
    target_type: str | None = None,
    target_id: UUID | None = None,
) -> None:
    """Let a person act in a tenant's space only with this role, or a more powerful one.

    Args:
        engine: of the database.
        author: who acts, and for which tenant.
        person: the same, as the database knows them.
        action: what for, such as `audit_read`.
        needed: the least role that may; the person's own records need no call.
        target_type: what it was to be done to.
        target_id: which one.

    Raises:
        AccessRefused: after `access_denied` was recorded in the log of that tenant, if it may be.
    """
    if not person.may(needed):
        raise refuse(
            engine, author, person, action, needed, target_type=target_type, target_id=target_id
        )


@contextmanager
def refusals_recorded(engine: Engine, author: Author, action: str) -> Iterator[None]:
    """Record what the database refuses to whoever does an action; the refusal goes on."""
    try:
        yield
    except (NotAllowed, OtherTenant) as refused:
        record_denied(engine, author, AccessDenied(action=action, reason=refused.reason))
        raise
