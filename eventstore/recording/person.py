"""The person who acts through a login of the database, and the check of what they may record.

A login is linked to a user (`qforge users link`), and acts as that user. Logins that administer the
database, such as that of an embedded server, may name another user or none. In a tenant without
users everything is allowed.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, Uuid, bindparam, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import AccessRefused, NotAllowed, QuantumForgeError
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.availability.outage import AWAY
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.database.time_limit import begin_within
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.domains.logins import LoginLinked
from quantum_forge.schema.domains.organizations import OrganizationMemberAdded
from quantum_forge.schema.domains.users import Role, UserRegistered
from quantum_forge.schema.permissions import (
    ACCOUNTS,
    BY_ACTIONS,
    OWN,
    POWER,
    ROLE_OF_MEMBER,
    least_role,
)

Decide = Callable[[Connection], Sequence[NewEvent]]
"""Reads what it needs over a connection, and returns the events to record."""

TRUSTED_FOR = 5.0
"""Seconds after which a recorder reads again what a person may do."""

_PEOPLE = frozenset(
    cls.entity_type for cls in (UserRegistered, LoginLinked, OrganizationMemberAdded)
)
"""Types of entities whose events can change permissions."""

_PERSON = text("SELECT * FROM person_of_login(:tenant_id, :claimed)").bindparams(
    bindparam("tenant_id", type_=Uuid), bindparam("claimed", type_=Uuid)
)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts in a tenant through a login of the database.

    user_id: the user who acts; None: no user. username, state, roles: of that user; without a
    username, the tenant has no such user. claimed: the user whom the login claims to act as.
    linked_user: the user whom the login is linked to. administers: whether the login administers
    the database. audits: whether it is a member of qforge_auditor; works: of qforge_worker.
    has_users: whether the tenant has any. is_named: whether the acting user was named explicitly;
    a named user whom the tenant does not know may do nothing.
    """

    tenant_id: UUID
    login: str
    claimed: UUID | None
    linked_user: UUID | None
    user_id: UUID | None
    username: str | None
    state: str | None
    roles: frozenset[Role]
    administers: bool
    audits: bool
    works: bool
    has_users: bool
    is_named: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the user has an account in the tenant, or is a member of its organisations."""
        return self.state is not None or bool(self.roles)

    @property
    def may_everything(self) -> bool:
        """Whether no role is required of the person."""
        if not self.has_users:
            return True
        named = self.is_named and self.claimed is not None
        return self.administers and not self.is_known and not named

    def may(self, needed: Role) -> bool:
        """Whether the person may do what needs a role."""
        if self.may_everything:
            return True
        # A machine that computes is no user; the database limits it to what machines record.
        roles = {Role.RESEARCHER} if self.works and self.user_id is None else self.roles
        return self.may_act and any(POWER[role] >= POWER[needed] for role in roles)

    @property
    def power(self) -> Role | None:
        """The role with the most power."""
        return max(self.roles, key=POWER.__getitem__, default=None)

    @property
    def name(self) -> str:
        """The user name, or else the id."""
        return self.username or str(self.user_id)

    def refusal(self, needed: Role | None) -> tuple[str, str]:
        """Return why the person may not do what needs a role, and what to do about it."""
        requires = f"it requires the role {needed}"
        if not self.may_act:
            return (
                f"the database login {self.login} acts as user {self.name}, not as {self.claimed}"
                if self.linked_user
                else f"the database login {self.login} cannot act as user {self.claimed}",
                "unset QFORGE_USER_ID; only a login that administers the database may name a user",
            )
        if self.user_id is None:
            return (
                f"{requires}, and the database login {self.login} is linked to no user",
                f"an admin can link it: qforge users link {self.login} USER",
            )
        if self.state == "inactive":
            return (
                f"the account of {self.name} is deactivated",
                f"an admin can open it again: qforge users reactivate {self.name}",
            )
        if self.power is None:
            return (
                f"user {self.name} does not belong to tenant {self.tenant_id}",
                "set QFORGE_USER_ID to the name of a user, as `qforge users list` shows it, or"
                " unset it",
            )
        return (
            f"{requires}, and yours is {self.power}",
            f"an admin can grant it: qforge users role {self.name} {needed}",
        )

    @property
    def may_act(self) -> bool:
        """Whether the login may act as whom it claims to be."""
        return self.administers or self.claimed in (None, self.linked_user)


def read_person(
    connection: Connection, tenant_id: UUID, claimed: UUID | None, *, is_named: bool = False
) -> Person:
    """Return who acts in a tenant over this connection.

    Args:
        connection: of the login.
        tenant_id: where.
        claimed: the user whom it claims to act as; None: the one that it is linked to.
        is_named: see `Person`.
    """
    act_for(connection, tenant_id)
    found = connection.execute(_PERSON, {"tenant_id": tenant_id, "claimed": claimed}).one()
    roles = {ROLE_OF_MEMBER[role] for role in found.member_roles if role in ROLE_OF_MEMBER}
    if found.user_role is not None:
        roles.add(Role(found.user_role))
    return Person(
        tenant_id=tenant_id,
        login=found.login,
        claimed=claimed,
        linked_user=found.linked_user,
        user_id=found.acting_user,
        username=found.username,
        state=found.state,
        roles=frozenset() if found.state == "inactive" else frozenset(roles),
        administers=found.administers,
        audits=found.audits,
        works=found.works,
        has_users=found.has_users,
        is_named=is_named,
    )


def knows_people(engine: Engine) -> bool:
    """Return whether the database can say who acts by this login.

    It cannot before the migration that links logins to users, nor by a login without any role of
    the database, which changes nothing there.
    """
    query = text(
        "SELECT has_function_privilege(to_regprocedure('person_of_login(uuid, uuid)'), 'EXECUTE')"
    )
    with engine.connect() as connection:
        return bool(connection.scalar(query))


def refuse(
    engine: Engine,
    author: Author,
    person: Person,
    action: str,
    needed: Role | None,
    *,
    target_type: str | None = None,
    target_id: UUID | None = None,
) -> AccessRefused:
    """Record in the log, if possible, that an action was refused, and return the error."""
    reason, advice = person.refusal(needed)
    denied = AccessDenied(
        action=action, reason=reason, target_type=target_type, target_id=target_id
    )
    is_recorded = record_denied(engine, author, denied)
    return AccessRefused(action, reason, needed=needed, advice=advice, is_recorded=is_recorded)


def record_denied(engine: Engine, author: Author, denied: AccessDenied) -> bool:
    """Record a refusal; return whether that succeeded, as the login may lack the right to append.

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


