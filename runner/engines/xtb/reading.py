"""An xtb run from the files that it left, with what must not be believed left out.

xtb ends with status 0 after an impossible charge and after an optimisation that did not converge;
it leaves the JSON, the gradient and the geometry of an earlier run where they are; and it writes
energies with 12 decimals in its log and with 8 in its JSON. So the log decides. A file of another
run, known by its energy, its gradient norm or its charges, is disregarded with a note that has
both values.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.xtb.dump import (
    Dump,
    GradientFile,
    OptimisedFile,
    read_charges,
    read_dump,
    read_energy_file,
    read_engrad,
    read_gradient,
    read_optimised,
)
from quantum_forge.runner.engines.xtb.printout import Printout, ended_normally, read_printout
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.molecules.geometry import Geometry

ENERGY_TOLERANCE = 1e-6
"""Eh; energies of other programs' documents are often rounded."""

FILE_TOLERANCE = 1e-7
"""Eh; the files of one run agree to the last of the 8 decimals of the JSON."""

CHARGE_TOLERANCE = 1e-3
"""e; the log prints charges with three decimals, and a Hessian changes the last."""

_T = TypeVar("_T")

STDOUT_LIMIT = 200_000
"""Characters of a log that are kept: its beginning and its end."""


class Note(msgspec.Struct, frozen=True):
    """A file that was not used, and why."""

    file: str
    reason: str


class XtbRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of a run say together; `notes` tells what was disregarded.

    `is_unfinished`: there is a log of the run, and it stops before it states an energy.
    `contradictions` are sentences about files that differ where no log decides between them.
    """

    printout: Printout | None = None
    dump: Dump | None = None
    charges: tuple[float, ...] | None = None
    gradient: GradientFile | None = None
    engrad: GradientFile | None = None
    energy_file: float | None = None
    optimised: OptimisedFile | None = None
    ended_normally: bool | None = None
    stdout_log: str = ""
    stderr_log: str = ""
    notes: tuple[Note, ...] = ()
    is_unfinished: bool = False
    contradictions: tuple[str, ...] = ()

    @property
    def energy(self) -> float | None:
        """The total energy in Eh, with as many decimals as there are."""
        files = (self.printout, self.dump, self.optimised, self.gradient, self.engrad)
        for source in files:
            if source is not None and source.energy is not None:
                return source.energy
        return self.energy_file

    @property
    def optimises(self) -> bool:
        """Whether the log has an optimisation, and so its energy is not of the input geometry."""
        printed = self._printed
        return (
            printed.is_optimised is not None
            or printed.bias is not None
            or printed.final_geometry is not None
        )

    @property
    def method(self) -> str | None:
        """Such as GFN2-xTB."""
        return self._printed.method or self._dumped.method

    @property
    def version(self) -> str | None:
        """Such as 6.5.1."""
        return self._printed.version or self._dumped.version

    @property
    def unpaired_count(self) -> int | None:
        """Unpaired electrons as xtbout.json has them: as asked for."""
        return self._dumped.unpaired_count

    @property
    def _printed(self) -> Printout:
        return self.printout or Printout()

    @property
    def _dumped(self) -> Dump:
        return self.dump or Dump()

    @property
    def failure(self) -> str | None:
        """Why the program itself says that it failed; None when it does not."""
        printout = self.printout
        if printout is not None and printout.error is not None:
            return printout.error
        if self.ended_normally is False:
            return "abnormal termination of xtb"
        if printout is not None and printout.is_scf_converged is False:
            return "SCF not converged"
        return None


def read_run(
    *,
    stdout: bytes | None = None,
    stderr: bytes | None = None,
    dump: bytes | None = None,
    charges: bytes | None = None,
    gradient: bytes | None = None,
    engrad: bytes | None = None,
    energy: bytes | None = None,
    optimised: bytes | None = None,
    names: Mapping[str, str] | None = None,
) -> XtbRun:
    """Read the files of one run, whatever is in them; nothing is raised.

    `optimised` is xtbopt.xyz or xtbopt.log. `names` are what the files are called in notes.
    """
    called = {**_NAMES, **(names or {})}
    notes: list[Note] = []

    def note(kind: str, reason: object) -> None:
        notes.append(Note(called[kind], " ".join(str(reason).split())[:300]))

    def read(kind: str, data: bytes | None, reader: Callable[[str], _T]) -> _T | None:
        try:
            return None if data is None else reader(_text(data))
        except ValueError as error:
            note(kind, error)
            return None

    printout = read_printout(stdout) if stdout is not None else None
    the_dump = None
    try:
        the_dump = read_dump(dump) if dump is not None else None
    except ValueError as error:
        note("dump", error)
    the_charges = read("charges", charges, read_charges)
    the_gradient = read("gradient", gradient, read_gradient)
    the_engrad = read("engrad", engrad, read_engrad)
    the_energy = read("energy", energy, read_energy_file)
    the_optimised = read("optimised", optimised, read_optimised)

    if printout is not None and the_dump is not None and (why := _stale(printout, the_dump)):
        note("dump", why)
        the_dump = None
    is_unfinished = printout is not None and _is_unfinished(printout, stdout or b"")
    if is_unfinished and (the_dump is None or not _is_same_call(printout, the_dump)):
        # An earlier run left them: this one was killed before it wrote any.
        for kind, present in (
            ("dump", the_dump),
            ("charges", the_charges),
            ("gradient", the_gradient),
            ("engrad", the_engrad),
            ("energy", the_energy),
            ("optimised", the_optimised),
        ):
            if present is not None:
                note(kind, "belongs to another run: the log ends before it states an energy")
        the_dump = the_charges = the_gradient = the_engrad = the_energy = the_optimised = None
    contradictions: list[str] = []
    has_energy = printout is not None and printout.energy is not None
    decides = "the log" if has_energy or the_dump is None else called["dump"]

    def disagree(kind: str, why: str) -> None:
        """Disregard what the log contradicts; of the JSON and another file, none is known."""
        note(kind, why)
        if not has_energy and the_dump is not None:
            contradictions.append(f"{called[kind]} {why}")

    run = XtbRun(
        printout=printout,
        dump=the_dump,
        optimised=the_optimised if printout is None else None,
        gradient=the_gradient if printout is None else None,
    )
    total = run.energy
    if the_optimised is not None:
        if printout is not None and printout.coordinate_file == called["optimised"]:
            if not run.optimises:
                the_optimised = None  # this run began with it
        elif _reached_the_end(printout) and not run.optimises:
            note("optimised", "belongs to an earlier run: this one did not optimise")
            the_optimised = None
    # The comment that `--bhess` writes has the energy of the first geometry.
    is_biased = printout is not None and printout.bias is not None
    if the_optimised is not None and not is_biased and _differ(the_optimised.energy, total):
        note("optimised", _of_another_run("energy", the_optimised.energy, total, "Eh", decides))
        the_optimised = None
    if the_gradient is not None and (
        why := _other_gradient(the_gradient, total, printout, decides)
    ):
        disagree("gradient", why)
        the_gradient = None
    if the_engrad is not None and (why := _other_gradient(the_engrad, total, printout, decides)):
        disagree("engrad", why)
        the_engrad = None
    if _differ(the_energy, total):
        disagree("energy", _of_another_run("energy", the_energy, total, "Eh", decides))
        the_energy = None
    if the_charges is not None and (why := _other_charges(the_charges, printout, the_dump)):
        disagree("charges", why)
        the_charges = None
    said = None if stderr is None else ended_normally(stderr)
    if said is None and printout is not None:
        said = printout.ended_normally
    return XtbRun(
        printout=printout,
        dump=the_dump,
        charges=the_charges,
        gradient=the_gradient,
        engrad=the_engrad,
        energy_file=the_energy,
        optimised=the_optimised,
        ended_normally=said,
        stdout_log=_shortened(stdout),
        stderr_log=_shortened(stderr),
        notes=tuple(notes),
        is_unfinished=is_unfinished,
        contradictions=tuple(contradictions),
    )


_NAMES = {
    "dump": "xtbout.json",
    "charges": "charges",
    "gradient": "gradient",
    "engrad": "*.engrad",
    "energy": "energy",
    "optimised": "xtbopt.xyz",
}


def result_of(
    run: XtbRun,
    geometry: Geometry,
    *,
    charge: int,
    multiplicity: int,
    method: str | None = None,
    solvent: str | None = None,
) -> Result:
    """Return the result of a run at the geometry that it ended with.

    What is given stands in where the run does not say. Raises EngineError, with the program's own
    words, when it failed or states no energy.
    """
    printout, dump = run.printout or Printout(), run.dump or Dump()
    if run.failure is not None:
        raise _failed(run, run.failure)
    if run.energy is None:
        stopped = "the output of xtb ends before it states an energy"
        raise _failed(run, stopped if run.printout else "no file states an energy")
    charges = dump.charges if dump.charges is not None else run.charges
    if charges is not None and len(charges) != len(geometry):
        charges = run.charges if run.charges and len(run.charges) == len(geometry) else None
    gradient = run.gradient.gradient if run.gradient is not None else None
    if gradient is not None and len(gradient) != len(geometry):
        gradient = None
    norm = printout.gradient_norm
    if norm is None and gradient is not None:
        norm = math.hypot(*(part for row in gradient for part in row))
    single_point = not run.optimises and run.optimised is None
    homo = dump.homo if dump.homo is not None else printout.homo
    lumo = dump.lumo if dump.lumo is not None else printout.lumo
    gap = printout.gap if printout.gap is not None else dump.gap
    if (homo is None) != (lumo is None):
        gap = None  # without a virtual orbital, as of H, xtb counts it from 0
    return Result(
        method=run.method or method or "unknown",
        solvent=solvent,
        charge=charge,
        multiplicity=multiplicity,
        energy=run.energy,
        homo=homo,
        lumo=lumo,
        gap=lumo - homo if gap is None and homo is not None and lumo is not None else gap,
        # The JSON has more decimals; after an optimisation it has them of the first geometry.
        dipole=dump.first_dipole
        if single_point and dump.first_dipole is not None
        else printout.dipole,
        charges=charges,
        gradient=gradient,
        gradient_norm=norm,
        electron_count=printout.electron_count
        if dump.electron_count is None
        else dump.electron_count,
        orbital_count=printout.orbital_count if dump.orbital_count is None else dump.orbital_count,
        scf_iterations=printout.scf_iterations,
        optimization_cycles=printout.optimization_cycles,
        is_converged=printout.is_optimised is not False,
        wall_time_seconds=printout.wall_time_seconds,
        cpu_time_seconds=printout.cpu_time_seconds,
        program="xtb",
        program_version=run.version or "unknown",
        stdout_log=run.stdout_log,
    )


def _failed(run: XtbRun, reason: str) -> EngineError:
    iterations = run.printout.scf_iterations if run.printout is not None else None
    return EngineError(reason, stdout_log=run.stdout_log, scf_iterations=iterations or 0)


def _stale(printout: Printout, dump: Dump) -> str | None:
    """Why the JSON belongs to another run than the log; None when it may be of the same."""
    methods = (printout.method, dump.method)
    # The JSON of IPEA1-xTB says GFN1-xTB.
    if all(methods) and methods[0] != methods[1] and methods != ("IPEA1-xTB", "GFN1-xTB"):
        return _of_another_run("method", dump.method, printout.method)
    if printout.other_energy is not None and not _differ(dump.energy, printout.other_energy):
        return (
            f"has the energy of another species that the run calculated last, {dump.energy} Eh; "
            f"that of the molecule is {printout.energy} Eh"
        )
    if _differ(dump.energy, printout.energy):
        return _of_another_run("energy", dump.energy, printout.energy, "Eh")
    if printout.error is not None:
        return "belongs to an earlier run: this one ended with an error"
    return None


def _is_unfinished(printout: Printout, log: bytes) -> bool:
    """Whether a log of xtb stops before it states an energy; one that is buffered is empty then."""
    if printout.energy is not None or printout.error is not None:
        return False
    is_of_xtb = printout.version is not None or printout.program_call is not None
    return is_of_xtb or b"x T B" in log or not log.strip()


def _is_same_call(printout: Printout | None, dump: Dump) -> bool:
    """Whether log and JSON have the same command line."""
    call = None if printout is None else printout.program_call
    return call is not None and dump.program_call is not None and call == dump.program_call


def _of_another_run(
    what: str, here: object, there: object, unit: str = "", named: str = "the log"
) -> str:
    return f"belongs to another run: its {what} is {here} {unit}".rstrip() + (
        f", that of {named} {there} {unit}".rstrip()
    )


def _other_gradient(
    file: GradientFile, energy: float | None, printout: Printout | None, named: str
) -> str | None:
    """Why a gradient belongs to another run or species; None when it may be of this one."""
    if _differ(file.energy, energy):
        return _of_another_run("energy", file.energy, energy, "Eh", named)
    # A Hessian prints a second norm.
    printed = () if printout is None else printout.norms
    norm = file.norm
    if printed and all(abs(norm - each) > 1e-5 + 1e-3 * each for each in printed):
        norms = " and ".join(f"{each:.6g}" for each in printed)
        return f"has a gradient of norm {norm:.6g} Eh/Bohr, and the log one of {norms}"
    return None


def _other_charges(
    charges: tuple[float, ...], printout: Printout | None, dump: Dump | None
) -> str | None:
    """Why the file `charges` belongs to another run or species; None when it may be of this one."""
    printed = printout or Printout()
    if (
        printed.other_energy is not None
        and printed.charge is not None
        and all(map(math.isfinite, charges))
    ):
        total = math.fsum(charges)
        if abs(total - printed.charge) > 0.5:
            return (
                "belongs to another species that the run calculated last: its charges add up to "
                f"{total:+.3f}, and those of the log to {printed.charge:+.3f}"
            )
    for expected, tolerance, named in (
        (printed.table_charges, CHARGE_TOLERANCE, "the log"),
        (None if dump is None else dump.charges, 1e-5, "the JSON"),
    ):
        if expected is None or len(expected) != len(charges):
            continue
        for number, (here, there) in enumerate(zip(charges, expected, strict=True), start=1):
            if abs(here - there) > tolerance:
                return (
                    f"belongs to another run: atom {number} has {here:+.4f} e, and {there:+.4f} e "
                    f"in {named}"
                )
    return None


def _reached_the_end(printout: Printout | None) -> bool:
    return printout is not None and printout.energy is not None


def _differ(one: float | None, other: float | None) -> bool:
    """Whether two energies are known, and not the same."""
    if one is None or other is None or math.isnan(one) or math.isnan(other):
        return False
    return abs(one - other) > FILE_TOLERANCE


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _shortened(data: bytes | None) -> str:
    """A log as it is kept: without the middle of a very long one."""
    if data is None:
        return ""
    if len(data) > STDOUT_LIMIT:
        half = STDOUT_LIMIT // 2
        left_out = len(data) - 2 * half
        data = data[:half] + f"\n… {left_out} bytes …\n".encode() + data[-half:]
    return _text(data)
