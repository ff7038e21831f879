"""Questions of auditors, answered from the log: who did what when, and what was it before."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.log.read import Excluded, Filter, read_all, read_streams
from quantum_forge.projections.queries.names import names_by_id
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.domains.audit import ACTIONS, AccessDenied, ActionAudited, AuditStatus
from quantum_forge.schema.domains.telemetry import ApiRequestServed
from quantum_forge.schema.domains.users import UserLoginFailed
from quantum_forge.schema.language.fields import Changed
from quantum_forge.schema.language.secrecy import secret_fields

PAGE = 500
"""Entries whose histories are looked up together."""

_FREE = (AccessDenied.event_type, ActionAudited.event_type)
"""Events that name their action themselves."""

_HIDDEN = "(secret)"

HTTP_READS = Excluded(ApiRequestServed.event_type, "method", ("GET", "HEAD", "OPTIONS"))
"""Requests that change nothing; a server answers thousands an hour."""


class UnknownAction(QuantumForgeError):
    """No event type is called so, no audited action, and nothing that was refused."""

    exit_status = 2

    def __init__(self, action: str, others: Iterable[str] = ()) -> None:
        names = dict.fromkeys(ACTIONS.values())
        every = f"give an event type, or one of {', '.join(names)}"
        known = dict.fromkeys([*names, *EVENTS, *others])
        super().__init__(f"no action {action!r}; {suggestion(action, known, otherwise=every)}")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions of an audit; None does not restrict.

    actions: names such as `login` and `data_export`, or event types. since, until: the first
    included and the second not. reads: whether HTTP requests that only read are asked for, too;
    where there are actions, these alone decide.
    """

    tenant_id: UUID
    user_id: UUID | None = None
    entity_id: UUID | None = None
    actions: list[str] | None = None
    status: AuditStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    reads: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did, or was not allowed to do.

    user, entity: their names, where a table has them. changes: by field, its value in this entity
    before and after the event.
    """

    position: int
    occurred_at: datetime
    user_id: UUID | None
    user: str | None
    action: str
    event_type: str
    entity_type: str
    entity_id: UUID
    entity: str | None
    status: AuditStatus
    reason: str | None
    ip_address: str | None
    user_agent: str | None
    changes: dict[str, Changed]


def where_of(question: Question) -> Filter:
    """The filter of the log that a question needs at least."""
    types: list[str] | None = None
    if question.actions is not None:
        types = []
        for action in question.actions:
            meant = [cls.event_type for cls, name in ACTIONS.items() if name == action]
            types += [action] if action in EVENTS else [*meant, *_FREE]
    elif question.status is AuditStatus.DENIED:
        types = [UserLoginFailed.event_type, *_FREE]
    return Filter(
        types=None if types is None else list(dict.fromkeys(types)),
        tenant_id=question.tenant_id,
        entity_id=question.entity_id,
        user_id=question.user_id,
        since=question.since,
        until=question.until,
        leave_out=None if question.reads or question.actions is not None else HTTP_READS,
    )


def require_known(
    connection: Connection, tenant_id: UUID, actions: Iterable[str], others: Collection[str] = ()
) -> None:
    """Refuse an action that nothing can have been.

    Args:
        connection: to look for names that services have given to their actions.
        tenant_id: whose log.
        actions: event types, words of the trail, or such names.
        others: names of actions that may be refused.

    Raises:
        UnknownAction
    """
    unknown = [each for each in actions if each not in {*EVENTS, *ACTIONS.values(), *others}]
    if not unknown:
        return
    where = Filter(types=_FREE, tenant_id=tenant_id)
    found = {str(event.data["action"]) for event in read_all(connection, where=where)}
    for action in unknown:
        if action not in found:
            raise UnknownAction(action, [*others, *found])


def answer(
    connection: Connection, question: Question, *, upto: int | None = None, limit: int | None = None
) -> Iterator[Entry]:
    """What the log says, the newest first, at most `limit` entries."""
    found: list[RecordedEvent] = []
    left = limit
    events = read_all(connection, upto=upto, where=where_of(question), backward=True)
    for event in events:
        if not matches(event, question):
            continue
        found.append(event)
        if left is not None:
            left -= 1
        if len(found) == PAGE or left == 0:
            yield from entries(connection, found)
            found = []
        if left == 0:
            return
    yield from entries(connection, found)


def matches(event: RecordedEvent, question: Question) -> bool:
    """Whether an event that the filter let through is asked for."""
    if question.status is not None and status_of(event) is not question.status:
        return False
    return question.actions is None or bool(
        {event.event_type, action_of(event)} & set(question.actions)
    )


def entries(connection: Connection, events: Iterable[RecordedEvent]) -> list[Entry]:
    """Events as entries, in their order, with what each changed: their streams are read for it."""
    events = list(events)
    streams: dict[tuple[UUID, str], set[UUID]] = {}
    for event in events:
        if event.version > 1:
            key = (event.tenant_id, event.entity_type)
            streams.setdefault(key, set()).add(event.entity_id)
    histories: dict[Stream, list[RecordedEvent]] = {}
    for (tenant_id, entity_type), ids in streams.items():
        read = read_streams(connection, tenant_id, entity_type, sorted(ids))
        histories |= {Stream(tenant_id, entity_type, id_): found for id_, found in read.items()}
    changes: dict[int, dict[str, Changed]] = {}
    wanted = {event.position for event in events}
    for history in histories.values():
        state: dict[str, Any] = {}
        for event in history:
            changed = _changed(event, state)
            if event.position in wanted:
                changes[event.position] = changed
    names = _names(connection, events)
    return [
        # Of a stream's first event there was nothing before.
        _entry(event, _changed(event, {}), names)
        if event.version == 1
        else _entry(event, changes[event.position], names)
        for event in events
    ]


def action_of(event: RecordedEvent) -> str:
    """What was done, in the words of the audit trail where there are some."""
    if event.event_type in _FREE:
        return str(event.data["action"])
    cls = EVENTS.get(event.event_type)
    return ACTIONS.get(cls, event.event_type) if cls is not None else event.event_type


def status_of(event: RecordedEvent) -> AuditStatus:
    """Whether it was done, or denied."""
    if event.event_type in (AccessDenied.event_type, UserLoginFailed.event_type):
        return AuditStatus.DENIED
    if event.event_type == ActionAudited.event_type:
        return AuditStatus(event.data.get("status", AuditStatus.SUCCESS))
    return AuditStatus.SUCCESS


def _names(connection: Connection, events: Iterable[RecordedEvent]) -> dict[UUID, str]:
    """The names of whoever acted and of what they acted on."""
    wanted: dict[UUID, dict[str, set[UUID]]] = {}
    for event in events:
        of = wanted.setdefault(event.tenant_id, {})
        of.setdefault(event.entity_type, set()).add(event.entity_id)
        if event.user_id is not None:
            of.setdefault("user", set()).add(event.user_id)
    found: dict[UUID, str] = {}
    for tenant_id, ids in wanted.items():
        found |= names_by_id(connection, tenant_id, ids)
    return found


def _entry(event: RecordedEvent, changes: dict[str, Changed], names: Mapping[UUID, str]) -> Entry:
    return Entry(
        position=event.position,
        occurred_at=event.occurred_at,
        user_id=event.user_id,
        user=None if event.user_id is None else names.get(event.user_id),
        action=action_of(event),
        event_type=event.event_type,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        entity=names.get(event.entity_id),
        status=status_of(event),
        reason=event.data.get("reason"),
        ip_address=event.metadata.get("ip_address"),
        user_agent=event.metadata.get("user_agent"),
        changes=changes,
    )


def _is_of_records(value: object) -> bool:
    """Whether a value is a long list, or one of records, such as atoms and items of a batch."""
    return isinstance(value, list) and (
        len(value) > 20 or any(isinstance(each, list | dict) for each in value)
    )


def _changed(event: RecordedEvent, state: dict[str, Any]) -> dict[str, Changed]:
    """What an event changes in the fields told so far, which become those after it."""
    cls = EVENTS.get(event.event_type)
    secrets = secret_fields(cls) if cls is not None else []
    reported = event.data.get("changes")
    if event.event_type == ActionAudited.event_type:
        return {name: Changed(**each) for name, each in (reported or {}).items()}
    changed: dict[str, Changed] = {}
    for name, value in event.data.items():
        if name == "changes" or _is_of_records(value):
            continue  # told by the fields themselves; atoms and items are no field to compare
        old = state.get(name)
        if old != value:
            hidden = name in secrets
            changed[name] = (
                Changed(_HIDDEN if old is not None else None, _HIDDEN)
                if hidden
                else Changed(old, value)
            )
        state[name] = value
    return changed
