"""The open database behind a forge: its connections, who works with it, and its end."""

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.actions.accounts.names import find_account
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.engine import Database, open_database
from quantum_forge.eventstore.database.given_address import parse_database_url
from quantum_forge.eventstore.database.installation.migrations import migrate_embedded
from quantum_forge.eventstore.database.settings import Settings, load_settings, parse_uuid
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Person, read_person, refuse
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.directory import spool_directory


class ForgeClosed(QuantumForgeError):
    """A forge was used after it was closed."""

    def __init__(self) -> None:
        super().__init__("this forge is closed: open another one with quantum_forge.open()")


def settings_of(
    url: str | None,
    settings: Settings | None,
    home: Path | None,
    tenant_id: UUID | None,
    user_id: UUID | None,
) -> Settings:
    """The settings, with what the arguments of `open` replace.

    Raises:
        InvalidSetting: when an id is not a UUID.
    """
    given: dict[str, Any] = {}
    if home is not None:
        given["home"] = Path(home).expanduser().absolute()
    if tenant_id is not None:
        given["tenant_id"] = parse_uuid("tenant_id", tenant_id)
    if user_id is not None:
        given |= {
            "user_id": parse_uuid("user_id", user_id),
            "user_is_given": True,
            "user_name": None,
        }
    if url is not None:
        given |= {"url": parse_database_url(url, variable="url"), "source": "url"}
    return msgspec.structs.replace(settings or load_settings(), **given)


class Door:
    """An open database and the author who works with it; `Forge` adds what can be done.

    The functions of the modules beside this one are the methods of `Forge`: each takes a door.

    Attributes:
        settings: that it was opened with.
        author: who records, for which tenant.
        person: who that is, and what they may do.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        user: str | None = None,
        follows: bool = False,
        on_migrated: Callable[[list[str]], object] = lambda _: None,
    ) -> None:
        """Open the database; raises what `open` does.

        Args:
            settings: see `open`.
            user: name or email address of the user who acts, instead of the settings'.
            follows: whether it is there to follow the log, so that no answer is waited for longer
                than the deadline of the settings.
            on_migrated: called with the migrations that the embedded database lacked.
        """
        self._closed = threading.Event()
        self._database = _opened(settings, follows, on_migrated)
        try:
            self.person = acting_person(self._database.engine, settings, user)
        except BaseException:
            self._database.close()
            raise
        self.author = author_of(settings, self.person)
        if (acting := self.author.user_id) is not None:
            settings = msgspec.structs.replace(settings, user_id=acting, user_name=None)
        self.settings = settings
        announce_appends(self._database.engine)
        self._recorder = Recorder(
            self._database.engine, self.author, spool=spool_directory(settings.home)
        )
        self._recorder.permissions.named = self.person.claimed
        self._lent: Connection | None = None

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of the database, for what the forge does not offer."""
        self._require_open()
        return self._database.engine

    def connect(self) -> AbstractContextManager[Connection]:
        """Return a SQLAlchemy connection for the length of a `with`; what is not committed is lost.

        Its transactions act for the forge's tenant as far as the login is bound to row-level
        security; a login that sees every tenant has to restrict its own statements.
        """
        self._require_open()
        return nullcontext(self._lent) if self._lent is not None else self._connected()

    def close(self) -> None:
        """Close all connections, and let go of the embedded server; a second call does nothing.

        What was recorded while the database was away stays in the spool: see `qforge spool drain`.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._recorder.close()
        finally:
            self._database.close()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<forge of {self.settings!r}>"

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ForgeClosed

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._database.engine.connect() as connection:
            yield connection

    def _using(self, connection: Connection) -> Self:
        """The same door, whose reads and appends go over a connection that somebody else owns."""
        door = copy.copy(self)
        door._lent = connection
        return door


def author_of(settings: Settings, person: Person) -> Author:
    """Return the author that a person is in the tenant of the settings."""
    acting = person.user_id
    if acting is None and person.may_everything:
        acting = settings.user_id
        if person.has_users and not settings.user_is_given:
            # The first user took over the id that the name on the machine gives.
            acting = uuid5(acting, "unlinked")
    return Author(tenant_id=settings.tenant_id, user_id=acting)


def acting_person(engine: Engine, settings: Settings, user: str | None = None) -> Person:
    """Return who acts.

    Raises:
        NoSuchUser: when no account has the name.
        AccessRefused: when the login may not act as that user.
    """
    tenant_id = settings.tenant_id
    user = settings.user_name if user is None else user
    claimed = settings.user_id if settings.user_is_given and settings.user_name is None else None
    with engine.connect() as connection:
        person = read_person(connection, tenant_id, claimed, is_named=True)
        if user is not None and person.username != user:
            claimed = find_account(connection, tenant_id, user)
            person = read_person(connection, tenant_id, claimed, is_named=True)
        if not person.has_users:
            return person
        if not person.may_act:
            author = Author(tenant_id=tenant_id, user_id=person.linked_user)
            raise refuse(engine, author, person, "act_as", None)
    return person


def _opened(
    settings: Settings, follows: bool, on_migrated: Callable[[list[str]], object]
) -> Database:
    database = open_database(settings, follows=follows)
    try:
        if applied := migrate_embedded(database):
            on_migrated(applied)
    except BaseException:
        database.close()
        raise
    return database
