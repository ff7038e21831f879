"""What the requests of one process share: the database, recorders, callers, and threads."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from quantum_forge.door import acting_person
from quantum_forge.eventstore.base.codec import malformed
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database, make_engine, open_database
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.eventstore.database.tenancy import act_always_for
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import AUDITOR, READER, Caller, Callers, credential_of
from quantum_forge.web.auth.cookies import CSRF_HEADER, require_own_page, session_token
from quantum_forge.web.auth.local import LocalSignIn
from quantum_forge.web.auth.tokens import Tokens, load_tokens
from quantum_forge.web.cache import SharedPages, database_identity
from quantum_forge.web.exports import Exports
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.settings import WebSettings
from quantum_forge.web.transaction import read_only

_Value = TypeVar("_Value")

MOST_EXPORTS = 40
"""Replies that are sent as they are read, at the same time; their pool has more connections."""

IDLE_MARGIN = 10.0
"""Seconds after the deadline of a part, in which the server itself ends the transaction."""


class Server:
    """The open database of a process that answers requests; close it at the end.

    Args:
        settings: of the database.
        web: limits, and who is let in.
        local: lets in whoever started the process; None: nobody is let in by that.
    """

    def __init__(
        self, settings: Settings, web: WebSettings, local: LocalSignIn | None = None
    ) -> None:
        self.settings = settings
        self.web = web
        self.local = local
        self._database: Database = open_database(settings)
        # Clients decide how long an export lasts: it must not take what other requests need.
        self._of_exports = make_engine(self._database.url, source=settings.source)
        self.exports = Exports(min(web.threads, MOST_EXPORTS))
        try:
            act_always_for(self._of_exports, settings.tenant_id)
            announce_appends(self.engine)
            self.pages = self._shared_pages()
            self.tokens: Tokens = load_tokens(web, settings.home)
            self._recorders: dict[UUID, Recorder] = {}
            self._lock = threading.Lock()
            self.bound_to = self._bound_to()
            self.callers = Callers(
                self.engine,
                self.bound_to or settings.tenant_id,
                self.tokens,
                self.recorder,
                anonymous_role=web.anonymous_role,
            )
        except BaseException:
            self._of_exports.dispose()
            self._database.close()
            raise
        self.limiter = anyio.CapacityLimiter(web.threads)

    @property
    def engine(self) -> Engine:
        """The engine of the database."""
        return self._database.engine

    def recorder(self, tenant_id: UUID) -> Recorder:
        """Return the recorder of a tenant, which all its requests share."""
        with self._lock:
            if (known := self._recorders.get(tenant_id)) is None:
                known = Recorder(self.engine, Author(tenant_id=tenant_id))
                known.permissions.every_user_is_named = True
                self._recorders[tenant_id] = known
            return known

    def recorder_for(self, caller: Caller, request: Request) -> Recorder:
        """Return a recorder that acts for a caller, and says where its request came from."""
        recorder = self._recorder_of(self.tenant_of(caller), caller.user_id, request)
        limited = caller.scopes is not None
        return recorder.acting_as(msgspec.structs.replace(recorder.author, is_limited=limited))

    def recorder_of_request(self, request: Request) -> Recorder:
        """Return a recorder for somebody who has not been let in yet, in the server's tenant."""
        return self._recorder_of(self.bound_to or self.settings.tenant_id, None, request)

    def _recorder_of(self, tenant_id: UUID, user_id: UUID | None, request: Request) -> Recorder:
        author = Author(
            tenant_id=tenant_id,
            user_id=user_id,
            ip_address=address_of(request),
            user_agent=(request.headers.get("user-agent") or "")[:500] or None,
            correlation_id=request.state.id,
        )
        return self.recorder(tenant_id).acting_as(author)

    def tenant_of(self, caller: Caller) -> UUID:
        """Return the tenant that a caller acts in.

        Raises:
            RestError: 403 when its token names none.
        """
        if caller.tenant_id is None:
            raise RestError(
                403,
                "42501",
                "permission denied: the token names no tenant",
                hint="Put tenant_id into its claims, or into app_metadata in them.",
            )
        return caller.tenant_id

    async def caller(self, request: Request, *, csrf: str | None = None) -> Caller:
        """Return who sends a request.

        A cookie lets in where there is no key or token (`web/auth/cookies.py`).

        Args:
            request: with a key, a token or a cookie.
            csrf: that of a form; the header of the request has it otherwise.

        Raises:
            RestError: 401, 403 or 429.
        """
        caller = self.callers.known(request.headers)
        if caller is None:
            caller = await self.in_thread(lambda: self._identified(request, csrf))
        if self.bound_to is not None and caller.tenant_id not in (None, self.bound_to):
            raise RestError(403, "42501", "permission denied: this server serves another tenant")
        request.state.caller = caller
        return caller

    async def still_let_in(self, request: Request, caller: Caller) -> Caller:
        """Return the caller of a request that is still being answered, with what it may do by now.

        No use of a key is counted by that.

        Raises:
            RestError: 401 or 403 when it is not let in any more, or stands for somebody else.
        """

        def identified() -> Caller:
            by_cookie = self._by_cookie(request, None)
            return by_cookie or self.callers.identify_again(dict(request.headers))

        found = await self.in_thread(identified)
        if (found.tenant_id, found.user_id) != (caller.tenant_id, caller.user_id):
            raise RestError(403, "42501", "permission denied: the caller has changed")
        return found

    def _identified(self, request: Request, csrf: str | None) -> Caller:
        by_cookie = self._by_cookie(request, csrf)
        return by_cookie or self.callers.identify(dict(request.headers), address_of(request))

    def _by_cookie(self, request: Request, csrf: str | None) -> Caller | None:
        """Return whose cookie a request brings, and nothing besides; None: it brings none."""
        token = session_token(request)
        if token is None or credential_of(request.headers) is not None:
            return None
        request.state.by_cookie = True
        require_own_page(request, token, csrf or request.headers.get(CSRF_HEADER))
        if self.local is not None and self.local.knows(token):
            return self.local_caller()
        return self.callers.of_session(token, self.recorder_of_request(request).author)

    def local_caller(self) -> Caller:
        """Return the user who started the process, as whom `qforge ui` lets in."""
        person = acting_person(self.engine, self.settings)
        acting = person.user_id
        if acting is None and not person.has_users:
            acting = self.settings.user_id
        power = Role.ADMIN if person.may_everything else person.power
        if person.user_id is None and power is None:
            power = Role.VIEWER  # a login of nobody reads what its database roles let it read
        audits = person.administers or person.audits
        claims = {"role": "authenticated", "tenant_id": str(person.tenant_id)}
        return Caller(
            tenant_id=person.tenant_id,
            user_id=acting,
            power=power,
            database_role=AUDITOR if power == Role.ADMIN and audits else READER,
            claims=claims if acting is None else {**claims, "sub": str(acting)},
            name=f"local {person.username or person.login}",
            is_operator=power == Role.ADMIN and person.administers,
            has_auditor=audits,
        )

    async def in_thread(self, work: Callable[[], _Value]) -> _Value:
        """Run what waits for the database in a thread; at most `threads` at the same time."""
        return await anyio.to_thread.run_sync(work, limiter=self.limiter)

    def reading(self, caller: Caller, request: Request) -> AbstractContextManager[Connection]:
        """Return the transaction by which a caller reads."""
        return self._reading(self.engine, caller, request)

    def exporting(self, caller: Caller, request: Request) -> AbstractContextManager[Connection]:
        """Return the same for a reply that is sent as it is read."""
        return self._reading(self._of_exports, caller, request)

    def _reading(
        self, engine: Engine, caller: Caller, request: Request
    ) -> AbstractContextManager[Connection]:
        return read_only(
            engine,
            caller,
            seconds=self.web.max_seconds,
            idle_seconds=self.web.stream_seconds + IDLE_MARGIN,
            method=request.method,
            path=request.scope["path"],
            headers=request.headers,
        )

    @contextmanager
    def projecting(self) -> Iterator[None]:
        """Keep the read models up to date for the length of a `with`, if the settings say so."""
        projector = BackgroundProjector(self.engine, on_trouble=_say) if self.web.projects else None
        if projector is not None:
            projector.start()
        try:
            yield
        finally:
            if projector is not None:
                try:
                    projector.stop()
                except (QuantumForgeError, SQLAlchemyError) as error:
                    _say(error)

    def close(self) -> None:
        """Close the connections, and let go of the embedded server."""
        try:
            with contextlib.ExitStack() as stack:
                for recorder in self._recorders.values():
                    stack.callback(recorder.close)
        finally:
            if self.pages is not None:
                self.pages.close()
            self._of_exports.dispose()
            self._database.close()

    def _shared_pages(self) -> SharedPages | None:
        """The cache that the settings name."""
        if self.web.cache_url is None:
            return None
        with self.engine.connect() as connection:
            identity = database_identity(connection)
        return SharedPages(self.web.cache_url, identity, self.web.cache_seconds)

    def _bound_to(self) -> UUID | None:
        """The tenant that the login is bound to, whatever a request claims."""
        with self.engine.connect() as connection:
            connection.execute(select(func.set_config("qforge.tenant_id", "", True)))
            found: UUID | None = connection.scalar(select(func.current_tenant()))
        return found


def _say(trouble: Exception | None) -> None:
    if trouble is not None:
        print(f"read models are not brought up to date: {trouble}", file=sys.stderr, flush=True)


def address_of(request: Request) -> str | None:
    """Return the address that a request came from, as the server or a trusted proxy saw it."""
    return request.client.host if request.client is not None else None


def secret(kind: type, value: object) -> object:
    """Decode a text that nothing shall print: the hook of msgspec for a `Secret`."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected a text for {kind.__name__}")


async def json_of(request: Request, kind: type[_Value]) -> _Value:
    """Return the body of a request as a type.

    Raises:
        RestError: 400, PGRST102, when it is not JSON of that type.
    """
    try:
        return msgspec.json.decode(body := await request.body(), type=kind, dec_hook=secret)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        details = malformed(error, body) or str(error)
        raise RestError(400, "PGRST102", "Empty or invalid json", details=details) from None


def try_out(settings: Settings, web: WebSettings) -> None:
    """Open what the settings of a server name, so that errors are told before it starts.

    Raises:
        InvalidSetting, MissingLibrary: for keys that cannot be read, or a cache.
    """
    load_tokens(web, settings.home)
    if web.cache_url is not None:
        SharedPages(web.cache_url, "", web.cache_seconds).close()
