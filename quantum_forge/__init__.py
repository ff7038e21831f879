"""Event store for computational chemistry: one import for everyday work.

    import quantum_forge as qf

    with qf.open() as forge:
        methane = forge.molecule("C")

`__all__` is the public API; every event type is here as well, such as `qf.ProjectCreated`.
Importing this package imports nothing else: each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantum_forge.asynchronous import AsyncCalculation as AsyncCalculation
    from quantum_forge.asynchronous import AsyncForge as AsyncForge
    from quantum_forge.asynchronous import AsyncQuery as AsyncQuery
    from quantum_forge.asynchronous import open_async as open_async
    from quantum_forge.datasets.manifest import Manifest as Manifest
    from quantum_forge.door import ForgeClosed as ForgeClosed
    from quantum_forge.event_types import *  # noqa: F403  # the stub has exactly the event types
    from quantum_forge.eventstore.actions.by_name import Recorded as Recorded
    from quantum_forge.eventstore.base.envelope import NewEvent as NewEvent
    from quantum_forge.eventstore.base.envelope import Placed as Placed
    from quantum_forge.eventstore.base.envelope import RecordedEvent as RecordedEvent
    from quantum_forge.eventstore.base.errors import DatabaseUnavailable as DatabaseUnavailable
    from quantum_forge.eventstore.base.errors import EventRefused as EventRefused
    from quantum_forge.eventstore.base.errors import QuantumForgeError as QuantumForgeError
    from quantum_forge.eventstore.base.errors import RuleBroken as RuleBroken
    from quantum_forge.eventstore.base.errors import VersionConflict as VersionConflict
    from quantum_forge.eventstore.base.secret import Secret as Secret
    from quantum_forge.eventstore.database.settings import Settings as Settings
    from quantum_forge.forge import Forge as Forge
    from quantum_forge.forge import open as open
    from quantum_forge.moments import WrongMoment as WrongMoment
    from quantum_forge.schema.language.event import Event as Event
    from quantum_forge.table import Query as Query
    from quantum_forge.table import Row as Row
    from quantum_forge.table import Rows as Rows
    from quantum_forge.table import WrongQuery as WrongQuery
    from quantum_forge.training_sets import Datasets as Datasets
    from quantum_forge.web.client.async_client import AsyncClient as AsyncClient
    from quantum_forge.web.client.client import Client as Client
    from quantum_forge.web.client.connections import connect as connect
    from quantum_forge.web.client.connections import connect_async as connect_async
    from quantum_forge.web.client.errors import RemoteError as RemoteError
    from quantum_forge.web.client.errors import RemoteUnreachable as RemoteUnreachable

_WHERE = {
    "AsyncClient": "web.client.async_client",
    "AsyncCalculation": "asynchronous",
    "AsyncForge": "asynchronous",
    "AsyncQuery": "asynchronous",
    "Client": "web.client.client",
    "DatabaseUnavailable": "eventstore.base.errors",
    "Datasets": "training_sets",
    "Event": "schema.language.event",
    "EventRefused": "eventstore.base.errors",
    "Forge": "forge",
    "ForgeClosed": "door",
    "Manifest": "datasets.manifest",
    "NewEvent": "eventstore.base.envelope",
    "Placed": "eventstore.base.envelope",
    "QuantumForgeError": "eventstore.base.errors",
    "Query": "table",
    "Recorded": "eventstore.actions.by_name",
    "RecordedEvent": "eventstore.base.envelope",
    "RemoteError": "web.client.errors",
    "RemoteUnreachable": "web.client.errors",
    "Row": "table",
    "Rows": "table",
    "RuleBroken": "eventstore.base.errors",
    "Secret": "eventstore.base.secret",
    "Settings": "eventstore.database.settings",
    "VersionConflict": "eventstore.base.errors",
    "WrongMoment": "moments",
    "WrongQuery": "table",
    "connect": "web.client.connections",
    "connect_async": "web.client.connections",
    "open": "forge",
    "open_async": "asynchronous",
}
"""The module of each public name."""

__all__ = [
    "AsyncCalculation",
    "AsyncClient",
    "AsyncForge",
    "AsyncQuery",
    "Client",
    "DatabaseUnavailable",
    "Datasets",
    "Event",
    "EventRefused",
    "Forge",
    "ForgeClosed",
    "Manifest",
    "NewEvent",
    "Placed",
    "QuantumForgeError",
    "Query",
    "Recorded",
    "RecordedEvent",
    "RemoteError",
    "RemoteUnreachable",
    "Row",
    "Rows",
    "RuleBroken",
    "Secret",
    "Settings",
    "VersionConflict",
    "WrongMoment",
    "WrongQuery",
    "connect",
    "connect_async",
    "open",
    "open_async",
]


if not TYPE_CHECKING:  # a type checker shall know the names above, and no others

    def __getattr__(name: str) -> object:
        if name in _WHERE:
            found: object = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        elif name[0].isupper() and hasattr(import_module(f"{__name__}.event_types"), name):
            found = getattr(import_module(f"{__name__}.event_types"), name)
        else:
            raise AttributeError(
                f"{__name__} has no {name!r}: it is neither in __all__ nor an event type"
            )
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *dir(import_module(f"{__name__}.event_types"))})
