"""The files beside the log: xtbout.json, charges, energy, gradient, engrad, xtbopt.xyz."""

import json
import math
import re
from typing import Any

import msgspec

from quantum_forge.runner.engines.result import ATOMIC_DIPOLE_DEBYE
from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.molecules.geometry import (
    ATOMIC_NUMBERS,
    BOHR_ANGSTROM,
    ELEMENTS,
    Geometry,
    Position,
)


class Dump(msgspec.Struct, frozen=True, kw_only=True):
    """xtbout.json: energy Eh, homo, lumo and gap eV, dipole Debye, charges e; with 8 decimals.

    The energy and charges are of the last geometry. The dipole is of the first one: xtb (6.5, 6.6)
    does not bring it up to date in an optimisation.
    """

    energy: float | None = None
    gap: float | None = None
    homo: float | None = None
    lumo: float | None = None
    first_dipole: float | None = None
    charges: tuple[float, ...] | None = None
    electron_count: int | None = None
    unpaired_count: int | None = None
    orbital_count: int | None = None
    method: str | None = None
    version: str | None = None
    program_call: str | None = None


class GradientFile(msgspec.Struct, frozen=True):
    """The last cycle of a `gradient` file: Turbomole's format, energy Eh, gradient Eh/Bohr.

    `geometry` is the one at which energy and gradient were calculated. xtb also writes it to
    NAME.engrad, in ORCA's format, with seven decimals.
    """

    energy: float
    gradient: tuple[Position, ...]
    geometry: Geometry

    @property
    def norm(self) -> float:
        """Over all components, in Eh/Bohr."""
        return math.hypot(*(part for row in self.gradient for part in row))


class OptimisedFile(msgspec.Struct, frozen=True):
    """The last frame of xtbopt.xyz or xtbopt.log; energy in Eh, where its comment says."""

    geometry: Geometry
    energy: float | None


def read_dump(data: bytes) -> Dump:
    """Return what xtbout.json says, with the keys of any version.

    6.6 and earlier write `HOMO-LUMO gap/eV` and `dipole`, 6.7 `HOMO-LUMO gap / eV` and
    `dipole / a.u.`: what stands before the stroke counts. Raises ValueError when it is no object.
    """
    document = decoded_json(data)
    if not isinstance(document, dict):
        raise ValueError("is JSON, but not an object")
    fields = {key.partition("/")[0].strip().lower(): value for key, value in document.items()}
    electrons = whole(fields.get("number of electrons"))
    unpaired = whole(fields.get("number of unpaired electrons"))
    homo, lumo = _frontier(numbers(fields.get("orbital energies")), electrons, unpaired or 0)
    dipole = numbers(fields.get("dipole"))
    return Dump(
        energy=number(fields.get("total energy")),
        gap=number(fields.get("homo-lumo gap")),
        homo=homo,
        lumo=lumo,
        first_dipole=math.hypot(*dipole) * ATOMIC_DIPOLE_DEBYE if dipole else None,
        charges=numbers(fields.get("partial charges")),
        electron_count=electrons,
        unpaired_count=unpaired,
        orbital_count=whole(fields.get("number of molecular orbitals")),
        method=text(fields.get("method")),
        version=(text(fields.get("xtb version")) or "").partition(" ")[0] or None,
        program_call=text(fields.get("program call")),
    )


def read_charges(content: str) -> tuple[float, ...]:
    """Return one charge in e per line; raises ValueError for anything else."""
    return tuple(map(float, content.split()))


def read_gradient(content: str) -> GradientFile:
    """Return the last cycle; raises ValueError when there is no whole one."""
    start = content.rfind("cycle =")
    if start < 0:
        raise ValueError("no cycle")
    head, *lines = content[start:].split("$end", 1)[0].rstrip().splitlines()
    found = re.search(r"energy =\s*(\S+)", head)
    if found is None or not lines or len(lines) % 2:
        raise ValueError("the cycle is not complete")
    atoms = len(lines) // 2
    places = " ".join(lines[:atoms]).split()
    along = [float(part) for part in " ".join(lines[atoms:]).replace("D", "E").split()]
    if len(places) != 4 * atoms or len(along) != 3 * atoms:
        raise ValueError("the cycle is not complete")
    if unknown := {symbol.capitalize() for symbol in places[3::4]} - ATOMIC_NUMBERS.keys():
        raise ValueError(f"{min(unknown)!r} is not an element")
    x, y, z = ([_bohr(part) for part in places[axis::4]] for axis in range(3))
    return GradientFile(
        float(found[1]),
        tuple(zip(along[::3], along[1::3], along[2::3], strict=True)),
        Geometry.of(places[3::4], zip(x, y, z, strict=True)),
    )


