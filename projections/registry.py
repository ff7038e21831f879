"""Every projection of the system, by name."""

from collections.abc import Iterable, Mapping
from itertools import chain
from types import MappingProxyType

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.schema.language.projection import Projection, WrongDeclaration
from quantum_forge.schema.projections import (
    access,
    audit,
    batches,
    chemistry,
    discovery,
    hub,
    organizations,
    system,
    telemetry,
    users,
)


class UnknownProjection(QuantumForgeError):
    """There is no projection of that name."""

    exit_status = 2

    def __init__(self, name: str) -> None:
        super().__init__(f"no projection {name!r}; there are {', '.join(PROJECTIONS)}")


def _by_name(projections: Iterable[Projection]) -> dict[str, Projection]:
    by_name: dict[str, Projection] = {}
    for projection in projections:
        if (other := by_name.get(projection.name)) is not None:
            raise WrongDeclaration(
                f"{projection.declared_at}: two projections fill the table {projection.name};"
                f" the other one is at {other.declared_at}"
            )
        by_name[projection.name] = projection
    return by_name


PROJECTIONS: Mapping[str, Projection] = MappingProxyType(
    _by_name(
        chain.from_iterable(
            domain.PROJECTIONS
            for domain in (
                chemistry,
                batches,
                telemetry,
                users,
                access,
                organizations,
                audit,
                discovery,
                hub,
                system,
            )
        )
    )
)


def named(names: Iterable[str]) -> list[Projection]:
    """The projections of these names; all of them when none is given.

    Raises:
        UnknownProjection: for a name that is none.
    """
    chosen = list(names) or list(PROJECTIONS)
    for name in chosen:
        if name not in PROJECTIONS:
            raise UnknownProjection(name)
    return [PROJECTIONS[name] for name in dict.fromkeys(chosen)]
