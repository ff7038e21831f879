"""A request that writes, with everything that follows from it and from its table."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Connection, text

from quantum_forge.eventstore.actions.accounts.revisions import with_changes
from quantum_forge.eventstore.actions.by_name import ends_more
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.writing import WRITINGS, Writing
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.exchange import WriteRequest
from quantum_forge.web.rest.reading import SET_ZONE
from quantum_forge.web.rest.request.grammar import parse
from quantum_forge.web.rest.request.media import Form, Media, parse_accept
from quantum_forge.web.rest.request.preferences import (
    Preferences,
    Return,
    parse_preferences,
    with_known_zone,
)
from quantum_forge.web.rest.request.query import Query
from quantum_forge.web.rest.statements.tables import Readable, readable
from quantum_forge.web.rest.writing.repetition import Repetition
from quantum_forge.web.rest.writing.rows import Key, Represented, Rows

_LIMIT = text("SELECT set_config('statement_timeout', :milliseconds, true)")


class Asked(Struct, frozen=True, kw_only=True):
    """A request that writes. recorder: on whose behalf. The others follow from the request."""

    recorder: Recorder
    request: WriteRequest
    table: Readable
    writing: Writing
    query: Query
    preferences: Preferences
    media: Media
    repetition: Repetition | None = None

    @property
    def tenant_id(self) -> UUID:
        """Whose rows are written."""
        return self.recorder.tenant_id

    @property
    def wants_rows(self) -> bool:
        """Whether the reply has the rows."""
        return self.preferences.return_ is Return.REPRESENTATION

    def prepare(self, connection: Connection) -> None:
        """Restrict a transaction to the tenant, and its statements in time."""
        act_for(connection, self.tenant_id)
        milliseconds = max(1, round(self.request.max_seconds * 1000))
        connection.execute(_LIMIT, {"milliseconds": str(milliseconds)})

    def events(
        self, connection: Connection, happened: Sequence[tuple[UUID, Event]]
    ) -> tuple[NewEvent, ...]:
        """Return what is to be recorded of what happened, with the old values where it has them."""
        return tuple(
            self.recorder.new(entity_id, self.with_changes(connection, entity_id, event))
            for entity_id, event in happened
        )

    def with_changes(self, connection: Connection, entity_id: UUID, event: Event) -> Event:
        """Return the event with the old values of the fields, if it is one that tells them."""
        if "changes" not in event.__struct_fields__ or ends_more(event):
            return event
        stream = self.recorder.stream(event.entity_type, entity_id)
        return with_changes(connection, stream, event)

    def counted(self, count: int) -> int | None:
        """Return the number of rows, where the request wants it."""
        return None if self.preferences.count is None else count

    def require_single(self, count: int) -> None:
        """Refuse any number of rows but one, where the reply is to be an object."""
        if self.media.form is Form.OBJECT and count != 1:
            raise RestError(
                406,
                "PGRST116",
                "Cannot coerce the result to a single JSON object",
                details=f"The result contains {count} rows",
            )

    def require_few(self, count: int) -> None:
        """Refuse more rows than the request lets through."""
        most = self.preferences.max_affected
        if most is not None and count > most:
            raise RestError(
                400,
                "PGRST124",
                "Query result exceeds max-affected preference constraint",
                details=f"The query affects {count} rows",
            )
        self.require_single(count)

    def represented(
        self, connection: Connection, keys: Sequence[Key], position: int
    ) -> Represented | None:
        """Return the rows with these keys at a position, where the request wants them."""
        if not self.wants_rows:
            return None
        rows = Rows(connection, self.tenant_id)
        if (zone := self.preferences.timezone) is None:
            return rows.represent(self.table, self.query, keys, position, self.media)
        connection.execute(SET_ZONE, {"zone": zone})
        found = rows.represent(self.table, self.query, keys, position, self.media)
        connection.execute(SET_ZONE, {"zone": "UTC"})
        return found


def asked_of(recorder: Recorder, request: WriteRequest) -> Asked:
    """Return what a request asks for.

    Raises:
        RestError: for a table that is not there, or not written so, and what cannot be parsed.
    """
    table = readable(request.table)
    writing = WRITINGS.get(table.name)
    if writing is None or request.method not in writing.methods:
        raise _not_written(table.name, request.method)
    query = parse(request.pairs)
    if query.as_of is not None:
        raise RestError(400, "PGRST100", "the past cannot be written: leave as_of out")
    media = parse_accept(request.accept)
    if media.form in (Form.ARROW, Form.PARQUET):
        raise RestError(
            406,
            "PGRST107",
            f"None of these media types are available: {request.accept}",
            hint="What was written is answered as JSON or CSV.",
        )
    return Asked(
        recorder=recorder,
        request=request,
        table=table,
        writing=writing,
        query=query,
        preferences=with_known_zone(parse_preferences(request.prefer)),
        media=media,
        repetition=Repetition.of(recorder, request),
    )


def methods_of(table: str) -> tuple[str, ...]:
    """Return the methods of HTTP that a table takes.

    Raises:
        RestError: PGRST205, when nothing of that name can be read.
    """
    writing = WRITINGS.get(readable(table).name)
    return ("OPTIONS", "GET", "HEAD", *(() if writing is None else writing.methods))


def _not_written(table: str, method: str) -> RestError:
    """The error for a change that no event records."""
    allowed = methods_of(table)
    takers = sorted(each.table for each in WRITINGS.values() if method in each.methods)
    return RestError(
        405,
        "QF405",
        f"{method} is not possible on '{table}': no event records it",
        details=f"'{table}' takes {', '.join(allowed)}.",
        hint=f"{method} is possible on {', '.join(takers)}; POST /rest/v1/rpc/append_events and "
        "rpc/record take any event.",
        headers={"Allow": ",".join(allowed)},
    )
