"""Recorded results calculated again by tblite, at the recorded geometry and settings."""

import hashlib
import heapq
import math
import re
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import msgspec

from quantum_forge.runner.engines.methods import METHODS
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.tasks import Completed, Failed, Invalidated, Lost, Outcome, Task
from quantum_forge.runner.molecules.connectivity import distances
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM, Geometry, Position
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.runner.workers.stopping import StopRequest

TOLERANCE = 1e-6
"""Eh; two programs agree to some 1e-8."""

THREE_BODY_CUTOFF = 25.0
"""Bohr up to which tblite sums the three-body dispersion of GFN2-xTB (tblite/disp/d4.f90: disp3).

xtb sums it up to 40 Bohr (src/scf_module.F90), so that its energy of a larger molecule is another.
"""

TOLERANCE_OF_LARGE = 1e-4
"""Eh, with atoms beyond that cutoff: of 496 molecules of the NCI list, the largest difference is
3.8e-5 Eh.
"""

GRADIENT_TOLERANCE = 2e-4
"""Eh/Bohr, of each component; between tblite and xtb, the largest difference is 1.4e-5 Eh/Bohr in
ASE's g2 set, and 8.0e-5 Eh/Bohr in metal complexes, radicals and ions.
"""

CHARGE_TOLERANCE = 2e-3
"""e; a log prints charges with three decimals."""

DIPOLE_TOLERANCE = 2e-2
"""Debye; a log prints the dipole with three decimals."""

TIMEOUT_SECONDS = 300.0
"""Seconds for one calculation; a single point of a hundred atoms takes a few."""

_UNITS = {"energy": "Eh", "force": "Eh/Bohr", "charge": "e", "dipole": "Debye"}

_ALPB = re.compile(r"ALPB\(([\w-]+)\)")


_Values = Sequence[tuple[float, ...]]


class RecordedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A result as it is recorded: energy in Eh at a geometry, with what it was calculated with.

    forces Eh/Bohr and charges e per atom, dipole (norm) Debye; None where they are not recorded.
    """

    calculation_id: UUID
    path: str
    energy: float | None
    geometry: Geometry
    charge: int | None
    multiplicity: int | None
    method: str
    solvation_model: str | None
    forces: tuple[Position, ...] | None = None
    charges: tuple[float, ...] | None = None
    dipole: float | None = None


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded value, and the one that tblite has for the same.

    quantity: energy (Eh), force (Eh/Bohr, a component), charge (e, of an atom) or dipole (Debye);
    the first of these that differs, and of several values the one that differs most. `atom` counts
    from 1.
    """

    calculation_id: UUID
    path: str
    quantity: str = "energy"
    atom: int | None = None
    recorded: float
    recomputed: float

    @property
    def reason(self) -> str:
        """Both values, in one sentence."""
        unit = _UNITS[self.quantity]
        of_atom = "" if self.atom is None else f" of atom {self.atom}"
        return (
            f"the recorded {self.quantity}{of_atom} is {self.recorded:.9f} {unit}, and tblite "
            f"gives {self.recomputed:.9f} {unit} for the recorded geometry, charge, spin, method "
            f"and solvent ({self.recorded - self.recomputed:+.1e} {unit})"
        )


class NotRecomputed(msgspec.Struct, frozen=True, kw_only=True):
    """A result that tblite did not calculate again, and why."""

    calculation_id: UUID
    path: str
    reason: str


class Checked(msgspec.Struct, kw_only=True):
    """Outcome of a check. `agreed` counts results with the same numbers within their tolerances."""

    sampled: int = 0
    agreed: int = 0
    differences: list[Deviation] = msgspec.field(default_factory=list)
    not_recomputed: list[NotRecomputed] = msgspec.field(default_factory=list)

    @property
    def recomputed(self) -> int:
        """Those with an energy of tblite."""
        return self.agreed + len(self.differences)


class Sample:
    """The `size` ids that are first by their hash: the same of the same ids in any order."""

    def __init__(self, size: int) -> None:
        self._size = size
        # A heap with the last by hash on top: hashes are negated.
        self._kept: list[tuple[int, UUID, str]] = []
        self._ids: set[UUID] = set()

    def add(self, calculation_id: UUID, path: str) -> None:
        """Take an id into account; memory is bounded by the size of the sample."""
        if calculation_id in self._ids or self._size < 1:
            return
        rank = int.from_bytes(hashlib.sha256(calculation_id.bytes).digest()[:8], "big")
        self._ids.add(calculation_id)
        heapq.heappush(self._kept, (-rank, calculation_id, path))
        if len(self._kept) > self._size:
            _, dropped, _ = heapq.heappop(self._kept)
            self._ids.remove(dropped)

    def paths(self) -> dict[UUID, str]:
        """The ids in the order of their hashes, with their paths."""
        return {each: path for _, each, path in sorted(self._kept, reverse=True)}


