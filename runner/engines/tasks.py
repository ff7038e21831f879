"""Tasks for workers, and their outcomes."""

from typing import Any
from uuid import UUID

import msgspec

from quantum_forge.runner.engines.failures import Failure
from quantum_forge.runner.engines.methods import TBLITE
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.molecules.geometry import Geometry


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A calculation to run: at `geometry`, or at one embedded from `smiles` where there is none.

    A molecule without `smiles` has a `geometry`; `geometry_source` is how a part of it was made.

    `seed` is of the structure that is made from `smiles`, None for the usual one.

    `timeout_s` counts from when a worker takes the task; None is for ever. `memory_bytes` is what
    it may allocate beyond what the process has; None: no limit.
    """

    id: UUID
    smiles: str | None
    geometry: Geometry | None = None
    geometry_source: str | None = None
    charge: int = 0
    multiplicity: int = 1
    method: str = "GFN2-xTB"
    solvent: str | None = None
    engine: str = TBLITE
    optimization_level: str | None = None
    seed: int | None = None
    timeout_s: float | None = None
    memory_bytes: int | None = None


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """Items that a worker passes to a function, one after the other; `function` is `module:name`.

    `memory_bytes` is what the function may allocate beyond what the process has; None: no limit.
    """

    id: UUID
    function: str
    items: tuple[Any, ...]
    memory_bytes: int | None = None
    timeout_s: float | None = None


class PortionDone(msgspec.Struct, frozen=True, kw_only=True):
    """The return values of a portion's function, in the order of its items."""

    task_id: UUID
    results: tuple[Any, ...]
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A result that physics accepts, and the geometry that it belongs to.

    `geometry_source` is how a structure was made from the SMILES, or its hydrogens were added, None
    for a geometry that was given; `geometry_warning` says what is doubtful in one that was made.
    `wall_time_seconds` includes making it; `stderr_log` is what the libraries complained about.
    """

    task_id: UUID
    result: Result
    geometry: Geometry
    geometry_source: str | None = None
    geometry_warning: str | None = None
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


class Invalidated(msgspec.Struct, frozen=True, kw_only=True):
    """A result that the engine calls a success and physics refuses, for this reason."""

    task_id: UUID
    reason: str
    result: Result
    geometry: Geometry
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """No result, for a reason that is known; a timeout is one."""

    task_id: UUID
    failure: Failure
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """No result, because the process went away; `signal_name` is the signal that ended it, if any.

    `failure` is of type `compute_lost` and says the same to the record.
    """

    task_id: UUID
    reason: str
    failure: Failure
    signal_name: str | None = None
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


Outcome = Completed | Invalidated | Failed | Lost
