"""One calculation from task to outcome: embed, run, judge."""

from runner.conformers import embed
from runner.engine import run_singlepoint
from runner.physics import refusal
from runner.tasks import Completed, Invalidated, Outcome, Task


def calculate(task: Task) -> Outcome:
    """Return Completed or Invalidated; what goes wrong on the way is raised."""
    geometry = task.geometry if task.geometry is not None else embed(task.smiles)
    result = run_singlepoint(
        geometry,
        charge=task.charge,
        multiplicity=task.multiplicity,
        method=task.method,
        solvent=task.solvent,
    )
    reason = refusal(result, geometry, charge=task.charge, multiplicity=task.multiplicity)
    if reason is not None:
        return Invalidated(task_id=task.id, reason=reason, result=result, geometry=geometry)
    return Completed(task_id=task.id, result=result, geometry=geometry)
