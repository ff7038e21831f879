"""Audit: who did what, with old and new values; and the same as CSV, which is recorded."""

from collections.abc import Iterator
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.queries import audit_trail
from quantum_forge.projections.queries.audit_csv import csv_header, csv_line
from quantum_forge.projections.queries.audit_trail import Entry, Question
from quantum_forge.schema.domains.audit import AuditStatus, DataExported
from quantum_forge.schema.domains.users import Role, users
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.dashboard.filters import is_user, time_in
from quantum_forge.web.dashboard.panels import Asked, Page, Panel, read_query
from quantum_forge.web.parts import parts_of
from quantum_forge.web.rest.errors import RestError

MOST = 100
"""Entries of a page."""

MOST_EXPORTED = 100_000
"""Entries of a file, which is made in the memory of the server."""


class AuditQuery(msgspec.Struct, frozen=True):
    """Which entries are listed. Only an admin may see what others did."""

    user: str | None = None
    entity: UUID | None = None
    action: list[str] = []
    status: AuditStatus | None = None
    since: str | None = None
    until: str | None = None


class Listed(msgspec.Struct, frozen=True):
    """Entries, the newest first."""

    entries: list[Entry]
    more: bool


def _question(connection: Connection, caller: Caller, query: AuditQuery) -> Question:
    """What the parameters ask; of whoever is no admin, only what they did themselves.

    Raises:
        RestError: 400 or 403 for a user that is not there, or not theirs to see.
        UnknownAction: for an action that nothing can have been.
    """
    assert caller.tenant_id is not None, "checked with the page"
    user_id = None
    if query.user is not None:
        named = select(users.c.id).where(is_user(users.c.id, caller.tenant_id, query.user))
        user_id = connection.scalar(named)
        if user_id is None:
            raise RestError(400, "P0002", f"no user {query.user!r}")
    if not caller.may(Role.ADMIN, READ):
        if user_id not in (None, caller.user_id):
            caller.require(Role.ADMIN, READ, "what others did")
        user_id = caller.user_id
    audit_trail.require_known(connection, caller.tenant_id, query.action)
    return Question(
        tenant_id=caller.tenant_id,
        user_id=user_id,
        entity_id=query.entity,
        actions=query.action or None,
        status=query.status,
        since=time_in(query.since, "since"),
        until=time_in(query.until, "until"),
    )


def _listed(asked: Asked) -> Listed:
    question = _question(asked.connection, asked.caller, asked.query)
    found = list(audit_trail.answer(asked.connection, question, limit=MOST + 1))
    return Listed(found[:MOST], len(found) > MOST)


async def export_audit(request: Request) -> Response:
    """Answer GET /audit.csv: the entries of the page as CSV; that they were taken is recorded.

    Raises:
        RestError: as the page.
    """
    server = parts_of(request).server
    caller = await server.caller(request)
    caller.require(AUDIT.needs, READ, "the audit trail")
    server.tenant_of(caller)
    query = read_query(AUDIT, request)
    recorder = server.recorder_for(caller, request)

    def read() -> list[str]:
        auditor = caller.as_auditor("the audit trail")
        with server.reading(auditor, request) as connection:
            question = _question(connection, caller, query)
            head = safe_head(connection)
            answered = audit_trail.answer(connection, question, upto=head, limit=MOST_EXPORTED + 1)
            lines = [csv_header(), *map(csv_line, answered)]
        if len(lines) > MOST_EXPORTED + 1:
            raise RestError(
                413,
                "54000",
                f"these are more than {MOST_EXPORTED:,} entries",
                hint="Give a shorter time, or use qforge audit --csv.",
            )
        exported = DataExported(
            what="audit trail",
            format="csv",
            row_count=len(lines) - 1,
            position=head,
            destination="browser",
            parameters=msgspec.to_builtins(question),
        )
        with recorder.engine.begin() as connection:
            append(connection, [recorder.new(uuid7(), exported)])
        return lines

    lines = await server.in_thread(read)

    def sent() -> Iterator[str]:
        for line in lines:
            yield line + "\n"

    return StreamingResponse(
        sent(),
        media_type="text/csv",
        headers={
            "Content-Disposition": 'attachment; filename="audit.csv"',
            "Cache-Control": "no-store",
        },
    )


AUDIT = Page(
    path="/audit",
    title="Audit",
    query=AuditQuery,
    template="audit/page.html",
    panels=(
        Panel(
            name="trail",
            title="Who did what, the newest first",
            read=_listed,
            template="audit/trail.html",
            reads_log=True,
            several=True,
        ),
    ),
)
