"""`/rest/v1/rpc/ACTION`: actions of a recorder that no row stands for, and raw events."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.actions.by_name import record_by_name
from quantum_forge.eventstore.actions.retraction import Criteria, retract
from quantum_forge.eventstore.base.codec import malformed
from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.files.lines import BadLine, parse_line
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.retractions import ResultsRetracted
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.web.passwords import change_password
from quantum_forge.web.repeated import Repeated, as_placed, as_recorded, as_retraction, as_user
from quantum_forge.web.rest.errors import JSON, RestError
from quantum_forge.web.searching import SEARCHES, answer_search
from quantum_forge.web.server import Server, secret
from quantum_forge.web.writing import require_writer


class _Events(msgspec.Struct):
    events: list[msgspec.Raw]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    event_type: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    entity_id: UUID | None = None
    expected_version: int | None = None


class _Register(msgspec.Struct, forbid_unknown_fields=True):
    email: str
    username: str
    password: Secret | None = None
    full_name: str | None = None
    institution: str | None = None
    role: Role = Role.RESEARCHER


class _Issue(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    user_id: UUID | None = None
    scopes: list[str] = []
    rate_limit: int | None = None
    usage_quota: int | None = None
    expires_at: datetime | None = None


class _Revoke(msgspec.Struct, forbid_unknown_fields=True):
    key_id: UUID
    reason: str | None = None


class _ChangeRole(msgspec.Struct, forbid_unknown_fields=True):
    user_id: UUID
    role: Role


class _Deactivate(msgspec.Struct, forbid_unknown_fields=True):
    user_id: UUID
    reason: str | None = None


class _ChangePassword(msgspec.Struct, forbid_unknown_fields=True):
    current_password: Secret
    new_password: Secret


async def call(request: Request, server: Server) -> Response:
    """Answer POST /rest/v1/rpc/ACTION with what the action returns, as JSON; a search also by GET.

    Raises:
        RestError: PGRST202 for an unknown action, PGRST101 for another method.
        QuantumForgeError: when the action refuses.
    """
    caller = await server.caller(request)
    name = request.path_params["action"]
    if name in SEARCHES:
        return await answer_search(request, server, caller, name)
    action = _ACTIONS.get(name)
    if action is None:
        every = f"The actions are {', '.join([*_ACTIONS, *SEARCHES])}."
        raise RestError(
            404,
            "PGRST202",
            f"Could not find the function public.{name} in the schema cache",
            hint=suggestion(name, [*_ACTIONS, *SEARCHES], otherwise=every),
        )
    if request.method != "POST":
        raise RestError(
            405,
            "PGRST101" if request.method != "GET" else "25006",
            f"Cannot use the {request.method} method on RPC",
            hint="Every action records something: use POST.",
            headers={"Allow": "POST"},
        )
    require_writer(caller, f"rpc/{name}")
    if name in _OF_ACCOUNTS and caller.scopes is not None:
        # A key with scopes would otherwise make one without.
        raise RestError(
            403, "42501", f"permission denied: rpc/{name} requires an API key without scopes"
        )
    recorder = server.recorder_for(caller, request)
    body = await request.body()
    key = request.headers.get("idempotency-key")
    work = partial(action, recorder, body, key)
    if key is not None and action is not _append_events:
        if (reply := _REPLIES.get(name)) is None:
            raise RestError(
                400,
                "22023",
                f"rpc/{name} cannot be repeated: leave Idempotency-Key out",
                hint="Its reply, or what it takes, is a secret that is not kept.",
            )
        repeated = Repeated(recorder, key, name, _decoded(body, Any))
        work = partial(repeated.answer, lambda marking: action(marking, body, None), reply)
    made = await server.in_thread(work)
    if action is _change_password:
        server.callers.forget(caller)
    return Response(msgspec.json.encode(made), headers={"Content-Type": JSON})


def _append_events(recorder: Recorder, body: bytes, key: str | None) -> object:
    """Append raw events, all or none, as `qforge events append` does; returns their places."""
    raws = _decoded(body, list[msgspec.Raw] | _Events)
    lines: list[msgspec.Raw] = raws.events if isinstance(raws, _Events) else raws
    events = []
    for number, raw in enumerate(lines, 1):
        line = bytes(raw)
        try:
            event = parse_line(
                line, number, tenant_id=recorder.tenant_id, user_id=recorder.author.user_id
            )
        except BadLine as bad:
            raise EventRefused("append_events", f"event {number}: {bad.reason}") from bad
        if event.tenant_id != recorder.tenant_id:
            raise RestError(
                403, "42501", f"event {number} belongs to tenant {event.tenant_id}, not to yours"
            )
        if msgspec.json.decode(line).get("event_id") is None:
            # Two requests with the same text are two, unless the client says that they are one.
            user_id = recorder.author.user_id
            repeated = natural_id("request", recorder.tenant_id, user_id, key, number)
            event = msgspec.structs.replace(event, event_id=uuid7() if key is None else repeated)
        metadata = {**event.metadata, **recorder.author.metadata}
        events.append(msgspec.structs.replace(event, metadata=metadata))
    for event in events:
        recorder.permissions.require_all_of(recorder.author, event)
    return recorder.append_as_is(events)


def _record(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Record any event that may be recorded alone, by the rules."""
    asked = _decoded(body, _Record)
    return record_by_name(
        recorder,
        asked.event_type,
        bytes(asked.data),
        entity_id=asked.entity_id,
        expected_version=asked.expected_version,
    )


