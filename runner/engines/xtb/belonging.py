"""The geometry that the energy of a run of xtb belongs to, by what the run itself wrote."""

import msgspec

from quantum_forge.runner.engines.xtb.printed_geometry import difference, differs_from_distances
from quantum_forge.runner.engines.xtb.reading import XtbRun
from quantum_forge.runner.molecules.geometry import Geometry

TOLERANCE = 1e-4
"""Å; a numerical Hessian leaves its atoms displaced by some 1e-6 Å."""

TOPOLOGY_TOLERANCE = 5e-4
"""Å; xtbtopo.mol has four decimals."""

MOVING = frozenset(
    (
        *(
            "--opt",
            "-o",
            "--ohess",
            "--bhess",
            "--md",
            "--omd",
            "--metadyn",
            "--metaopt",
            "--mdopt",
        ),
        *("--path", "--modef", "--siman", "--reactor"),
    )
)
"""Options of xtb that move atoms."""


class NamedGeometry(msgspec.Struct, frozen=True):
    """A geometry, and what it is called in a message: the name of its file, mostly."""

    name: str
    geometry: Geometry


class Belonging(msgspec.Struct, frozen=True, kw_only=True):
    """The geometry of an energy; without one, `reason` says why it cannot be determined.

    `contradiction` is a sentence that names two files of the run and how their geometries differ.
    """

    geometry: Geometry | None = None
    reason: str | None = None
    contradiction: str | None = None


def belonging(
    run: XtbRun,
    *,
    moved: bool,
    log: str,
    optimised: str,
    given: NamedGeometry | None,
    missing: str,
    topology: Geometry | None = None,
) -> Belonging:
    """Return the geometry that the run's energy belongs to.

    Args:
        run: with the files of other runs left out.
        moved: whether the energy is of a geometry that the run itself made.
        log: name of the log, for messages.
        optimised: name of xtbopt.xyz or xtbopt.log, for messages.
        given: the geometry that the run began with, as the log or the command line names it.
        missing: why `given` is None.
        topology: of xtbtopo.mol, where the log says that this run wrote it.
    """
    candidates: list[NamedGeometry] = []
    printed = run.printout
    if moved and printed is not None and printed.final_geometry is not None:
        candidates.append(NamedGeometry(f"{log} (final structure)", printed.final_geometry))
    if moved and run.optimised is not None and _is_of_run(run):
        candidates.append(NamedGeometry(optimised, run.optimised.geometry))
    if not moved and given is not None:
        candidates.append(given)
    if run.gradient is not None:
        candidates.append(NamedGeometry("gradient", run.gradient.geometry))
    if run.engrad is not None:
        candidates.append(NamedGeometry("the engrad file", run.engrad.geometry))
    if not candidates:
        return Belonging(reason=_moved_away(run, optimised) if moved else missing)
    chosen = candidates[0]
    # A gradient has the orientation of the atoms that it is of, and 14 decimals.
    if not moved and run.gradient is not None and not _coincide(chosen, run.gradient.geometry):
        contradiction = _contradiction(chosen, candidates, run, topology, log)
        return Belonging(geometry=run.gradient.geometry, contradiction=contradiction)
    return Belonging(
        geometry=chosen.geometry,
        contradiction=_contradiction(chosen, candidates, run, topology, log),
    )


def _is_of_run(run: XtbRun) -> bool:
    """Whether xtbopt.xyz is of this run: by its energy, or else by what the log says of it."""
    if run.optimised is None:
        return False
    printed = run.printout
    biased = printed is not None and printed.bias is not None
    if run.optimised.energy is not None and not biased:
        return True  # it was compared
    others = [file.geometry for file in (run.gradient, run.engrad) if file is not None]
    return bool(others) or (printed is not None and bool(printed.distances))


def _moved_away(run: XtbRun, optimised: str) -> str:
    noted = next((note for note in run.notes if note.file == optimised), None)
    found = f"{optimised} {noted.reason}" if noted else f"there is no {optimised}"
    return (
        f"the geometry that the energy belongs to is missing: the run moved the atoms, and {found}"
    )


def _coincide(one: NamedGeometry, other: Geometry) -> bool:
    if one.geometry.numbers != other.numbers:
        return False
    pairs = zip(one.geometry.positions, other.positions, strict=True)
    return all(
        abs(a - b) <= TOLERANCE for here, there in pairs for a, b in zip(here, there, strict=True)
    )


def _contradiction(
    chosen: NamedGeometry,
    candidates: list[NamedGeometry],
    run: XtbRun,
    topology: Geometry | None,
    log: str,
) -> str | None:
    for other in candidates[1:]:
        named = (chosen.name, other.name)
        found = difference(chosen.geometry, other.geometry, tolerance=TOLERANCE, named=named)
        if found is not None:
            return found
    if topology is not None:
        named = (chosen.name, "xtbtopo.mol")
        found = difference(chosen.geometry, topology, tolerance=TOPOLOGY_TOLERANCE, named=named)
        if found is not None:
            return found
    distances = () if run.printout is None else run.printout.distances
    found = differs_from_distances(chosen.geometry, distances, tolerance=TOLERANCE)
    return None if found is None else f"{chosen.name} does not agree with {log}: {found}"
