"""What xtb prints: versions 6.3 to 6.7, GFN methods and GFN-FF, single points and optimisations.

An optimisation prints the energy of its first geometry before that of its last, and repeats most
headings; so everything here is the last of its kind. Searching from the end also makes reading
independent of the length of the log. Of a log to which several runs were appended, the last run
is read.

After its result, xtb may calculate other species at the same geometry (`--vip`, `--vea`,
`--vipea`, `--vomega`, `--vfukui`). The box at the end of the log then has the energy of the last
of them, and the SUMMARY block has that of the molecule. The SUMMARY decides.
"""

import math
import re
from datetime import datetime

import msgspec

from quantum_forge.runner.engines.xtb.printed_geometry import (
    AtomDistance,
    final_structure,
    selected_distances,
)
from quantum_forge.runner.molecules.geometry import Geometry

OTHER_SPECIES = 1e-5
"""Eh; energies in one log that differ more are of different species or geometries."""

ROOM_TEMPERATURE = 300.0
"""K; the electronic temperature of xtb unless it is told another."""

USUAL_ACCURACY = 1.0
"""Of --acc; a larger number makes the SCF end earlier."""

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[EDed][-+]?\d+)?|NaN|\*+|[Ii]nf\w*))"
_ENERGY = re.compile(r"TOTAL ENERGY\s+" + _NUMBER + r"\s+Eh")
_GRADIENT = re.compile(r"GRADIENT NORM\s+" + _NUMBER + r"\s+Eh")
_GAP = re.compile(r"HOMO-LUMO GAP\s+" + _NUMBER + r"\s+eV")
_SUMMARY_ENERGY = re.compile(r":: total energy\s+" + _NUMBER + r"\s+Eh")
_SUMMARY_GRADIENT = re.compile(r":: gradient norm\s+" + _NUMBER + r"\s+Eh")
_SUMMARY_GAP = re.compile(r":: HOMO-LUMO gap\s+" + _NUMBER + r"\s+eV")
_SUMMARY_METHOD = re.compile(r":: (GFN\d-xTB|IPEA1-xTB) energy")
_RESTRAINT = re.compile(r":: add\. restraining\s+" + _NUMBER + r"\s+Eh")
_BIAS = re.compile(r"final kpush:\s+" + _NUMBER)
_CHARGE = re.compile(r":: total charge\s+" + _NUMBER)
_NET_CHARGE = re.compile(r"net charge\s*:?\s+([-+]?\d+)\b")
_FULL_DIPOLE = re.compile(r"full:\s+" + r"\s+".join([_NUMBER] * 4))
_DENSITY_DIPOLE = re.compile(r"total \(Debye\):\s+" + _NUMBER)
_VERSION = re.compile(r"\* xtb version\s+(\S+)")
_CALL = re.compile(r"program call\s*:\s*(.*)")
_COORDINATE_FILE = re.compile(r"coordinate file\s*:\s*(\S.*?)\s*$", re.MULTILINE)
_UNPAIRED = re.compile(r"unpaired electrons\s*:?\s+(\d+)\b")
_SPIN = re.compile(r"spin\s*:\s*(\d+\.[05])\b")
_TEMPERATURE = re.compile(r"electronic temp\.\s+" + _NUMBER + r"\s+K")
_ACCURACY = re.compile(r"accuracy\s+" + _NUMBER + r"\s+:")
_HAMILTONIAN = re.compile(r"Hamiltonian\s+(\S+)")
_MODEL = re.compile(r"Solvation model:\s+(\S+)")
_SOLVENT = re.compile(r"Solvent\s+(\S+)")
_REFERENCE = re.compile(r"Reference state\s+(\S.*\S)")
_LEVEL = re.compile(r"optimization level\s+(\S+)")
_SCF = re.compile(r"convergence criteria satisfied after\s+(\d+)")
_OPTIMISED = re.compile(r"GEOMETRY OPTIMIZATION (?:CONVERGED AFTER|IN)\s+(\d+)")
_TIME = re.compile(
    r"time:\s+(\d+) d,\s+(\d+) h,\s+(\d+) min,\s+" + _NUMBER + r" sec",
)
_STAMP = re.compile(r"run on (\d{4}/\d\d/\d\d) at (\d\d:\d\d:\d\d\.\d+)")
_ORBITAL = re.compile(_NUMBER + r"\s+\((?:HOMO|LUMO)\)")
_ORBITAL_INDEX = re.compile(r"\s*(\d+)\s")
_CHARGE_ROW = re.compile(r"\s*\d+\s+\d+\s+[A-Z][a-z]?\s+[\d.]+\s+(-?\d+\.\d+)\s")
_MULLIKEN_ROW = re.compile(r"\s*\d+\s*[A-Z][a-z]?\s+(-?\d+\.\d+)\s+-?\d+\.\d+\s")
_ELECTRONS = re.compile(r"# electrons\s+(-?\d+)")
_ORBITALS = re.compile(r"# atomic orbitals\s+(\d+)")

