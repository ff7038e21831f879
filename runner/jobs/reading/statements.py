"""Conditions of a calculation as documents state them: under any name, any number of times.

Charge, spin, method, solvation, electronic temperature, and whether the geometry was optimised. Two
statements of one condition that differ are a contradiction; one that names a condition and cannot
be read is unclear. Neither is decided silently.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from quantum_forge.runner.engines.methods import LEVELS, METHODS, OTHER_METHODS, known_method
from quantum_forge.runner.engines.solvents import is_gas
from quantum_forge.runner.engines.xtb.dump import number, text
from quantum_forge.runner.inputs.stated import Stated
from quantum_forge.runner.jobs.reading.solvents import (
    GAS,
    MODELS,
    are_same,
    model_name,
    solvation,
)

KNOWN_METHODS = frozenset((*METHODS, *OTHER_METHODS))
"""Methods that have one name here, however they are written."""

_NESTED = 5
_NOT_ELECTRONS = frozenset(("s", "2s", "q"))
"""Names that mean charge or spin in the comment of a geometry only."""

_METHOD_KEYS = ("method", "xtb_method", "gfn", "hamiltonian", "level_of_theory", "theory")
_MODEL_KEYS = frozenset(
    ("solvation_model", "solvent_model", "solvation_method", "solvation_type", "solv_model")
)
_SOLVENT_KEYS = frozenset(("solvent", "solvation", "solvent_name", "implicit_solvent", "solv"))
_OF_SOLVENT = {"model": "solvation_model", "method": "solvation_model", "type": "solvation_model"}
"""Keys inside `solvent`; the others name it."""

_NAMES_OF_SOLVENT = frozenset(("name", "solvent", "id", "value"))
_TEMPERATURE = re.compile(r"etemp|(?:electron|fermi|smearing).*temp|temp.*(?:electron|_el$)|^tele$")
_ANY_TEMPERATURE = re.compile(r"(?:^|_)temp(?:erature)?(?:$|_)")
_USUAL_TEMPERATURES = frozenset((0.0, 298.0, 298.15, 300.0))
"""K; a temperature without more words is that of thermochemistry, and one of these, mostly."""

_LEVEL_KEYS = frozenset(("optimization_level", "opt_level", "optimisation_level"))
_CYCLES_KEYS = frozenset(("optimization_cycles", "optimization_steps", "opt_cycles"))
_OPTIMISED_KEYS = re.compile(
    r"opt|(?:is_)?(?:geometry_|geom_|geo_)?optimi[sz](?:e|ed|ation)(?:_geometry)?|do_opt|relax(?:ed)?"
)
_TASK_KEYS = frozenset(
    (
        *("task", "tasks", "job_type", "jobtype", "calculation_type", "calc_type", "run_type"),
        *("runtype", "type", "driver", "mode", "operation", "calculation"),
    )
)
_OPTIMISATION = re.compile(r"(?<![a-z])(?:geo\w*|o|b)?(?:opt|hess_opt|relax|ohess|bhess)", re.I)
_SINGLE_POINT = re.compile(r"sp|energy|gradient|grad|hess|hessian|scc|single[ _-]?point", re.I)
_COMMAND_KEYS = frozenset(
    ("command", "command_line", "cmd", "cmdline", "xtb_command", "program_call", "args")
)

_T = TypeVar("_T")


class Statement(NamedTuple):
    """A value under a name in small letters, inside another name or not; `path` is for messages."""

    path: str
    inside: str
    name: str
    value: Any


class StatedConditions(msgspec.Struct, frozen=True, kw_only=True):
    """What documents state; None where they do not.

    charge e; temperature of the electrons K; optimization_level: `normal` where only an
    optimisation is stated; command: a command line of xtb. `contradictions` and `unclear` are
    sentences with the paths and values.
    """

    charge: int | None = None
    multiplicity: int | None = None
    method: str | None = None
    solvation_model: str | None = None
    temperature: float | None = None
    optimization_level: str | None = None
    command: str | None = None
    contradictions: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()


def read_conditions(documents: Mapping[str, Mapping[str, Any]]) -> StatedConditions:
    """Return what documents, by their names, state together."""
    statements = [
        each for file, document in documents.items() for each in _statements(document, file)
    ]
    reader = _Reader()
    charge, multiplicity = reader.electrons(statements)
    return StatedConditions(
        charge=charge,
        multiplicity=multiplicity,
        method=reader.method(statements),
        solvation_model=reader.solvation(statements),
        temperature=reader.temperature(statements),
        optimization_level=reader.optimization(statements),
        command=reader.command(statements),
        contradictions=tuple(reader.contradictions),
        unclear=tuple(reader.unclear),
    )


def method_name(value: object) -> str | None:
    """Return a method as it is called here: `gfn2`, `2` and `GFN2` are GFN2-xTB."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    name = text(value)
    return None if name is None else known_method(name) or name


