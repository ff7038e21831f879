"""Recording any event by its name, from JSON, by the same rules as every recorder."""

from collections.abc import Callable
from itertools import islice
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from quantum_forge.eventstore.actions.accounts.organizations import Organizations
from quantum_forge.eventstore.actions.projects import delete_project, project_deletion
from quantum_forge.eventstore.base.codec import decode
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.discovery import ProjectDeleted
from quantum_forge.schema.domains.organizations import OrganizationDeleted
from quantum_forge.schema.language.event import Event

NOT_ALONE = {
    "name_claimed": "Users.register and Users.update",
    "name_released": "Users.update",
    "user_registered": "Users.register",
    "user_updated": "Users.update",
    "user_password_changed": "Users.change_password",
    "session_opened": "Sessions.open",
    "api_key_issued": "ApiKeys.issue",
    "results_retracted": "qforge retract",
    "retraction_reversed": "qforge retract --undo",
    "calculation_restored": "qforge retract --undo",
}
"""Event types that are recorded only with others in the same append, or with a secret, and the call
that records them."""


Check = Callable[[Event], None]
"""Raises where an event must not be recorded: for rules of rooms above this one."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded, and where it is."""

    event_type: str
    entity_type: str
    entity_id: UUID
    event_id: UUID
    position: int
    version: int


def record_event(
    recorder: Recorder,
    event: Event,
    *,
    of: UUID | None = None,
    expected_version: int | None = None,
    check: Check = lambda _: None,
) -> Recorded:
    """Record any event that may be recorded alone, with what follows from it.

    The end of a project or of an organisation is recorded with that of everything in it. The
    recorder has no spool: the caller learns where the event is. `check` is called first, and what
    it raises refuses the event.

    Raises:
        EventRefused: when it is never recorded alone, a field does not fit, or no entity is named.
        RuleBroken, VersionConflict and the others: see `Recorder.record`.
    """
    if (instead := NOT_ALONE.get(event.event_type)) is not None:
        raise EventRefused(event.event_type, f"cannot be recorded by itself; use {instead}")
    check(event)
    match event:
        case ProjectDeleted() if of is not None:
            delete_project(recorder, of, reason=event.reason, expected_version=expected_version)
        case OrganizationDeleted() if of is not None:
            Organizations(recorder).delete(of, expected_version=expected_version)
        case _:
            receipt = recorder.record(event, of=of, expected_version=expected_version)
            assert receipt.placed is not None, "the recorder has a spool"
            return Recorded(
                event_type=event.event_type,
                entity_type=event.entity_type,
                entity_id=receipt.entity_id,
                event_id=receipt.event_id,
                position=receipt.placed.position,
                version=receipt.placed.version,
            )
    with recorder.engine.connect() as connection:
        stream = recorder.stream(event.entity_type, of)
        (last,) = islice(read_stream(connection, stream, backward=True), 1)
    return Recorded(
        event_type=last.event_type,
        entity_type=last.entity_type,
        entity_id=of,
        event_id=last.event_id,
        position=last.position,
        version=last.version,
    )


def ends_more(event: Event) -> bool:
    """Whether the end of an entity is that of others: see `ending`."""
    return isinstance(event, ProjectDeleted | OrganizationDeleted)


def ending(
    connection: Connection, recorder: Recorder, event: Event, entity_id: UUID
) -> list[NewEvent]:
    """Return the event that ends an entity, and those that end what is in it, to be recorded.

    Nobody adds to the entity until the transaction of the connection ends.
    """
    match event:
        case ProjectDeleted():
            return project_deletion(connection, recorder, entity_id, reason=event.reason)
        case OrganizationDeleted():
            return Organizations(recorder).deletion(connection, entity_id)
        case _:
            return [recorder.new(entity_id, event)]


def record_by_name(
    recorder: Recorder,
    event_type: str,
    data: bytes,
    *,
    entity_id: UUID | None = None,
    expected_version: int | None = None,
    check: Check = lambda _: None,
) -> Recorded:
    """Record an event that is given as JSON: see `record_event`.

    Args:
        recorder: on whose behalf.
        event_type: what happened, such as device_went_offline.
        data: its fields, a JSON object.
        entity_id: to what. Without it, an event that begins an entity begins a new one, or the one
            that its fields identify.
        expected_version: of the stream before, where only that will do.
        check: called with the event first; what it raises refuses the event.

    Raises:
        EventRefused: when there is no such event type, too.
    """
    if event_type in NOT_ALONE:
        raise EventRefused(event_type, f"cannot be recorded by itself; use {NOT_ALONE[event_type]}")
    event = decode(event_type, data)
    return record_event(
        recorder, event, of=entity_id, expected_version=expected_version, check=check
    )