_REASON = re.compile(r"\s*-\d+-\s*(.*\S)")

_LINE = 400  # characters; no line of xtb's tables is longer
_SUMMARY_HEADING = "::                     SUMMARY"
_SUMMARY_RULE = ":" * 53
_SYMMETRY = ("Molecule has ", "It seems to be ")
_USUAL_REFERENCE = "gsolv [1 M gas/solution]"


class Printout(msgspec.Struct, frozen=True, kw_only=True):
    """Values of a captured standard output; None where it states none.

    energy Eh; gradient_norm Eh/Bohr; gap, homo, lumo eV; dipole Debye; charge e; times s. Numbers
    that xtb could not write (`NaN`, `****`) are NaN. `started_at`, `finished_at` are by the clock
    of the machine, without a zone. `error` is the reason of a fatal error; `ended_normally` is None
    where the output stops before it says. `is_optimised`: None for a single point.

    `energy`, `gradient_norm`, `gap` belong to the geometry of the run, `other_energy` is that of
    the last of other species calculated after it. A log without the closing box stops before the
    run does. `restraint` is the part of `energy` in Eh that
    restraints add, `bias` the strength (`kpush`) of the potential that `--bhess` adds.
    `unpaired_count` is as printed (6.3, 6.4, 6.6 and later); `orbital_unpaired_count` is the one
    with which the orbitals were filled: 2 × the index of the HOMO - the electrons (any version).
    `final_geometry` is the `final structure:` block, `distances` are those that the geometry
    summary selects, `table_charges` are rounded to three decimals or more.
    """

    version: str | None = None
    program_call: str | None = None
    coordinate_file: str | None = None
    method: str | None = None
    solvation_model: str | None = None
    optimization_level: str | None = None
    energy: float | None = None
    has_closing_box: bool = False
    other_energy: float | None = None
    restraint: float | None = None
    bias: float | None = None
    electronic_temperature: float | None = None
    accuracy: float | None = None
    has_point_charges: bool = False
    gradient_norm: float | None = None
    gap: float | None = None
    homo: float | None = None
    lumo: float | None = None
    charge: float | None = None
    unpaired_count: int | None = None
    orbital_unpaired_count: int | None = None
    table_charges: tuple[float, ...] | None = None
    dipole: float | None = None
    electron_count: int | None = None
    orbital_count: int | None = None
    scf_iterations: int | None = None
    is_scf_converged: bool | None = None
    optimization_cycles: int | None = None
    is_optimised: bool | None = None
    wall_time_seconds: float | None = None
    cpu_time_seconds: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ended_normally: bool | None = None
    error: str | None = None
    summary_norm: float | None = None
    final_geometry: Geometry | None = None
    distances: tuple[AtomDistance, ...] = ()
    writes_topology: bool = False

    @property
    def norms(self) -> tuple[float, ...]:
        """The norms of the gradient in Eh/Bohr that the log has for its energy."""
        found = (self.gradient_norm, self.summary_norm if self.bias is None else None)
        return tuple(each for each in found if each is not None and math.isfinite(each))


