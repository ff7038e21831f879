"""`/auth/v1`: log in by password, stay logged in, log out, as clients of Supabase call it."""

import contextlib
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.eventstore.actions.accounts.sessions import OpenedSession, Sessions
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import NotLetIn, RuleBroken
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.encryption import load_encryption
from quantum_forge.schema.domains.users import UserLoggedIn, UserRegistered
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.auth.throttle import Throttle
from quantum_forge.web.passwords import change_password
from quantum_forge.web.rest.errors import JSON
from quantum_forge.web.server import Server, address_of, json_of

LOGIN_THREADS = 4
"""Logins that a process works on at the same time; others wait, and keep no other request waiting:
a refused login sleeps, and anybody may send one."""


class _Grant(msgspec.Struct):
    """What a client sends to get a token. code: of the second factor, or a recovery code."""

    email: str | None = None
    password: Secret | None = None
    code: Secret | None = None
    refresh_token: Secret | None = None


class _Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of themselves."""

    username: str | UnsetType = UNSET
    full_name: str | UnsetType | None = UNSET
    institution: str | UnsetType | None = UNSET


class _Change(msgspec.Struct):
    """What a client sends to change its account."""

    email: str | UnsetType = UNSET
    data: _Shown = _Shown()
    password: Secret | None = None
    current_password: Secret | None = None


class Refused(Exception):
    """A login is refused, in the words of Supabase's server, which its clients know."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


class Accounts:
    """Answers requests about the account of whoever sends them.

    Args:
        server: what requests share.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._limiter = anyio.CapacityLimiter(LOGIN_THREADS)
        self._failed_logins = Throttle("failed logins")
        self._unknown_tokens = Throttle("unknown refresh tokens")

    async def token(self, request: Request) -> Response:
        """Answer `POST /auth/v1/token?grant_type=password|refresh_token`."""
        grant = await json_of(request, _Grant)
        kind = request.query_params.get("grant_type")
        if kind == "password" and grant.email and grant.password:
            work = partial(self._granted, request, grant.email, grant.password, grant.code)
            # Before it has failed: guesses made at the same time are as many as one by one.
            self._failed_logins.count(address_of(request))
        elif kind == "refresh_token" and grant.refresh_token:
            work = partial(self._refresh, request, grant.refresh_token)
        else:
            return _answer(
                Refused(
                    400,
                    "validation_failed",
                    "send grant_type=password with email and password, or "
                    "grant_type=refresh_token with refresh_token",
                )
            )
        try:
            answer = await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except Refused as refused:
            return _answer(refused)
        return Response(
            msgspec.json.encode(answer),
            headers={"Content-Type": JSON, "Cache-Control": "no-store"},
        )

    async def sign_in(
        self, request: Request, name: str, password: Secret, code: Secret | None
    ) -> tuple[UUID, OpenedSession]:
        """Let a browser in; returns the user and the session.

        Raises:
            Refused: in words for a client of Supabase; `code` says why.
            RestError: 429 after too many failures.
        """
        self._failed_logins.count(address_of(request))
        work = partial(self._log_in_counted, request, name, password, code)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def user(self, request: Request) -> Response:
        """Answer `GET /auth/v1/user`: the account of the caller; PUT changes it.

        A password is changed by itself, with `current_password`; who changes it logs in anew.
        """
        caller = await self._server.caller(request)
        if caller.user_id is None or caller.tenant_id is None:
            return _answer(Refused(403, "bad_jwt", "the token stands for no user"))
        tenant_id, user_id = caller.tenant_id, caller.user_id
        if request.method == "PUT":
            if caller.scopes is not None:
                return _answer(
                    Refused(403, "insufficient_permissions", "the API key has scopes; log in")
                )
            change = await json_of(request, _Change)
            recorder = self._server.recorder_for(caller, request)
            try:
                await self._server.in_thread(lambda: _change(recorder, user_id, change))
            except Refused as refused:
                return _answer(refused)
            self._server.callers.forget(caller)
        found = await self._server.in_thread(lambda: self._user(tenant_id, user_id))
        return Response(msgspec.json.encode(found), headers={"Content-Type": JSON})

    async def keys(self, _: Request) -> Response:
        """Answer `GET /auth/v1/.well-known/jwks.json`: the public keys by which tokens are checked.

        They are those of `QFORGE_JWT_KEYS`: tokens of our own are signed with a secret.
        """
        found = {"keys": self._server.tokens.public_keys}
        return Response(msgspec.json.encode(found), headers={"Content-Type": JSON})

    async def logout(self, request: Request) -> Response:
        """Answer `POST /auth/v1/logout?scope=global|local|others`: sessions let nobody in any more.

        All of the user's, as Supabase's clients expect, the one of the token, or all others.
        """
        caller = await self._server.caller(request)
        session_id = caller.claims.get("session_id")
        if session_id is None or caller.user_id is None:
            return _answer(Refused(403, "bad_jwt", "the token belongs to no session"))
        scope = request.query_params.get("scope", "global")
        if scope not in ("global", "local", "others"):
            return _answer(
                Refused(400, "validation_failed", "the scope is global, local or others")
            )
        recorder = self._server.recorder_for(caller, request)
        own, user_id = UUID(str(session_id)), caller.user_id

        def close() -> None:
            sessions, closed = Sessions(recorder), [own]
            if scope == "local":
                with contextlib.suppress(RuleBroken):  # it has ended already
                    sessions.close(own)
            else:
                closed = sessions.close_all(user_id, but=own if scope == "others" else None)
            for each in closed:
                self._server.callers.forget_session(recorder.tenant_id, each)

        await self._server.in_thread(close)
        return Response(status_code=204)

    def _granted(
        self, request: Request, name: str, password: Secret, code: Secret | None
    ) -> dict[str, Any]:
        tenant_id = self._server.recorder_of_request(request).tenant_id
        user_id, opened = self._log_in_counted(request, name, password, code)
        return self._issued(tenant_id, user_id, opened.id)

    def _log_in_counted(
        self, request: Request, name: str, password: Secret, code: Secret | None
    ) -> tuple[UUID, OpenedSession]:
        """Log in; what is no refusal is no failure of the address, either."""
        try:
            opened = self._log_in(request, name, password, code)
        except Refused:
            raise
        except BaseException:
            self._failed_logins.forgive(address_of(request))
            raise
        self._failed_logins.forgive(address_of(request))
        return opened

    def _log_in(
        self, request: Request, name: str, password: Secret, code: Secret | None
    ) -> tuple[UUID, OpenedSession]:
        recorder = self._server.recorder_of_request(request)
        encryption = None if code is None else load_encryption(self._server.settings)
        try:
            user_id = Users(recorder, encryption=encryption).log_in(name, password, code=code)
            return user_id, Sessions(recorder).open(user_id)
        except NotLetIn as refused:
            if refused.reason == "second_factor_missing":  # the password is right
                raise Refused(
                    400,
                    "insufficient_aal",
                    "a code of the authenticator app, or a recovery code, is required: send it as "
                    "code beside the password",
                ) from None
            # A locked account, too: nobody shall learn that it exists.
            raise Refused(400, "invalid_credentials", "Invalid login credentials") from None

    def _refresh(self, request: Request, token: Secret) -> dict[str, Any]:
        recorder = self._server.recorder_of_request(request)
        sessions = Sessions(recorder)
        known = self._server.tokens.session_of(token.reveal())
        if known is None:
            self._unknown_tokens.count(address_of(request))  # beyond the limit, nothing is recorded
        try:
            if known is None:
                sessions.refuse(token)
            rotated = sessions.rotate(*known)
        except NotLetIn:
            raise Refused(
                400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"
            ) from None
        session = rotated.session
        return self._issued(
            recorder.tenant_id, session.user_id, session.id, generation=rotated.generation
        )

    def _issued(
        self, tenant_id: UUID, user_id: UUID, session_id: UUID, *, generation: int = 0
    ) -> dict[str, Any]:
        user = self._user(tenant_id, user_id)
        token, expires_at = self._server.tokens.issue(
            {
                "sub": str(user_id),
                "role": "authenticated",
                "tenant_id": str(tenant_id),
                "session_id": str(session_id),
                "email": user["email"],
                "app_metadata": user["app_metadata"],
            }
        )
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self._server.tokens.lifetime,
            "expires_at": expires_at,
            "refresh_token": self._server.tokens.refresh_token(session_id, generation),
            "user": user,
        }

    def _user(self, tenant_id: UUID, user_id: UUID) -> dict[str, Any]:
        """The account as Supabase's clients know one."""
        stream = Stream(tenant_id, UserRegistered.entity_type, user_id)
        with self._server.engine.connect() as connection:
            fields = ["email", "username", "full_name", "institution", "role"]
            known = latest_values(connection, stream, fields)
            created_at, updated_at, last_sign_in_at = _times(connection, stream)
        return {
            "id": str(user_id),
            "aud": "authenticated",
            "role": "authenticated",
            "email": known["email"],
            "email_confirmed_at": created_at,
            "confirmed_at": created_at,
            "last_sign_in_at": last_sign_in_at,
            "phone": "",
            "app_metadata": {"tenant_id": str(tenant_id), "role": known["role"]},
            "user_metadata": {
                name: known[name] for name in ("username", "full_name", "institution")
            },
            "identities": [],
            "created_at": created_at,
            "updated_at": updated_at,
            "is_anonymous": False,
        }


