"""One calculation from task to outcome: embed, run, judge."""

from runner.conformers import embed
from runner.engine import run_singlepoint
from runner.geometry import Geometry
from runner.methods import XTB
from runner.physics import refusal
from runner.result import Result
from runner.tasks import Completed, Invalidated, Outcome, Task
from runner.xtb import program as xtb


def calculate(task: Task) -> Outcome:
    """Return Completed or Invalidated; what goes wrong on the way is raised."""
    result, geometry = _run(task, _start(task))
    reason = refusal(result, geometry, charge=task.charge, multiplicity=task.multiplicity)
    if reason is not None:
        return Invalidated(task_id=task.id, reason=reason, result=result, geometry=geometry)
    return Completed(task_id=task.id, result=result, geometry=geometry)


def _start(task: Task) -> Geometry:
    if task.geometry is not None:
        return task.geometry
    assert task.smiles is not None
    return embed(task.smiles)


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
        from runner.optimization import optimise

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
