"""Every domain: a file each, with its events, lifecycles, tables and projections.

To import this package is to declare them all, in the order of their names; `audit`, which folds
events of every other domain, comes last. METADATA then has every table, those of the log too.
"""

from importlib import import_module
from pkgutil import iter_modules

from quantum_forge.schema.language.event import EVENTS
from quantum_forge.schema.language.lifecycle import LIFECYCLES
from quantum_forge.schema.language.projection import PROJECTIONS
from quantum_forge.schema.tables import METADATA

DOMAINS = tuple(
    import_module(f"{__name__}.{name}")
    for name in sorted((each.name for each in iter_modules(__path__)), key="audit".__eq__)
)

EVENT_TYPES = tuple(EVENTS.values())
"""The event types of the system itself; `EVENTS` may grow by those of other modules."""

WORKER_ENTITY_TYPES = frozenset(
    {
        "admet_prediction",
        "batch",
        "calculation",
        "docking_result",
        "job",
        "metric_source",
        "molecule",
        "protein_structure",
        "service",
        "spool",
    }
)
"""What a member of `qforge_worker` appends to: what machines compute, and reports of themselves.

Of such an entity it appends the event types that are declared for it, and no other: projections
look at the type of an event only. The SQL function may_append has the list.
"""

_FORMER_TABLES = {"activity_logs"}
"""Tables that earlier migrations make, and a later one replaces by a view."""

SYSTEM_TABLES = frozenset({*METADATA.tables, *_FORMER_TABLES})
"""The names of the tables of the system itself; `METADATA` may grow by those of other modules."""

__all__ = [
    "DOMAINS",
    "EVENTS",
    "EVENT_TYPES",
    "LIFECYCLES",
    "METADATA",
    "PROJECTIONS",
    "SYSTEM_TABLES",
    "WORKER_ENTITY_TYPES",
]