def _change(recorder: Recorder, user_id: UUID, change: _Change) -> None:
    """Record what is to change of an account."""
    told = msgspec.structs.asdict(change.data) | {"email": change.email}
    told = {name: value for name, value in told.items() if value is not UNSET}
    if change.password is None:
        if told:
            Users(recorder).update(user_id, **told)
    elif change.current_password is None or told:
        raise Refused(
            400,
            "reauthentication_needed",
            "send password with current_password, and what else changes in another request",
        )
    else:
        change_password(recorder, user_id, current=change.current_password, new=change.password)


def _times(connection: Connection, stream: Stream) -> tuple[datetime, datetime, datetime | None]:
    """When an account was made, when something last happened to it, and when it last logged in."""
    first = next(read_stream(connection, stream, upto_version=1))
    last = next(read_stream(connection, stream, backward=True))
    log = event_logs.c
    logged_in = (
        select(log.occurred_at)
        .where(
            log.tenant_id == stream.tenant_id,
            log.entity_type == stream.entity_type,
            log.entity_id == stream.entity_id,
            log.event_type.concat("") == UserLoggedIn.event_type,
        )
        .order_by(log.version.desc())
        .limit(1)
    )
    return first.occurred_at, last.occurred_at, connection.scalar(logged_in)


def _answer(refused: Refused) -> Response:
    body = {
        "code": refused.status,
        "error_code": refused.code,
        "msg": refused.message,
    }
    return Response(
        msgspec.json.encode(body),
        status_code=refused.status,
        headers={"Content-Type": JSON, "Cache-Control": "no-store", **refused.headers},
    )
