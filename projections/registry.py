"""Every projection of the system, by name."""

from collections.abc import Iterable

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.schema.domains import PROJECTIONS
from quantum_forge.schema.language.projection import Projection

__all__ = ["PROJECTIONS", "UnknownProjection", "named"]


class UnknownProjection(QuantumForgeError):
    """There is no projection of that name."""

    exit_status = 2

    def __init__(self, name: str) -> None:
        every = f"the projections are {', '.join(PROJECTIONS)}"
        super().__init__(
            f"no projection {name!r}; {suggestion(name, PROJECTIONS, otherwise=every)}"
        )


def named(names: Iterable[str]) -> list[Projection]:
    """The projections of these names; all of them when no name is given.

    Raises:
        UnknownProjection: for a name that no projection has.
    """
    chosen = list(names) or list(PROJECTIONS)
    for name in chosen:
        if name not in PROJECTIONS:
            raise UnknownProjection(name)
    return [PROJECTIONS[name] for name in dict.fromkeys(chosen)]
