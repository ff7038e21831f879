"""Every event type by its class name, as the registry has it.

event_types.pyi tells type checkers the same names: `python -m quantum_forge.event_types` writes it.
"""

from collections import defaultdict
from pathlib import Path

from quantum_forge.schema.domains import EVENTS

STUB = Path(__file__).with_suffix(".pyi")


def __getattr__(name: str) -> object:
    for event_type in EVENTS.values():
        if event_type.__name__ == name:
            return event_type
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(event_type.__name__ for event_type in EVENTS.values())


def stub() -> str:
    """The text of event_types.pyi: the event types of this package, by module."""
    modules: dict[str, list[str]] = defaultdict(list)
    for event_type in EVENTS.values():
        if event_type.__module__.startswith("quantum_forge."):
            modules[event_type.__module__].append(event_type.__name__)
    lines = ["# Written by python -m quantum_forge.event_types."]
    for module in sorted(modules):
        lines += [f"from {module} import ("]
        lines += [f"    {name} as {name}," for name in sorted(modules[module])]
        lines += [")"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    STUB.write_text(stub(), "utf-8")
