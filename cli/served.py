"""A store that is reached by HTTPS, for the commands that can do without a database."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import InvalidSetting, QuantumForgeError
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.eventstore.recording.drain import DRAIN_DEADLINE, drain_by
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.eventstore.spool.directory import served_spool_directory
from quantum_forge.eventstore.spool.segment_drain import Drained, Report
from quantum_forge.schema.domains.users import user_preferences

if TYPE_CHECKING:  # httpx, which it needs, may not be installed
    from quantum_forge.web.client.client import Client
    from quantum_forge.web.client.settings import StoreSettings
    from quantum_forge.web.client.store import ServedStore

DEADLINE = 10.0
"""Seconds that a server has to take an append, before that goes to the spool."""

LOCAL = ("127.0.0.1", "::1", "localhost")


class NoSuchProject(QuantumForgeError):
    """A served store has no project that is named so."""

    exit_status = 2

    def __init__(self, given: str, url: str) -> None:
        super().__init__(f"{url} has no project {given!r}; give its whole name or its id")


class Served:
    """A served store as commands use it; its read models are the server's work.

    Args:
        settings: of this installation, for its spool.
        store: what takes appends and answers questions.
        client: that reads tables.
    """

    def __init__(self, settings: Settings, store: "ServedStore", client: "Client") -> None:
        self.store = store
        self.client = client
        self.caller = store.caller()
        self.tenant_id = self.caller.tenant_id
        self.user_id = self.caller.user_id
        self.deadline = DEADLINE
        self.spool = served_spool_directory(settings.home, store.where)

    def reading(self) -> AbstractContextManager[LogReader]:
        """Return a reader of the log for the length of a `with`."""
        return self.store.reading()

    def project(self, given: str | None) -> UUID | None:
        """Return the project that is meant, by its name or id; None where none is named.

        Raises:
            NoSuchProject
        """
        if given is None:
            return None
        with contextlib.suppress(ValueError):
            if found := self.client.get("projects", filters={"id": UUID(given)}, select="id"):
                return UUID(found[0]["id"])
        found = self.client.get("projects", filters={"name": given}, select="id", limit=2)
        if len(found) != 1:
            raise NoSuchProject(given, self.store.where)
        return UUID(found[0]["id"])

    def preferences(self) -> Mapping[str, Any] | None:
        """Return the row of `user_preferences` of who acts."""
        if self.user_id is None:
            return None
        found = self.client.get(user_preferences.name, filters={"user_id": self.user_id})
        return found[0] if found else None

    def batches(self, name: str) -> Sequence[dict[str, Any]]:
        """Return the newest batches of this name."""
        return self.client.get(
            "batch_jobs",
            select="id,parameters,source",
            filters={"name": name},
            order_by="created_at.desc",
            limit=100,
        )

    def drain(self, *, report: Report = lambda _, __: None, past_damage: bool = False) -> Drained:
        """Bring what earlier commands left in the spool of this store into its log."""
        return drain_by(
            self.spool,
            lambda wire: self.store.append_spooled(wire, DRAIN_DEADLINE),
            report=report,
            past_damage=past_damage,
        )

    def kept_current(self) -> AbstractContextManager[None]:
        """Do nothing for the length of a `with`: the server keeps its read models up to date."""
        return contextlib.nullcontext()


def settings_of(settings: Settings, given: str | None) -> "StoreSettings | None":
    """Return the store that a command is to use instead of a database; None for the database.

    Raises:
        InvalidSetting: when both are set, and no option decides.
    """
    from quantum_forge.web.client.settings import load_store_settings

    found = load_store_settings(given)
    if found is not None and given is None and settings.url is not None:
        raise InvalidSetting(
            "QFORGE_STORE_URL",
            f"is set, and so is {settings.source}: unset one of them, or give --store URL",
        )
    return found


def address_of(settings: Settings, given: str | None) -> str | None:
    """Return the address of the store that a command is about; None for the database.

    Raises:
        InvalidSetting: see `settings_of`.
    """
    found = settings_of(settings, given)
    return None if found is None else found.url


@contextlib.contextmanager
def opened(settings: Settings, given: str | None) -> Iterator[Served | None]:
    """Open the store that a command is to use instead of a database; None for the database.

    Raises:
        InvalidSetting: when there is no key, or both a store and a database are set.
        KeyRefused, RemoteUnreachable, ServerBusy: when it lets nobody in, or does not answer.
    """
    found = settings_of(settings, given)
    if found is None:
        yield None
        return
    from quantum_forge.web.client.client import Client
    from quantum_forge.web.client.store import ServedStore

    address = urlsplit(found.url)
    if address.scheme == "http" and address.hostname not in LOCAL:
        console.note(f"Warning: the key goes to {found.url} unencrypted; use https://")
    with (
        ServedStore(found.url, found.key, ca=found.ca, timeout=settings.deadline) as store,
        Client(found.url, found.key, ca=found.ca) as client,
    ):
        yield Served(settings, store, client)