def read_engrad(content: str) -> GradientFile:
    """Return what NAME.engrad says; raises ValueError when it is not whole."""
    lines = [line.split() for line in content.splitlines()]
    fields = [parts for parts in lines if parts and not parts[0].startswith("#")]
    if len(fields) < 2 or not (fields[0][0].isdigit() and len(fields[0][0]) < 7):
        raise ValueError("does not begin with a number of atoms")
    count = int(fields[0][0])
    along = [float(parts[0]) for parts in fields[2 : 2 + 3 * count]]
    rows = fields[2 + 3 * count : 2 + 4 * count]
    if len(along) != 3 * count or len(rows) != count or any(len(row) != 4 for row in rows):
        raise ValueError("is not complete")
    numbers = tuple([int(row[0]) for row in rows])
    if not all(0 < number < len(ELEMENTS) for number in numbers):
        raise ValueError("has an atomic number that no element has")
    positions = [(_bohr(row[1]), _bohr(row[2]), _bohr(row[3])) for row in rows]
    return GradientFile(
        float(fields[1][0]),
        tuple(zip(along[::3], along[1::3], along[2::3], strict=True)),
        Geometry(numbers, tuple(positions)),
    )


def _bohr(text: str) -> float:
    """A coordinate in Bohr as a number of Å."""
    return float(text.replace("D", "E")) * BOHR_ANGSTROM


def read_energy_file(content: str) -> float:
    """Return the last energy in Eh of a file `energy`; raises ValueError when there is none."""
    last = None
    for line in content.splitlines():
        parts = line.split()
        if len(parts) >= 2 and parts[0].isdigit():
            last = float(parts[1])
    if last is None:
        raise ValueError("no energy")
    return last


def read_optimised(content: str) -> OptimisedFile:
    """Return the last frame of xtbopt.xyz or xtbopt.log; raises ValueError when there is none."""
    # Each frame begins with the count of atoms, which all frames share.
    first = content.lstrip().partition("\n")[0].strip()
    start = content.rfind(f"\n{content[: content.find(first)]}{first}\n") + 1 if first else 0
    last = None
    for frame in xyz_frames(content[start:].splitlines()):
        last = frame
    if last is None:
        raise ValueError("no geometry")
    record = read_xyz(last)
    if record.geometry is None:
        raise ValueError(record.error or "no geometry")
    found = re.search(r"energy:\s*(\S+)", last.comment)
    return OptimisedFile(record.geometry, number(found and found[1]))


def decoded_json(data: bytes) -> Any:
    """Return any JSON, with the NaN and Infinity that many programs write, and foreign bytes.

    Raises ValueError, which says where it stops to be JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        content = data.decode("latin-1")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error


def number(value: object) -> float | None:
    """Return a number, also one that stands in a string; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """Return a small whole number, or None."""
    found = number(value)
    if found is None or not math.isfinite(found) or not found.is_integer() or abs(found) > 1e9:
        return None
    return int(found)


def numbers(value: object) -> tuple[float, ...] | None:
    """Return a list of numbers, or None when one of them is none."""
    if not isinstance(value, list):
        return None
    if set(map(type, value)) == {float}:  # as nearly always, and by the hundred
        return tuple(value)
    found = [number(each) for each in value]
    return None if None in found else tuple(each for each in found if each is not None)


def text(value: object) -> str | None:
    """Return a text that says something, or None."""
    return value.strip() or None if isinstance(value, str) else None


def _frontier(
    energies: tuple[float, ...] | None, electrons: int | None, unpaired: int
) -> tuple[float | None, float | None]:
    """Homo and lumo of the majority spin, counted in order of energy, as xtb marks them."""
    if not energies or electrons is None:
        return None, None
    ordered = sorted(energies)
    occupied = (electrons + unpaired) // 2
    homo = ordered[occupied - 1] if 0 < occupied <= len(ordered) else None
    lumo = ordered[occupied] if 0 <= occupied < len(ordered) else None
    return homo, lumo