def read_printout(log: bytes) -> Printout:
    """Return what a log says, whatever it is; a log of something else says nothing."""
    # Every byte a character: what is searched for is ASCII, and broken UTF-8 breaks nothing.
    text = _last_run(log.decode("latin-1"))
    box = text.rfind("TOTAL ENERGY")
    # `--path` optimises points of the path after its result.
    before = text if box < 0 else text[:box]
    cycles = _last(before, "GEOMETRY OPTIMIZATION ", _OPTIMISED)
    failed = before.rfind("FAILED TO CONVERGE GEOMETRY") > before.rfind("OPTIMIZATION CONVERGED")
    summary, summary_end = _summary(text)
    energy = _number(_last(text, "TOTAL ENERGY", _ENERGY))
    gradient_norm = _number(_last(text, "GRADIENT NORM", _GRADIENT))
    gap = _number(_last(text, "HOMO-LUMO GAP", _GAP))
    own_energy = _number(_found(summary, _SUMMARY_ENERGY))
    bias = _number(_last(text, "final kpush:", _BIAS))
    other = None
    # The text that describes the wave function of the result.
    own = text
    if energy is None:
        energy = own_energy
    elif bias is None and own_energy is not None and abs(energy - own_energy) > OTHER_SPECIES:
        other, energy = energy, own_energy
        gradient_norm = _number(_found(summary, _SUMMARY_GRADIENT))
        own_gap = _number(_found(summary, _SUMMARY_GAP))
        if own_gap is None or gap is None or abs(gap - own_gap) > OTHER_SPECIES:
            own, gap = text[:summary_end], own_gap
    electrons = _whole(_last(own, "# electrons", _ELECTRONS))
    wall, cpu = _times(text)
    satisfied = own.rfind("convergence criteria satisfied")
    unsatisfied = own.rfind("convergence criteria cannot be satisfied")
    return Printout(
        version=_first(text, "* xtb version", _VERSION),
        program_call=_first(text, "program call", _CALL),
        coordinate_file=_first(text, "coordinate file", _COORDINATE_FILE),
        method=_method(text, summary),
        solvation_model=_solvation(text),
        optimization_level=_last(before, "optimization level", _LEVEL),
        energy=energy,
        has_closing_box=box >= 0,
        other_energy=other,
        restraint=_number(_found(summary, _RESTRAINT)),
        bias=bias,
        electronic_temperature=_number(_last(text, "electronic temp.", _TEMPERATURE)),
        accuracy=_number(_last(text, "accuracy   ", _ACCURACY)),
        has_point_charges="true" in _line(text, text.rfind("PC potential  ")),
        gradient_norm=gradient_norm,
        gap=gap,
        homo=_orbital(own, "(HOMO)"),
        lumo=_orbital(own, "(LUMO)"),
        charge=_number(_found(summary, _CHARGE) or _last(text, "net charge", _NET_CHARGE)),
        unpaired_count=_unpaired(text),
        orbital_unpaired_count=_orbital_unpaired(own, electrons),
        table_charges=_table_charges(own),
        dipole=_number(_dipole(own)),
        electron_count=electrons,
        orbital_count=_whole(_last(text, "# atomic orbitals", _ORBITALS)),
        scf_iterations=_whole(_last(own, "convergence criteria satisfied", _SCF)),
        is_scf_converged=None if satisfied == unsatisfied else satisfied > unsatisfied,
        optimization_cycles=_whole(cycles),
        is_optimised=None if cycles is None else not failed,
        wall_time_seconds=wall,
        cpu_time_seconds=cpu,
        started_at=_stamp(_line(text, text.find("* started run on"))),
        finished_at=_stamp(_line(text, text.rfind("* finished run on"))),
        ended_normally=_ended_normally(text),
        error=_error(text),
        summary_norm=_number(_found(summary, _SUMMARY_GRADIENT)),
        final_geometry=final_structure(before),
        distances=selected_distances(before),
        writes_topology="Writing topology from bond orders to xtbtopo.mol" in text,
    )


def ended_normally(log: bytes) -> bool | None:
    """Whether xtb says so: it does on standard error, which many a script sends to the log."""
    return _ended_normally(log.decode("latin-1"))


def _ended_normally(text: str) -> bool | None:
    end = text.rfind("normal termination of xtb")
    if end < 0:
        return None
    return not text.endswith("ab", 0, end)


def _last_run(text: str) -> str:
    """The part of the last run of a log to which several were appended."""
    last = text.rfind("program call  ")
    if last < 0 or text.find("program call  ") == last:
        return text
    start = text.rfind("* xtb version", 0, last)
    return text if start < 0 else text[start:]


def _summary(text: str) -> tuple[str, int]:
    """The last SUMMARY block, and where it ends; an empty text where there is none."""
    start = text.rfind(_SUMMARY_HEADING)
    if start < 0:
        return "", len(text)
    opening = text.find(_SUMMARY_RULE, start)
    end = text.find(_SUMMARY_RULE, opening + len(_SUMMARY_RULE)) if opening >= 0 else -1
    if end < 0:
        end = min(len(text), start + 5_000)
    return text[start:end], end


def _method(text: str, summary: str) -> str | None:
    method = _last(text, "Hamiltonian  ", _HAMILTONIAN) or _found(summary, _SUMMARY_METHOD)
    if "I P E A - x T B" in text:  # whose setup block says GFN1-xTB
        return "IPEA1-xTB"
    if method is None and "G F N - F F" in text:
        return "GFN-FF"
    return method


def _solvation(text: str) -> str | None:
    """The model with its solvent, and its reference state where that is not the usual one."""
    model = _last(text, "Solvation model:", _MODEL)
    if model is None:
        return None
    solvent = _last(text, "Solvent  ", _SOLVENT) or "unknown"
    reference = _last(text, "Reference state", _REFERENCE)
    if reference is None or reference == _USUAL_REFERENCE:
        return f"{model}({solvent})"
    return f"{model}({solvent}, {reference})"


