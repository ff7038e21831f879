"""Charge, spin, method and solvent of a job, by everything that states them.

What the run calculated outweighs what it was asked for, and both outweigh what others noted down.
Two statements that differ are a contradiction, which is reported with both values.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from quantum_forge.runner.engines.methods import LEVELS
from quantum_forge.runner.engines.xtb.command_line import (
    accuracy_of,
    instruction_of,
    options_of,
    temperature_of,
    unexplained,
)
from quantum_forge.runner.engines.xtb.printout import ROOM_TEMPERATURE, USUAL_ACCURACY, Printout
from quantum_forge.runner.engines.xtb.reading import XtbRun
from quantum_forge.runner.jobs.reading.contents import FolderContents
from quantum_forge.runner.jobs.reading.documents import Facts
from quantum_forge.runner.jobs.reading.folders import (
    CHARGE_FILE,
    DUMP,
    METADATA,
    RESULTS,
    SPIN_FILE,
)
from quantum_forge.runner.jobs.reading.solvents import (
    GAS,
    are_same,
    solvation,
    with_known_solvent,
)
from quantum_forge.runner.jobs.reading.statements import (
    KNOWN_METHODS,
    StatedConditions,
    method_name,
)

USUAL_METHOD = "GFN2-xTB"
"""Default method of xtb."""

_OF_OTHER_SPECIES = ("--vip", "--vea", "--vipea", "--vomega")
"""With these, xtb takes IPEA1-xTB or GFN1-xTB unless told otherwise."""

_CHANGES_METHOD = ("--spinpol", "--oniom", "--efield", "--vparam", "--ptb")
"""Options with which an energy is not one of the plain method."""

_T = TypeVar("_T")


class JobSettings(NamedTuple):
    """Settings of a result's calculation; None where nothing states them.

    `contradictions` are sentences with both values. `undetermined` says what changes the energy in
    a way that no file of the run states; None where there is nothing of the kind.
    """

    charge: int | None
    multiplicity: int | None
    method: str | None
    solvation_model: str | None
    optimization_level: str | None
    options: dict[str, str]
    contradictions: tuple[str, ...]
    undetermined: str | None = None


def job_settings(contents: FolderContents, facts: Facts, run: XtbRun) -> JobSettings:
    """Return the settings of a run, and where what states them differs."""
    log = contents.called(*contents.logs)
    documents = METADATA if contents.get(METADATA) is not None else RESULTS
    printed = run.printout or Printout()
    stated = facts.conditions
    call = printed.program_call or (run.dump and run.dump.program_call) or stated.command or ""
    options = options_of(call)
    # xtb heeds .CHRG and .UHF unless the command line or an input file says otherwise.
    heeds_files = not options.keys() & {"--input", "-I"}
    contradictions: list[str] = []

    def agreed(
        what: str, claims: Sequence[tuple[str, _T | None]], same: Callable[[_T, _T], bool]
    ) -> _T | None:
        values = [(source, value) for source, value in claims if value is not None]
        if not values:
            return None
        first, value = values[0]
        for other, another in values[1:]:
            if not same(value, another):
                contradictions.append(f"the {what} is {value} in {first}, and {another} in {other}")
                break
        return value

    asked = _integer(options.get("--chrg") or options.get("-c"))
    charge = agreed(
        "charge",
        (
            (log, _rounded(printed.charge)),
            (DUMP, _total(run.dump.charges if run.dump is not None else None)),
            ("the command line", asked),
            (
                CHARGE_FILE,
                _first_integer(contents.get(CHARGE_FILE))
                if asked is None and heeds_files
                else None,
            ),
            (documents, stated.charge),
        ),
        int.__eq__,
    )
    asked = _integer(options.get("--uhf") or options.get("-u"))
    unpaired = agreed(
        "number of unpaired electrons",
        (
            (f"the orbitals of {log}", printed.orbital_unpaired_count),
            (log, printed.unpaired_count),
            (DUMP, run.unpaired_count),
            ("the command line", asked),
            (
                SPIN_FILE,
                _first_integer(contents.get(SPIN_FILE)) if asked is None and heeds_files else None,
            ),
            (documents, None if stated.multiplicity is None else stated.multiplicity - 1),
        ),
        int.__eq__,
    )
    switches = any(option in options for option in _OF_OTHER_SPECIES)
    method = agreed(
        "method",
        (
            (log, printed.method),
            (DUMP, run.method if printed.method is None else None),
            ("the command line", None if switches else _method(options)),
            (documents, stated.method),
        ),
        lambda one, other: one == other or not {one, other} <= KNOWN_METHODS,
    )
    solvation_model = agreed(
        "solvation",
        (
            (log, _printed_solvation(printed)),
            ("the command line", _asked_solvation(options)),
            (documents, stated.solvation_model),
        ),
        are_same,
    )
    temperature = agreed(
        "electronic temperature",
        (
            (log, printed.electronic_temperature),
            ("the command line", temperature_of(options)),
            (documents, stated.temperature),
        ),
        float.__eq__,
    )
    condition = _condition(printed, options, temperature)
    return JobSettings(
        charge=charge,
        multiplicity=None if unpaired is None else unpaired + 1,
        method=(method or USUAL_METHOD) + condition if condition else method,
        solvation_model=(
            None if solvation_model in (None, GAS) else with_known_solvent(solvation_model)
        ),
        optimization_level=_level(printed, stated, options),
        options=options,
        contradictions=(*contradictions, *run.contradictions, *stated.contradictions),
        undetermined=_undetermined(contents, facts, run, call),
    )


def _undetermined(contents: FolderContents, facts: Facts, run: XtbRun, call: str) -> str | None:
    """Settings that only a log states: xtbout.json has no solvent, temperature or restraint."""
    has_log = run.printout is not None and run.printout.energy is not None
    if has_log:
        return None
    if facts.conditions.unclear:
        return "; ".join(facts.conditions.unclear)
    has_dump = run.dump is not None and run.dump.energy is not None
    if call or has_dump:
        part = unexplained(call)
        if part is not None:
            file = DUMP if has_dump else "the command line"
            return f"there is no log of the run, and {file} does not state the effect of {part}"
    if not has_dump:
        return None
    for name in (*contents.folder.geometries(), "coord"):
        if instruction := instruction_of(contents.get(name) or b""):
            return (
                f"there is no log of the run, and {DUMP} does not state the effect of "
                f"{instruction} in {name}"
            )
    return None


def _method(options: Mapping[str, str]) -> str | None:
    if "--oniom" in options:
        return None
    if "--gfnff" in options or "--gff" in options:
        return "GFN-FF"
    for number in "012":
        if f"--gfn{number}" in options:
            return method_name(number)
    return method_name(options.get("--gfn"))


def _condition(printed: Printout, options: dict[str, str], temperature: float | None) -> str:
    """What makes an energy another than that of the plain method, in parentheses."""
    conditions = [option for option in _CHANGES_METHOD if option in options]
    if temperature is not None and temperature != ROOM_TEMPERATURE:
        conditions.append(f"{temperature:g} K")
    if printed.has_point_charges:
        conditions.append("point charges")
    accuracy = printed.accuracy if printed.accuracy is not None else accuracy_of(options)
    if accuracy is not None and accuracy > USUAL_ACCURACY:
        conditions.append(f"accuracy {accuracy:g}")
    return f" ({', '.join(conditions)})" if conditions else ""


def _level(printed: Printout, stated: StatedConditions, options: Mapping[str, str]) -> str | None:
    """Of the log, which says nothing of it for a single point; of the documents without a log."""
    if printed.bias is not None and printed.optimization_level is None:
        level = options.get("--bhess", "")  # of which the log says nothing
        return level if level in LEVELS else "normal"
    if printed.energy is not None:
        return printed.optimization_level
    return printed.optimization_level or stated.optimization_level


def _printed_solvation(printed: Printout) -> str | None:
    if printed.energy is None:
        return printed.solvation_model
    return GAS if printed.solvation_model is None else printed.solvation_model


def _asked_solvation(options: Mapping[str, str]) -> str | None:
    for option, model in (
        ("--alpb", "ALPB"),
        ("--gbsa", "GBSA"),
        ("-g", "GBSA"),
        ("--cosmo", "COSMO"),
    ):
        if (solvent := options.get(option)) and not solvent.startswith("-"):
            return solvation(solvent, model)
    return None


def _integer(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"[-+]?\d{1,4}", value) else None


def _first_integer(data: bytes | None) -> int | None:
    words = (data or b"")[:100].split()
    return _integer(words[0].decode("latin-1")) if words else None


def _rounded(value: float | None) -> int | None:
    return round(value) if value is not None and abs(value) < 1_000 else None


def _total(charges: tuple[float, ...] | None) -> int | None:
    """Sum of the atomic charges, where it is a whole number."""
    if charges is None or not all(map(math.isfinite, charges)):
        return None
    total = math.fsum(charges)
    return _rounded(total) if abs(total - round(total)) < 1e-2 else None
