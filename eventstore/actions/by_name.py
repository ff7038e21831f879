"""Recording any event by its name, from JSON, by the same rules as the recorders of its domain."""

from itertools import islice
from uuid import UUID

import msgspec
from sqlalchemy import Engine

from quantum_forge.eventstore.actions import discovery, organizations
from quantum_forge.eventstore.base.codec import decode
from quantum_forge.eventstore.base.envelope import Placed, Stream
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.rules import append_checked
from quantum_forge.schema.domains.discovery import ProjectDeleted
from quantum_forge.schema.domains.organizations import OrganizationDeleted
from quantum_forge.schema.language.event import Event, identity_of
from quantum_forge.schema.language.lifecycle import NEW, rule_of

NOT_ALONE = {
    "name_claimed": "Users.register and Users.update",
    "name_released": "Users.update",
    "user_registered": "Users.register",
    "user_updated": "Users.update",
    "user_password_changed": "Users.change_password",
    "session_opened": "Sessions.open",
    "api_key_issued": "ApiKeys.issue",
    "results_retracted": "qforge retract",
}
"""Events that mean nothing without others in the same append, or a secret, and what makes them."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded, and where it is."""

    event_type: str
    entity_type: str
    entity_id: UUID
    event_id: UUID
    position: int
    version: int


def record_by_name(
    engine: Engine,
    author: Author,
    event_type: str,
    data: bytes,
    *,
    entity_id: UUID | None = None,
    expected_version: int | None = None,
) -> Recorded:
    """Record that something happened to an entity, by the rules of its lifecycle; commits.

    Args:
        engine: of the database.
        author: on whose behalf.
        event_type: what happened, such as device_went_offline.
        data: its fields, a JSON object.
        entity_id: to what. Without it, an event that begins an entity begins a new one, or the one
            that its fields identify.
        expected_version: of the stream before, where only that will do.

    Raises:
        EventRefused: when there is no such event type, a field does not fit, or no entity is named.
        RuleBroken: when it may not happen now.
        VersionConflict: when the stream is not at the expected version.
    """
    if event_type in NOT_ALONE:
        raise EventRefused(event_type, f"is never recorded alone; use {NOT_ALONE[event_type]}")
    event = decode(event_type, data)
    if isinstance(event, ProjectDeleted) and entity_id is not None:
        return _delete_project(engine, author, entity_id, event.reason, expected_version)
    if isinstance(event, OrganizationDeleted) and entity_id is not None:
        its_domain = organizations.Organizations(engine, author)
        placed = its_domain.delete(entity_id, expected_version=expected_version)
        stream = Stream(author.tenant_id, event.entity_type, entity_id)
        return _recorded(placed, stream, event_type)
    its_id = entity_id or _new_id(author.tenant_id, event)
    new = author.new(its_id, event, expected_version=expected_version)
    (placed,) = append_checked(
        engine, lambda _: [new], tries=None if expected_version is None else 1
    )
    return _recorded(placed, new.stream, event_type)


def _recorded(placed: Placed, stream: Stream, event_type: str) -> Recorded:
    return Recorded(
        event_type=event_type,
        entity_type=stream.entity_type,
        entity_id=stream.entity_id,
        event_id=placed.event_id,
        position=placed.position,
        version=placed.version,
    )


def _delete_project(
    engine: Engine,
    author: Author,
    project_id: UUID,
    reason: str | None,
    expected_version: int | None,
) -> Recorded:
    """With everything in it."""
    projects = discovery.Projects(engine, author)
    projects.delete(project_id, reason=reason, expected_version=expected_version)
    stream = Stream(author.tenant_id, "project", project_id)
    with engine.connect() as connection:
        (last,) = islice(read_stream(connection, stream, backward=True), 1)
    placed = Placed(last.event_id, last.position, last.version, appended=True)
    return _recorded(placed, stream, last.event_type)


def _new_id(tenant_id: UUID, event: Event) -> UUID:
    identity = identity_of(type(event))
    if identity is not None:
        return identity(tenant_id, event)
    rule = rule_of(type(event))
    if rule is not None and NEW not in rule.states:
        raise EventRefused(
            event.event_type,
            f"happens to a {event.entity_type} that is there already; say which one by its id",
        )
    return uuid7()