def recompute(
    recorded: Iterable[RecordedResult],
    *,
    jobs: int,
    timeout_s: float = TIMEOUT_SECONDS,
    on_result: Callable[[bool], None] = lambda _: None,
    function: str = "quantum_forge.runner.engines.calculation:calculate",
) -> Checked:
    """Calculate each result again in worker processes, each within its time.

    Args:
        recorded: the results.
        jobs: processes.
        timeout_s: for one calculation.
        on_result: called after each result, with whether its energy agrees.
        function: what the processes run, as `module:name`.

    Raises:
        WorkerStartError: when workers cannot start.
    """
    checked = Checked()
    waiting: dict[UUID, RecordedResult] = {}
    tasks: list[Task] = []
    for each in recorded:
        checked.sampled += 1
        task = _task(each, timeout_s)
        if isinstance(task, str):
            checked.not_recomputed.append(_not(each, task))
            on_result(True)
        else:
            waiting[each.calculation_id] = each
            tasks.append(task)
    if not tasks:
        return checked
    with StopRequest() as stop, WorkerPool(min(jobs, len(tasks)), function=function) as pool:
        for task in tasks:
            pool.submit(task)
        while waiting and not stop:
            for outcome in pool.wait(timeout=0.2):
                _judge(checked, waiting.pop(outcome.task_id), outcome, on_result)
    for each in waiting.values():
        checked.not_recomputed.append(_not(each, "the check was interrupted"))
    return checked


def _task(recorded: RecordedResult, timeout_s: float) -> Task | str:
    """The calculation, or why tblite cannot do it."""
    if recorded.energy is None or not len(recorded.geometry):
        return "no energy or no atoms are recorded"
    if recorded.method not in METHODS:
        return f"tblite has no method {recorded.method}; it has {', '.join(METHODS)}"
    if recorded.charge is None or recorded.multiplicity is None:
        return "no charge or no multiplicity is recorded"
    solvent = None
    if recorded.solvation_model is not None:
        found = _ALPB.fullmatch(recorded.solvation_model)
        if found is None:
            return f"tblite's solvation is ALPB(solvent), and not {recorded.solvation_model}"
        solvent = found[1]
    return Task(
        id=recorded.calculation_id,
        smiles="",
        geometry=recorded.geometry,
        charge=recorded.charge,
        multiplicity=recorded.multiplicity,
        method=recorded.method,
        solvent=solvent,
        timeout_s=timeout_s,
    )


def _judge(
    checked: Checked, recorded: RecordedResult, outcome: Outcome, on_result: Callable[[bool], None]
) -> None:
    agrees = True
    match outcome:
        case Completed(result=result) | Invalidated(result=result):
            difference = _difference(recorded, result)
            agrees = difference is None
            if difference is None:
                checked.agreed += 1
            else:
                checked.differences.append(difference)
        case Failed(failure=failure) | Lost(failure=failure):
            checked.not_recomputed.append(_not(recorded, failure.message))
    on_result(agrees)


def _difference(recorded: RecordedResult, result: Result) -> Deviation | None:
    """Return the first quantity that differs by more than its tolerance."""
    quantities: list[tuple[str, float, _Values | None, _Values | None]] = [
        ("energy", _tolerance(recorded), ((recorded.energy or math.nan,),), ((result.energy,),)),
        ("force", GRADIENT_TOLERANCE, recorded.forces, result.forces()),
        ("charge", CHARGE_TOLERANCE, _each(recorded.charges), _each(result.charges)),
    ]
    if recorded.charge == 0 and recorded.dipole is not None and result.dipole is not None:
        # The dipole of an ion depends on the origin.
        quantities.append(("dipole", DIPOLE_TOLERANCE, ((recorded.dipole,),), ((result.dipole,),)))
    for quantity, tolerance, here, there in quantities:
        if here is None or there is None:
            continue
        pairs = [
            (abs(one - other), atom, one, other)
            for atom, (ours, theirs) in enumerate(zip(here, there, strict=True), start=1)
            for one, other in zip(ours, theirs, strict=True)
        ]
        apart, atom, value, again = max(pairs)
        if not apart <= tolerance:
            return Deviation(
                calculation_id=recorded.calculation_id,
                path=recorded.path,
                quantity=quantity,
                atom=atom if quantity in ("force", "charge") else None,
                recorded=value,
                recomputed=again,
            )
    return None


def _each(charges: tuple[float, ...] | None) -> _Values | None:
    return None if charges is None else [(charge,) for charge in charges]


def _tolerance(recorded: RecordedResult) -> float:
    """Tolerance between the energies of tblite and xtb, in Eh."""
    is_large = recorded.method == "GFN2-xTB" and is_beyond_three_body(recorded.geometry)
    return TOLERANCE_OF_LARGE if is_large else TOLERANCE


def is_beyond_three_body(geometry: Geometry) -> bool:
    """Whether two atoms are further apart than tblite sums the three-body dispersion."""
    return bool((distances(geometry) > THREE_BODY_CUTOFF * BOHR_ANGSTROM).any())


def _not(recorded: RecordedResult, reason: str) -> NotRecomputed:
    return NotRecomputed(
        calculation_id=recorded.calculation_id, path=recorded.path, reason=reason.strip()[:300]
    )
