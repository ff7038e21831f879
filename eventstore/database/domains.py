"""Own domains: modules outside this package that add event types and tables to an installation.

They are named by QFORGE_DOMAINS, or by entry points of the group `quantum_forge.domains`. A module
declares events, tables and projections as a file of schema/domains/ does.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points

from quantum_forge.eventstore.base.errors import DomainRefused, UnknownDomain

GROUP = "quantum_forge.domains"

_loaded: dict[str, None] = {}


def load_domains(names: Iterable[str]) -> None:
    """Import these modules, and those that entry points name; to load one again changes nothing.

    Raises:
        UnknownDomain: when there is no such module.
        DomainRefused: when it cannot be imported, or declares a name that is taken.
    """
    found = [point.value for point in entry_points(group=GROUP)]
    for name in [*names, *found]:
        if name in _loaded:
            continue
        try:
            # First, so that a name of the system that a domain declares is seen to be taken.
            import_module("quantum_forge.schema.domains")
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise DomainRefused(name, str(error)) from error
            raise UnknownDomain(name) from error
        except (Exception, SystemExit) as error:
            raise DomainRefused(name, str(error) or type(error).__name__) from error
        _loaded[name] = None


def loaded_domains() -> list[str]:
    """The modules that this process has loaded as domains."""
    return list(_loaded)
