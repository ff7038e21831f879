"""What xtb prints: versions 6.3 to 6.7, GFN methods and GFN-FF, single points and optimisations.

An optimisation prints the energy of its first geometry before that of its last, and repeats most
headings; so everything here is the last of its kind. Searching from the end also makes reading
independent of the length of the log.
"""

import math
import re
from datetime import datetime

import msgspec

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[EDed][-+]?\d+)?|NaN|\*+|[Ii]nf\w*))"
_ENERGY = re.compile(r"TOTAL ENERGY\s+" + _NUMBER + r"\s+Eh")
_GRADIENT = re.compile(r"GRADIENT NORM\s+" + _NUMBER + r"\s+Eh")
_GAP = re.compile(r"HOMO-LUMO GAP\s+" + _NUMBER + r"\s+eV")
_SUMMARY_ENERGY = re.compile(r":: total energy\s+" + _NUMBER + r"\s+Eh")
_CHARGE = re.compile(r":: total charge\s+" + _NUMBER)
_NET_CHARGE = re.compile(r"net charge\s*:?\s+([-+]?\d+)\b")
_FULL_DIPOLE = re.compile(r"full:\s+" + r"\s+".join([_NUMBER] * 4))
_DENSITY_DIPOLE = re.compile(r"total \(Debye\):\s+" + _NUMBER)
_VERSION = re.compile(r"\* xtb version\s+(\S+)")
_CALL = re.compile(r"program call\s*:\s*(.*)")
_HAMILTONIAN = re.compile(r"Hamiltonian\s+(\S+)")
_MODEL = re.compile(r"Solvation model:\s+(\S+)")
_SOLVENT = re.compile(r"Solvent\s+(\S+)")
_LEVEL = re.compile(r"optimization level\s+(\S+)")
_SCF = re.compile(r"convergence criteria satisfied after\s+(\d+)")
_OPTIMISED = re.compile(r"GEOMETRY OPTIMIZATION (?:CONVERGED AFTER|IN)\s+(\d+)")
_TIME = re.compile(
    r"time:\s+(\d+) d,\s+(\d+) h,\s+(\d+) min,\s+" + _NUMBER + r" sec",
)
_STAMP = re.compile(r"run on (\d{4}/\d\d/\d\d) at (\d\d:\d\d:\d\d\.\d+)")
_ORBITAL = re.compile(_NUMBER + r"\s+\((?:HOMO|LUMO)\)")
_ELECTRONS = re.compile(r"# electrons\s+(-?\d+)")
_ORBITALS = re.compile(r"# atomic orbitals\s+(\d+)")

_REASON = re.compile(r"\s*-\d+-\s*(.*\S)")

_LINE = 400  # characters; no line of xtb's tables is longer


class Printout(msgspec.Struct, frozen=True, kw_only=True):
    """What a captured standard output says; None where it does not.

    energy Eh; gradient_norm Eh/Bohr; gap, homo, lumo eV; dipole Debye; charge e; times s. Numbers
    that xtb could not write (`NaN`, `****`) are NaN. `started_at`, `finished_at` are by the clock
    of the machine, without a zone. `error` is the reason of a fatal error; `ended_normally` is None
    where the output stops before it says. `is_optimised`: None for a single point.
    """

    version: str | None = None
    program_call: str | None = None
    method: str | None = None
    solvation_model: str | None = None
    optimization_level: str | None = None
    energy: float | None = None
    gradient_norm: float | None = None
    gap: float | None = None
    homo: float | None = None
    lumo: float | None = None
    charge: float | None = None
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


def read_printout(log: bytes) -> Printout:
    """Return what a log says, whatever it is; a log of something else says nothing."""
    # Every byte a character: what is searched for is ASCII, and broken UTF-8 breaks nothing.
    text = log.decode("latin-1")
    cycles = _last(text, "GEOMETRY OPTIMIZATION ", _OPTIMISED)
    failed = text.rfind("FAILED TO CONVERGE GEOMETRY") > text.rfind("OPTIMIZATION CONVERGED")
    method = _last(text, "Hamiltonian  ", _HAMILTONIAN)
    if method is None and "G F N - F F" in text:
        method = "GFN-FF"
    model = _last(text, "Solvation model:", _MODEL)
    solvent = _last(text, "Solvent  ", _SOLVENT)
    dipole = _dipole(text)
    wall, cpu = _times(text)
    satisfied = text.rfind("convergence criteria satisfied")
    unsatisfied = text.rfind("convergence criteria cannot be satisfied")
    return Printout(
        version=_first(text, "* xtb version", _VERSION),
        program_call=_first(text, "program call", _CALL),
        method=method,
        solvation_model=None if model is None else f"{model}({solvent or 'unknown'})",
        optimization_level=_last(text, "optimization level", _LEVEL),
        energy=_number(
            _last(text, "TOTAL ENERGY", _ENERGY) or _last(text, ":: total energy", _SUMMARY_ENERGY)
        ),
        gradient_norm=_number(_last(text, "GRADIENT NORM", _GRADIENT)),
        gap=_number(_last(text, "HOMO-LUMO GAP", _GAP)),
        homo=_orbital(text, "(HOMO)"),
        lumo=_orbital(text, "(LUMO)"),
        charge=_number(
            _last(text, ":: total charge", _CHARGE) or _last(text, "net charge", _NET_CHARGE)
        ),
        dipole=_number(dipole),
        electron_count=_whole(_last(text, "# electrons", _ELECTRONS)),
        orbital_count=_whole(_last(text, "# atomic orbitals", _ORBITALS)),
        scf_iterations=_whole(_last(text, "convergence criteria satisfied", _SCF)),
        is_scf_converged=None if satisfied == unsatisfied else satisfied > unsatisfied,
        optimization_cycles=_whole(cycles),
        is_optimised=None if cycles is None else not failed,
        wall_time_seconds=wall,
        cpu_time_seconds=cpu,
        started_at=_stamp(_line(text, text.find("* started run on"))),
        finished_at=_stamp(_line(text, text.rfind("* finished run on"))),
        ended_normally=_ended_normally(text),
        error=_error(text),
    )


def ended_normally(log: bytes) -> bool | None:
    """Whether xtb says so: it does on standard error, which many a script sends to the log."""
    return _ended_normally(log.decode("latin-1"))


def _ended_normally(text: str) -> bool | None:
    end = text.rfind("normal termination of xtb")
    if end < 0:
        return None
    return not text.endswith("ab", 0, end)


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