@lru_cache(4096)  # job folders of a campaign have the same keys
def key_name(key: str) -> str:
    """Return a key of a document in small letters, with underscores."""
    return key.strip().lower().replace(" ", "_").replace("-", "_") or "_"


def _statements(
    document: Mapping[str, Any], file: str, path: str = "", inside: str = ""
) -> Iterator[Statement]:
    for key, value in document.items():
        name = key_name(key)
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            if name != "units" and path.count(".") < _NESTED:
                yield from _statements(value, file, here, name)
        elif value is not None and value != "":
            yield Statement(f"{file} ({here})", inside, name, value)


class _Reader:
    """Reads one condition after another, and collects what contradicts or is unclear."""

    def __init__(self) -> None:
        self.contradictions: list[str] = []
        self.unclear: list[str] = []

    def electrons(self, statements: list[Statement]) -> tuple[int | None, int | None]:
        """Charge and multiplicity."""
        charges: list[tuple[str, int]] = []
        multiplicities: list[tuple[str, int]] = []
        spins: list[tuple[Statement, str]] = []
        for each in statements:
            if isinstance(each.value, list) or each.name in _NOT_ELECTRONS:
                continue
            stated = Stated()
            try:
                if not stated.add(each.name, _written(each.value)):
                    continue
            except ValueError as error:
                self._not_read(each, str(error))
                continue
            if problem := stated.charge_unclear or stated.multiplicity_unclear:
                self._not_read(each, problem)
            if stated.charge is not None:
                charges.append((each.path, stated.charge))
            if stated.multiplicity is not None:
                multiplicities.append((each.path, stated.multiplicity))
            spins += [(each, value) for _, value in stated.spins]
        charge = self._agreed("charge", charges)
        multiplicity = self._agreed("multiplicity", multiplicities)
        for each, value in spins:
            multiplicity = self._spin(each, value, multiplicity)
        return charge, multiplicity

    def _spin(self, each: Statement, value: str, multiplicity: int | None) -> int | None:
        """A spin is S, 2S or 2S+1: what is the same in all, or what fits another statement."""
        spin = number(value.removesuffix("/2"))
        if spin is not None and value.endswith("/2"):
            spin /= 2
        if spin is None or spin < 0 or not (2 * spin).is_integer():
            self._not_read(each, f"{value} is not a spin")
            return multiplicity
        meant = [round(2 * spin + 1)]
        if spin.is_integer() and spin > 0:
            meant += [round(spin), round(spin) + 1]
        if multiplicity is None and len(meant) == 1:
            return meant[0]
        if multiplicity is None:
            self._not_read(
                each,
                f"may be the multiplicity {meant[1]}, {meant[2]} or {meant[0]}; state multiplicity",
            )
        elif multiplicity not in meant:
            self.contradictions.append(f"{each.path} is {value}, at multiplicity {multiplicity}")
        return multiplicity

    def method(self, statements: list[Statement]) -> str | None:
        """The method; a name that is known goes before others."""
        found = [
            (each.path, name)
            for key in _METHOD_KEYS
            for each in statements
            if each.name == key
            and each.inside not in (*_SOLVENT_KEYS, *_MODEL_KEYS)
            and (name := method_name(each.value)) is not None
        ]
        known = [each for each in found if each[1] in KNOWN_METHODS]
        return self._agreed("method", known) or (found[0][1] if found else None)

    def solvation(self, statements: list[Statement]) -> str | None:
        """Model and solvent, joined; `none` for the gas phase, where that is stated."""
        models: list[tuple[str, str]] = []
        solvents: list[tuple[str, str]] = []
        others: list[Statement] = []
        for each in statements:
            kind = self._kind_of_solvation(each)
            if kind is None:
                continue
            value = each.value
            if kind == "other" or value is True:
                others.append(each)
            elif kind in MODELS and value is False:
                continue
            elif value is False or (isinstance(value, str) and is_gas(value)):
                solvents.append((each.path, GAS))
            elif kind in MODELS:
                models.append((each.path, model_name(kind) or kind))
                if isinstance(value, str):
                    solvents.append((each.path, value.strip()))
                else:
                    self._not_read(each, f"{_written(value)} is not a solvent")
            elif not isinstance(value, str):
                self._not_read(each, f"{_written(value)} is not a solvent")
            elif "(" in value:
                solvents.append((each.path, value.strip()))
                models.append((each.path, value.partition("(")[0].strip()))
            elif (model := model_name(value)) is not None:
                models.append((each.path, model))
            elif kind == "model":
                self._not_read(each, f"{value} is not a known solvation model")
            else:
                solvents.append((each.path, value.strip()))
        model = self._agreed("solvation model", models, lambda a, b: a.lower() == b.lower())
        solvent = self._agreed("solvent", solvents, are_same)
        for each in others:
            if each.name in MODELS:
                models.append((each.path, model_name(each.name) or each.name))
                model = model or models[-1][1]
            elif solvent is None or isinstance(each.value, str):
                self._not_read(each, "states a solvation that is not understood")
        if solvent == GAS:
            if models:
                self.contradictions.append(
                    f"the solvation model is {model} in {models[0][0]}, and {solvents[0][0]} has "
                    "no solvent"
                )
            return GAS
        if solvent is None:
            if models:
                self.unclear.append(f"{models[0][0]} is {model}, and no solvent is stated")
            return None
        return solvation(solvent) if model is None else solvation(solvent, model)

    def _kind_of_solvation(self, each: Statement) -> str | None:
        """What a statement is about: a model, a solvent, both, or `other`; None for the rest."""
        is_inside = each.inside in _SOLVENT_KEYS or each.inside in _MODEL_KEYS
        if each.name in _MODEL_KEYS or (is_inside and each.name in _OF_SOLVENT):
            return "model"
        if each.name in _SOLVENT_KEYS or (is_inside and each.name in _NAMES_OF_SOLVENT):
            return "solvent"
        if each.name in MODELS:
            return each.name
        is_about = "solv" in each.name or is_inside
        return "other" if is_about and each.value not in (False, 0, 0.0, "none") else None

    def temperature(self, statements: list[Statement]) -> float | None:
        """The temperature of the electrons in K."""
        found: list[tuple[str, float]] = []
        for each in statements:
            is_of_electrons = _TEMPERATURE.search(each.name) is not None
            if not is_of_electrons and not _ANY_TEMPERATURE.search(each.name):
                continue
            value = each.value
            if isinstance(value, str):
                value = re.sub(r"\s*k(?:elvin)?$", "", value.strip().lower())
            kelvin = number(value)
            if is_of_electrons and kelvin is not None:
                found.append((each.path, kelvin))
            elif kelvin is None or kelvin not in _USUAL_TEMPERATURES:
                self._not_read(each, "may be the temperature of the electrons")
        return self._agreed("electronic temperature", found)

    def optimization(self, statements: list[Statement]) -> str | None:
        """The level of an optimisation, `normal` where it is not stated; None for none."""
        found: list[tuple[str, bool]] = []
        levels: list[tuple[str, str]] = []
        for each in statements:
            word = each.value.strip().lower() if isinstance(each.value, str) else None
            if each.name in _LEVEL_KEYS or _OPTIMISED_KEYS.fullmatch(each.name):
                if isinstance(each.value, bool | int) and each.value in (0, 1):
                    found.append((each.path, bool(each.value)))
                elif word in ("false", "no", "off"):
                    found.append((each.path, False))
                elif word in ("none", "sp"):
                    continue
                elif word in ("true", "yes", "on"):
                    found.append((each.path, True))
                elif word is not None:
                    found.append((each.path, True))
                    levels.append((each.path, word))
                else:
                    self._not_read(each, f"{_written(each.value)} is not a level")
            elif each.name in _TASK_KEYS and word is not None:
                if _OPTIMISATION.search(word):
                    found.append((each.path, True))
                elif _SINGLE_POINT.fullmatch(word):
                    found.append((each.path, False))
            elif each.name in _CYCLES_KEYS and (number(each.value) or 0) > 0:
                found.append((each.path, True))
        known = [each for each in levels if each[1] in LEVELS]
        level = self._agreed("optimization level", known) or (levels[0][1] if levels else None)
        is_optimised = self._agreed("optimisation", found)
        # An optimised energy at the input geometry would be wrong: what says so goes first.
        return (level or "normal") if is_optimised or any(value for _, value in found) else None

    def command(self, statements: list[Statement]) -> str | None:
        """A command line of xtb, without what a shell does with its output."""
        found: list[tuple[str, str]] = []
        for each in statements:
            if each.name not in _COMMAND_KEYS:
                continue
            words = each.value if isinstance(each.value, list) else [each.value]
            line = re.split(r"[|;<&]|\s\d?>", " ".join(map(str, words)), maxsplit=1)[0].split()
            starts = [at for at, word in enumerate(line) if word.rpartition("/")[2] == "xtb"]
            if starts:
                found.append((each.path, " ".join(["xtb", *line[starts[0] + 1 :]])))
            elif line and line[0].startswith("-"):
                found.append((each.path, " ".join(["xtb", *line])))
        return self._agreed("command", found)

    def _agreed(
        self,
        what: str,
        found: list[tuple[str, _T]],
        same: Callable[[_T, _T], bool] = lambda one, other: one == other,
    ) -> _T | None:
        """Return the first value; of two that differ, note both."""
        if not found:
            return None
        first, value = found[0]
        for path, other in found[1:]:
            if not same(value, other):
                self.contradictions.append(
                    f"the {what} is {value} in {first}, and {other} in {path}"
                )
                break
        return value

    def _not_read(self, each: Statement, why: str) -> None:
        self.unclear.append(f"{each.path} is {_written(each.value)!r}: {why}")


def _written(value: object) -> str:
    return str(value)[:100]
