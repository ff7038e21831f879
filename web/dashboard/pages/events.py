"""Events: the log as it grows, the newest first."""

from typing import Annotated
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.codec import event_class, require_entity_type
from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.log.read import Filter, fetch, matching
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.dashboard.filters import is_user, time_in
from quantum_forge.web.dashboard.panels import Asked, Page, Panel
from quantum_forge.web.streams.hub import without_secrets

MOST = 100
"""Events of a page."""


class EventsQuery(msgspec.Struct, frozen=True):
    """Which events are listed. before: only positions before it, for the next page."""

    type: list[str] = []
    entity_type: str | None = None
    entity_id: UUID | None = None
    user: str | None = None
    since: str | None = None
    until: str | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class Listed(msgspec.Struct, frozen=True):
    """Events of a page, without secrets. filters: of the same events, in the REST dialect."""

    events: list[RecordedEvent]
    more: bool
    filters: dict[str, str]

    @property
    def last(self) -> int:
        """The position of the oldest."""
        return self.events[-1].position


def _listed(asked: Asked) -> Listed:
    query: EventsQuery = asked.query
    types = [part for each in query.type for part in each.split(",") if part]
    since, until = time_in(query.since, "since"), time_in(query.until, "until")
    kind = query.entity_type
    where = Filter(
        types=[event_class(name).event_type for name in types] or None,
        tenant_id=asked.tenant_id,
        entity_type=None if kind is None else require_entity_type(kind),
        entity_id=query.entity_id,
        since=since,
        until=until,
    )
    found = matching(where).order_by(event_logs.c.id.desc()).limit(MOST + 1)
    filters = {"order": "id.desc"}
    if types:
        filters["event_type"] = f"in.({','.join(types)})"
    if query.entity_type is not None:
        filters["entity_type"] = f"eq.{query.entity_type}"
    if query.entity_id is not None:
        filters["entity_id"] = f"eq.{query.entity_id}"
    if query.user is not None:
        found = found.where(is_user(event_logs.c.user_id, asked.tenant_id, query.user))
    times = [f"occurred_at.gte.{since.isoformat()}"] if since is not None else []
    times += [f"occurred_at.lt.{until.isoformat()}"] if until is not None else []
    if query.before is not None:
        found = found.where(event_logs.c.id < query.before)
        times.append(f"id.lt.{query.before}")
    if times:
        filters["and"] = f"({','.join(times)})"
    events = [without_secrets(event) for event in fetch(asked.connection, found)]
    return Listed(events[:MOST], len(events) > MOST, {} if query.user is not None else filters)


EVENTS = Page(
    path="/log",
    title="Events",
    query=EventsQuery,
    needs=Role.RESEARCHER,
    template="events/page.html",
    panels=(
        Panel(
            name="log",
            title="The log, the newest first",
            read=_listed,
            template="events/log.html",
            live=("*",),
            reads_log=True,
        ),
    ),
)
