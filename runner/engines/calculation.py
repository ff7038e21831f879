"""One calculation from task to outcome: make a structure, run, judge."""

from contextlib import suppress

import msgspec

from quantum_forge.runner.engines.methods import XTB
from quantum_forge.runner.engines.physics import refusal
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.strain import bonds_of, broken, strained
from quantum_forge.runner.engines.tasks import Completed, Invalidated, Outcome, Task
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.engines.xtb import program as xtb
from quantum_forge.runner.errors import EngineError, NoConformerError
from quantum_forge.runner.molecules.conformers import UFF, Conformer, build
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.seeds import SEED


def calculate(task: Task) -> Outcome:
    """Return Completed or Invalidated; what goes wrong on the way is raised."""
    run = _from_geometry(task, task.geometry) if task.geometry is not None else _from_smiles(task)
    reason = refusal(run.result, run.geometry, charge=task.charge, multiplicity=task.multiplicity)
    if reason is not None:
        return Invalidated(task_id=task.id, reason=reason, result=run.result, geometry=run.geometry)
    return Completed(
        task_id=task.id,
        result=run.result,
        geometry=run.geometry,
        geometry_source=run.source,
        geometry_warning=run.warning,
    )


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """A result, the geometry that it belongs to, where that began, and what is doubtful in it."""

    result: Result
    geometry: Geometry
    source: str | None = None
    warning: str | None = None


def _from_geometry(task: Task, start: Geometry) -> _Run:
    """Run a geometry that was given; its forces may be meant, but not that it falls apart."""
    result, geometry = _run(task, start)
    moved = task.optimization_level is not None
    return _Run(
        result=result,
        geometry=geometry,
        source=task.geometry_source,
        warning=broken(geometry, bonds_of(start)) if moved else None,
    )


def _from_smiles(task: Task) -> _Run:
    """Run a structure made from the SMILES; where its forces are large, a second one made by UFF.

    MMFF94 has wrong minima for some small or charged groups (N2, CO2, sulfonyl amidines), where
    UFF is nearer. Of single points, the lower energy of the two counts, with what is doubtful in
    it; an optimisation leaves a wrong minimum by itself.
    """
    assert task.smiles is not None
    first = build(task.smiles, seed=_seed(task))
    try:
        run = _from_conformer(task, first)
    except EngineError:
        # A structure far from every minimum can keep an SCF from converging.
        other = _from_uff(task, first)
        if other is None:
            raise
        return other
    if run.warning is None or task.optimization_level is not None:
        return run
    other = _from_uff(task, first)
    return run if other is None else min(run, other, key=lambda each: each.result.energy)


def _from_uff(task: Task, first: Conformer) -> _Run | None:
    """Run the structure of UFF; None where it has none, or the first again, or gives no result."""
    with suppress(NoConformerError, EngineError):
        conformer = build(task.smiles or "", seed=_seed(task), force_fields=(UFF,))
        if conformer.geometry != first.geometry:
            return _from_conformer(task, conformer)
    return None


def _seed(task: Task) -> int:
    return SEED if task.seed is None else task.seed


def _from_conformer(task: Task, conformer: Conformer) -> _Run:
    result, geometry = _run(task, conformer.geometry)
    return _Run(
        result=result,
        geometry=geometry,
        source=conformer.source,
        warning=broken(geometry, conformer.bonds) or strained(result),
    )


def _run(task: Task, start: Geometry) -> tuple[Result, Geometry]:
    """The result, and the geometry that it belongs to."""
    if task.engine == XTB:
        return xtb.run(
            start,
            charge=task.charge,
            multiplicity=task.multiplicity,
            method=task.method,
            solvent=task.solvent,
            optimization_level=task.optimization_level,
        )
    if task.optimization_level is not None:
        # Loading ASE takes longer than most single points.
        from quantum_forge.runner.engines.optimization import optimise

        return optimise(
            start,
            level=task.optimization_level,
            charge=task.charge,
            multiplicity=task.multiplicity,
            method=task.method,
            solvent=task.solvent,
        )
    result = run_singlepoint(
        start,
        charge=task.charge,
        multiplicity=task.multiplicity,
        method=task.method,
        solvent=task.solvent,
    )
    return result, start
