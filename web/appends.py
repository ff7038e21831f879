"""`POST /store/v1/append`: appends of a recorder that reaches this store by HTTPS alone."""

from collections.abc import Sequence
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import EventRefused, OtherTenant
from quantum_forge.eventstore.log.append import decode_wire
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.entries import events_of
from quantum_forge.web.rest.errors import JSON, RestError
from quantum_forge.web.server import Server
from quantum_forge.web.wire import REFUSED, Answer, Appends, refused
from quantum_forge.web.writing import require_writer


async def append(request: Request, server: Server) -> Response:
    """Record appends, each whole or not at all, and answer each by itself.

    An event that is in the log already is answered with its place, so that a client which got no
    answer sends the same again.

    Raises:
        RestError: for a request that is none, or whose caller may record nothing.
    """
    caller = await server.caller(request)
    require_writer(caller, "the store")
    recorder = server.recorder_for(caller, request)
    body = await request.body()
    answers = await server.in_thread(partial(_answers, recorder, body))
    return Response(msgspec.json.encode(answers), headers={"Content-Type": JSON})


class _Append:
    """One append as it is to be recorded. rules: whether the lifecycles are checked."""

    def __init__(self, events: list[NewEvent], *, rules: bool) -> None:
        self.events = events
        self.rules = rules
        self.streams: set[Stream] = {event.stream for event in events}


def _answers(recorder: Recorder, body: bytes) -> list[Answer]:
    try:
        raws = msgspec.json.decode(body, type=Appends).appends
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RestError(400, "PGRST102", "Empty or invalid json", details=str(error)) from None
    asked: list[_Append | Answer] = []
    for raw in raws:
        try:
            asked.append(_append_of(recorder, bytes(raw)))
        except REFUSED as error:
            asked.append(Answer(refused=refused(error)))
    if (placed := _together(recorder, asked)) is not None:
        return placed
    return [each if isinstance(each, Answer) else _answer(recorder, each) for each in asked]


def _append_of(recorder: Recorder, wire: bytes) -> _Append:
    """One append, with what the request says of its origin.

    Raises:
        QuantumForgeError: one of `REFUSED`.
    """
    try:
        rules = any(event.rules for event in events_of(wire))
    except ValueError as error:
        raise EventRefused("append", str(error)) from error
    author = recorder.author
    events = []
    for event in decode_wire(wire):
        if event.tenant_id != author.tenant_id:
            raise OtherTenant(
                f"an event belongs to tenant {event.tenant_id}, and the key to {author.tenant_id}"
            )
        event = msgspec.structs.replace(
            event,
            user_id=event.user_id or author.user_id,
            metadata={**event.metadata, **author.metadata},
        )
        # Only an admin records what somebody else did, or what no rule checks.
        if not rules or event.user_id != author.user_id:
            recorder.permissions.require_all_of(author, event)
        events.append(event)
    return _Append(events, rules=rules)


def _together(recorder: Recorder, asked: Sequence[_Append | Answer]) -> list[Answer] | None:
    """Record all of them as one; None when that cannot be, or is refused.

    Which one is refused, and why, is found when each is recorded by itself.
    """
    appends = [each for each in asked if isinstance(each, _Append) and each.rules]
    streams = [stream for each in appends for stream in each.streams]
    if len(appends) < max(2, len(asked)) or len(set(streams)) < len(streams):
        return None
    try:
        places = iter(_recorded(recorder, [event for each in appends for event in each.events]))
    except REFUSED:
        return None
    return [Answer(placed=[next(places) for _ in each.events]) for each in appends]


def _answer(recorder: Recorder, asked: _Append) -> Answer:
    try:
        return Answer(placed=_recorded(recorder, asked.events, rules=asked.rules))
    except REFUSED as error:
        return Answer(refused=refused(error))


def _recorded(
    recorder: Recorder, events: Sequence[NewEvent], *, rules: bool = True
) -> list[Placed]:
    placed = (recorder if rules else recorder.without_rules()).record_all(*events)
    assert placed is not None, "the recorders of a server have no spool"
    return placed