def _register_user(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Register a user; returns the id."""
    asked = _decoded(body, _Register)
    return {"user_id": Users(recorder).register(**msgspec.structs.asdict(asked))}


def _issue_key(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Issue an API key, of the caller unless another user is named; it is shown this once."""
    given = msgspec.structs.asdict(_decoded(body, _Issue))
    user_id = given.pop("user_id") or recorder.author.user_id
    if user_id is None:
        raise RestError(400, "22023", "user_id is missing: the token stands for no user")
    issued = ApiKeys(recorder).issue(user_id, **given)
    return {"key_id": issued.id, "prefix": issued.prefix, "key": issued.key.reveal()}


def _revoke_key(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Revoke an API key."""
    asked = _decoded(body, _Revoke)
    return ApiKeys(recorder).revoke(asked.key_id, reason=asked.reason)


def _change_role(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Change the role of a user."""
    asked = _decoded(body, _ChangeRole)
    return Users(recorder).change_role(asked.user_id, role=asked.role)


def _deactivate_user(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Close the account of a user."""
    asked = _decoded(body, _Deactivate)
    return Users(recorder).deactivate(asked.user_id, reason=asked.reason)


def _retract(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Retract the results that the criteria hold for; null when none is left to retract."""
    given = _decoded(body, dict[str, Any])
    reason = given.pop("reason", None)
    if not isinstance(reason, str) or not reason:
        raise RestError(400, "22023", "reason is missing: everybody who finds the results reads it")
    if unknown := given.keys() - set(Criteria.__struct_fields__):
        raise RestError(
            400,
            "22023",
            f"unknown criteria: {', '.join(sorted(unknown))}",
            hint=f"The criteria are {', '.join(Criteria.__struct_fields__)}.",
        )
    criteria = _decoded(msgspec.json.encode(given), Criteria)
    decision = ResultsRetracted(reason=reason, calculation_count=0)
    recorder.permissions.require([recorder.new(uuid7(), decision)])
    return retract(recorder.engine, recorder.author, criteria, reason, recorder=recorder)


def _change_password(recorder: Recorder, body: bytes, _: str | None) -> object:
    """Change one's own password, which ends all sessions and API keys from before."""
    asked = _decoded(body, _ChangePassword)
    if (user_id := recorder.author.user_id) is None:
        raise RestError(403, "42501", "permission denied: the token stands for no user")
    return change_password(
        recorder, user_id, current=asked.current_password, new=asked.new_password
    )


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind, dec_hook=secret)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        details = malformed(error, body) or str(error)
        raise RestError(400, "PGRST102", "Empty or invalid json", details=details) from None


_ACTIONS: Mapping[str, Callable[[Recorder, bytes, str | None], object]] = {
    "append_events": _append_events,
    "record": _record,
    "retract": _retract,
    "register_user": _register_user,
    "issue_key": _issue_key,
    "revoke_key": _revoke_key,
    "change_role": _change_role,
    "deactivate_user": _deactivate_user,
    "change_password": _change_password,
}

_REPLIES: Mapping[str, Callable[[RecordedEvent], object]] = {
    "record": as_recorded,
    "retract": as_retraction,
    "register_user": as_user,
    "revoke_key": as_placed,
    "change_role": as_placed,
    "deactivate_user": as_placed,
}
"""How a repetition with an Idempotency-Key is answered, from the first event of the request."""

REPEATABLE = frozenset(_REPLIES) | {"append_events"}
"""The actions that take an Idempotency-Key."""

_OF_ACCOUNTS = frozenset(_ACTIONS) - {"append_events", "record", "retract"}

ACTIONS: Mapping[str, str] = {name: action.__doc__ or "" for name, action in _ACTIONS.items()}
"""The actions by name, each with what it does."""
