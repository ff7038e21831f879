"""`POST /store/v1/read`: what a runner asks of the log before it computes or records."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.recording.log_reader import DatabaseReader, LogReader
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.permissions import ACCOUNTS
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.rest.errors import JSON, RestError
from quantum_forge.web.server import Server
from quantum_forge.web.wire import MOST_IDS, PAGE_CHARACTERS, CallerFacts, Page, Question


async def answer_question(request: Request, server: Server) -> Response:
    """Answer one question about the streams of the caller's tenant.

    Nothing is told of accounts, keys and sessions.

    Raises:
        RestError: for a question that is none, or a caller who may not read the log.
    """
    caller = await server.caller(request)
    caller.require(Role.RESEARCHER, READ, "the store")
    try:
        asked = msgspec.json.decode(await request.body(), type=Question)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RestError(400, "PGRST102", "Empty or invalid json", details=str(error)) from None
    if asked.entity_type in ACCOUNTS:
        raise RestError(403, "42501", "permission denied: the store tells nothing of accounts")
    if len(asked.entity_ids) > MOST_IDS:
        raise RestError(400, "54000", f"a question is about {MOST_IDS} entities at most")
    found = await server.in_thread(partial(_answer, request, server, caller, asked))
    return Response(found, headers={"Content-Type": JSON})


def _answer(request: Request, server: Server, caller: Caller, asked: Question) -> bytes:
    tenant_id = server.tenant_of(caller)
    with server.reading(caller.as_auditor("the store"), request) as connection:
        log = DatabaseReader(connection, tenant_id)
        if asked.ask == "caller":
            return msgspec.json.encode(
                CallerFacts(
                    tenant_id=tenant_id,
                    user_id=caller.user_id,
                    name=caller.name,
                    role=caller.power,
                    server_time=log.server_time(),
                )
            )
        if (answer := _ANSWERS.get(asked.ask)) is None:
            raise RestError(
                400,
                "22023",
                f"the store answers no question {asked.ask!r}",
                hint=f"The questions are caller, {', '.join(_ANSWERS)}.",
            )
        return msgspec.json.encode(answer(log, asked))


def _stream(log: LogReader, asked: Question) -> Page:
    if len(asked.entity_ids) != 1:
        raise RestError(400, "22023", "a stream is asked for by one id")
    (its_id,) = asked.entity_ids
    return _page(
        log.stream(
            asked.entity_type,
            its_id,
            after_version=asked.after_version,
            upto_version=asked.upto_version,
            backward=asked.backward,
        )
    )


def _page(events: Iterable[RecordedEvent]) -> Page:
    page: list[RecordedEvent] = []
    characters = 0
    for event in events:
        if characters > PAGE_CHARACTERS:
            return Page(page, more=True)
        page.append(event)
        characters += len(bytes(event.raw_data)) + len(bytes(event.raw_metadata))
    return Page(page)


def _streams(log: LogReader, asked: Question) -> list[RecordedEvent]:
    found = log.streams(asked.entity_type, asked.entity_ids)
    return [event for events in found.values() for event in events]


_ANSWERS: Mapping[str, Callable[[LogReader, Question], Any]] = {
    "last_assigned": lambda log, _: log.last_assigned(),
    "server_time": lambda log, _: log.server_time(),
    "stream": _stream,
    "streams": _streams,
    "last_events": lambda log, asked: list(
        log.last_events(asked.entity_type, asked.entity_ids).values()
    ),
    "last_event_types": lambda log, asked: log.last_event_types(
        asked.entity_type, asked.entity_ids, asked.among
    ),
    "latest_ids": lambda log, asked: log.latest_ids(
        asked.entity_type, asked.entity_ids, asked.name
    ),
    "retry_candidates": lambda log, _: log.retry_candidates(),
    "repeated_retractions": lambda log, asked: log.repeated_retractions(
        method=asked.method, program_version=asked.program_version, host=asked.host
    ),
}
