"""Authorisation of reads of other users' data; every refusal is recorded.

What the database enforces (roles and row-level security) holds for every program; what it refuses
is recorded, too. This adds what only the application knows: which person asks. A tenant without
users is somebody's own space, whose owner may do everything in it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from quantum_forge.eventstore.base.errors import NotAllowed, OtherTenant, QuantumForgeError
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.domains.organizations import organization_members
from quantum_forge.schema.domains.users import Role, users

_POWER = {"owner": Role.ADMIN, "admin": Role.ADMIN, "member": Role.RESEARCHER}
"""What a member of an organisation may do in its space."""


class AccessRefused(QuantumForgeError):
    """A user may not do what was asked; the refusal is recorded where possible."""

    def __init__(self, action: str, reason: str, *, needed: str, is_recorded: bool) -> None:
        self.action = action
        self.reason = reason
        self.needed = needed
        recorded = "; the attempt was recorded" if is_recorded else ""
        super().__init__(
            f"{action} is not allowed: {reason}{recorded}; set QFORGE_USER_ID to the id of a user"
            f" with the role {needed}, as `qforge users list --json` shows it"
        )


def roles_of(connection: Connection, tenant_id: UUID, user_id: UUID) -> set[Role] | None:
    """The roles that a person has in a tenant's space; none of a stranger or a closed account.

    None: the tenant has no users, so there is nobody to be told apart.
    """
    mine = select(users.c.role, users.c.is_active).where(
        users.c.tenant_id == tenant_id, users.c.id == user_id
    )
    account = connection.execute(mine).one_or_none()
    if account is not None and not account.is_active:
        return set()
    found = set() if account is None else {Role(account.role)}
    members = organization_members.c
    joined = select(members.role).where(
        members.tenant_id == tenant_id, members.user_id == user_id, members.left_at.is_(None)
    )
    found |= {_POWER[role] for role in connection.scalars(joined)}
    if found:
        return found
    anybody = select(users.c.id).where(users.c.tenant_id == tenant_id).limit(1)
    return None if connection.execute(anybody).first() is None else set()


def require_role(
    engine: Engine,
    author: Author,
    action: str,
    *,
    among: Collection[Role],
    target_type: str | None = None,
    target_id: UUID | None = None,
) -> None:
    """Let a person act in a tenant's space only with one of these roles; record who may not.

    Args:
        engine: of the database, whose tables of users and members are asked.
        author: who acts, and for which tenant.
        action: what for, such as `audit_read`.
        among: the roles that may; the person's own records need none and no call.
        target_type: what it was to be done to.
        target_id: which one.

    Raises:
        AccessRefused: after `access_denied` was recorded in the log of that tenant, if it may be.
    """
    if author.user_id is None:
        return
    with engine.connect() as connection:
        roles = roles_of(connection, author.tenant_id, author.user_id)
    if roles is None or roles & set(among):
        return
    needed = " or ".join(sorted(among))
    reason = (
        f"it requires the role {needed}, and yours is {' and '.join(sorted(roles))}"
        if roles
        else f"user {author.user_id} does not belong to tenant {author.tenant_id}"
    )
    denied = AccessDenied(
        action=action, reason=reason, target_type=target_type, target_id=target_id
    )
    is_recorded = _record(engine, author, denied)
    raise AccessRefused(action, reason, needed=needed, is_recorded=is_recorded)


@contextmanager
def refusals_recorded(engine: Engine, author: Author, action: str) -> Iterator[None]:
    """Record what the database refuses to whoever does an action; the refusal goes on."""
    try:
        yield
    except (NotAllowed, OtherTenant) as refused:
        _record(engine, author, AccessDenied(action=action, reason=refused.reason))
        raise


def _record(engine: Engine, author: Author, denied: AccessDenied) -> bool:
    """Whether the log has it now: who is refused may have no right to append, either.

    It goes to the tenant that the login is bound to, whichever the author asked for.
    """
    try:
        with engine.begin() as connection:
            bound = connection.scalar(select(func.current_tenant()))
            author = msgspec.structs.replace(author, tenant_id=bound or author.tenant_id)
            append(connection, [author.new(uuid7(), denied)])
    except (QuantumForgeError, SQLAlchemyError):
        return False
    return True