def keep_off_accounts(author: Author, events: Iterable[NewEvent | EncodedEvent]) -> None:
    """Refuse what a key with scopes may not record: it would make itself one without.

    Raises:
        NotAllowed
    """
    if not author.is_limited:
        return
    for new in events:
        if isinstance(new, EncodedEvent):
            known = EVENTS.get(new.event_type)
            kinds = {new.entity_type, new.entity_type if known is None else known.entity_type}
        else:
            kinds = {new.event.entity_type}
        if not kinds.isdisjoint(ACCOUNTS):
            raise NotAllowed(
                f"an API key with scopes records nothing about accounts, keys or sessions "
                f"({', '.join(sorted(kinds))}); it takes a key without scopes"
            )


class Permissions:
    """What the people who act over one engine may record; threads may share it.

    Roles are read from the log, and read again after `TRUSTED_FOR` seconds.

    Attributes:
        engine: of the database.
        named: the user who was named explicitly as the one who acts.
        every_user_is_named: whether all are, as in a server that acts for many.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.named: UUID | None = None
        self.every_user_is_named = False
        self._known: dict[tuple[UUID, UUID | None], tuple[float, Person]] = {}
        self._lock = threading.Lock()

    def require(
        self,
        events: Iterable[NewEvent],
        *,
        seconds: float | None = None,
        until: float | None = None,
        on_behalf: bool = False,
        by_action: bool = False,
    ) -> None:
        """Refuse events that their authors may not record; the refusal is recorded.

        Args:
            events: each has its author.
            seconds: for each statement.
            until: when the whole call must end, by `time.monotonic`.
            on_behalf: whether another process recorded them before, as in a spool.
            by_action: whether an action on accounts records them: see `least_role`.

        Raises:
            AccessRefused: for the first of them.
            NotAllowed: instead, when the login may not act for the author of what is on_behalf.
            DatabaseUnreachable, sqlalchemy.exc.OperationalError: when nothing is known of the
                author, and the database does not answer in time.
        """
        about_people = False
        for new in events:
            about_people = about_people or new.event.entity_type in _PEOPLE
            person = self._person(new.tenant_id, new.user_id, seconds, until)
            if person.may_everything:
                continue
            needed = least_role(new.event, new.entity_id, person.user_id, by_action=by_action)
            if not (person.may_act if needed is None else person.may(needed)):
                if on_behalf and not person.may_act:
                    raise NotAllowed(person.refusal(needed)[0])
                author = Author(
                    tenant_id=new.tenant_id, user_id=person.user_id, more=dict(new.metadata)
                )
                raise refuse(
                    self.engine,
                    author,
                    person,
                    new.event.event_type,
                    needed,
                    target_type=new.event.entity_type,
                    target_id=new.entity_id,
                )
        if about_people:
            self._known.clear()

    def require_all_of(self, author: Author, new: NewEvent | EncodedEvent) -> None:
        """Refuse an event that the author may not append without the rules.

        Only an admin appends what others did, or what is not checked against its type.

        Raises:
            AccessRefused, DatabaseUnreachable, sqlalchemy.exc.OperationalError: see `require`.
        """
        keep_off_accounts(author, [new])
        person = self._person(author.tenant_id, author.user_id, None, None)
        if person.may(Role.ADMIN):
            return
        if (
            isinstance(new, NewEvent)
            and new.user_id in (None, author.user_id)
            # Whose account or bookmark it is, only the rules look up.
            and new.event.event_type not in OWN | BY_ACTIONS
        ):
            self.require([msgspec.structs.replace(new, user_id=author.user_id)])
            return
        raise refuse(
            self.engine,
            author,
            person,
            "append",
            Role.ADMIN,
            target_type=new.entity_type if isinstance(new, EncodedEvent) else new.event.entity_type,
            target_id=new.entity_id,
        )

    def permitted(self, decide: Decide, *, by_action: bool = False) -> Decide:
        """Return the same decision, refused where the author may not record what it wants."""

        def decided(connection: Connection) -> Sequence[NewEvent]:
            events = decide(connection)
            self.require(events, by_action=by_action)
            return events

        return decided

    def _person(
        self, tenant_id: UUID, user_id: UUID | None, seconds: float | None, until: float | None
    ) -> Person:
        known = self._known.get((tenant_id, user_id))
        now = time.monotonic()
        if known is not None and now - known[0] < TRUSTED_FOR:
            return known[1]
        with self._lock:
            is_named = self.every_user_is_named or user_id == self.named
            try:
                with begin_within(self.engine, seconds, until=until) as connection:
                    person = read_person(connection, tenant_id, user_id, is_named=is_named)
            except AWAY:
                if known is None:
                    raise
                return known[1]  # an outage takes no rights away, and the spool is there for it
            self._known[tenant_id, user_id] = (now, person)
        return person