def _unpaired(text: str) -> int | None:
    """As the setup block of 6.6 and later prints it, or the spin S of 6.3 and 6.4."""
    found = _whole(_last(text, "unpaired electrons ", _UNPAIRED))
    if found is not None:
        return found
    spin = _number(_first(text, "spin          ", _SPIN))
    return None if spin is None or spin > 1_000 else round(2 * spin)


def _orbital_unpaired(text: str, electrons: int | None) -> int | None:
    end = text.rfind("(HOMO)")
    if end < 0 or electrons is None:
        return None
    start = text.rfind("\n", max(0, end - _LINE), end) + 1
    index = _whole(_found(text[start:end], _ORBITAL_INDEX))
    return None if index is None or 2 * index < electrons else 2 * index - electrons


def _table_charges(text: str) -> tuple[float, ...] | None:
    """Of the table of GFN2-xTB (three decimals), or Mulliken's of GFN1-xTB (five)."""
    for heading, row in (("covCN  ", _CHARGE_ROW), ("Mulliken/CM5 charges", _MULLIKEN_ROW)):
        start = text.find("\n", text.rfind(heading)) + 1 if heading in text else 0
        charges: list[float] = []
        while start:
            if found := row.match(text, start):
                charges.append(float(found[1]))
            elif not text.startswith(_SYMMETRY, start):  # written between two lines of the table
                break
            start = text.find("\n", start) + 1
        if charges:
            return tuple(charges)
    return None


def _found(text: str, pattern: re.Pattern[str]) -> str | None:
    found = pattern.search(text)
    return _decoded(found[1]) if found else None


def _line(text: str, start: int) -> str:
    if start < 0:
        return ""
    end = text.find("\n", start, start + _LINE)
    return text[start : end if end >= 0 else start + _LINE]


def _last(text: str, heading: str, pattern: re.Pattern[str]) -> str | None:
    """What the pattern finds from the heading's last occurrence to the end of its line."""
    found = pattern.match(_line(text, text.rfind(heading)))
    return _decoded(found[1]) if found else None


def _dipole(text: str) -> str | None:
    """The norm in Debye, of GFN2-xTB (a table, before that of the quadrupole) or the others."""
    table = text.rfind("molecular dipole:")
    if table < 0:
        return _last(text, "total (Debye):", _DENSITY_DIPOLE)
    found = _FULL_DIPOLE.search(text, table, table + 2 * _LINE)
    return found[4] if found else None


def _first(text: str, heading: str, pattern: re.Pattern[str]) -> str | None:
    found = pattern.match(_line(text, text.find(heading)))
    return _decoded(found[1]).strip() if found else None


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text.replace("D", "E").replace("d", "e"))
    except ValueError:
        return math.nan  # Fortran's asterisks: wider than its field


def _whole(text: str | None) -> int | None:
    return None if text is None or len(text) > 9 else int(text)


def _orbital(text: str, mark: str) -> float | None:
    """The energy in eV of the orbital that is marked in the last table of orbitals."""
    end = text.rfind(mark)
    if end < 0:
        return None
    start = text.rfind("\n", max(0, end - _LINE), end) + 1
    found = _ORBITAL.search(text[start : end + len(mark)])
    return _number(found[1]) if found else None


def _times(text: str) -> tuple[float | None, float | None]:
    """Wall and processor time of the whole run."""
    total = text.rfind("\n total:")
    if total < 0:
        return None, None
    times = [_seconds(found) for found in _TIME.finditer(text, total, total + _LINE)]
    wall, cpu = [*times, None, None][:2]
    return wall, cpu


def _seconds(found: re.Match[str]) -> float | None:
    days, hours, minutes = (int(part) if len(part) < 6 else 0 for part in found.groups()[:3])
    seconds = _number(found[4])
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return None
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _stamp(line: str) -> datetime | None:
    found = _STAMP.search(line)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1].replace('/', '-')}T{found[2][:12]}")
    except ValueError:
        return None


def _error(text: str) -> str | None:
    """The lines of a fatal error, the cause first, which xtb prints last."""
    start = text.rfind("[ERROR]")
    if start < 0:
        return None
    block = text[start : start + 4_000].split("\n####", 1)[0].splitlines()
    reasons = [found[1] for line in block[1:11] if (found := _REASON.match(line))]
    return _decoded(": ".join(reversed(reasons)) or " ".join(block[:3]))
