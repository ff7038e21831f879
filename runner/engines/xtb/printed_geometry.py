"""Geometries that xtb reads and prints: input files, final structure, distances, topology."""

import math
import re
from typing import NamedTuple

from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM, ELEMENTS, Geometry, Position

_HEADING = "final structure:"
_LARGEST = 8_000_000
"""Characters of a structure; more are not one."""

_DISTANCE = re.compile(r"\s*(\d+)\s+(\d+) [A-Z][a-z]?\s+(\d+)\s+(\d+) [A-Z][a-z]?\s+(\d+\.\d+)")


class AtomDistance(NamedTuple):
    """Two atoms, counted from 0, and how far apart they are in Å."""

    first: int
    second: int
    distance: float


def final_structure(text: str) -> Geometry | None:
    """Return the last block `final structure:` of a log, in the format of xyz or Turbomole.

    None where there is none, where it is cut short, or where it is in another format.
    """
    start = text.rfind(_HEADING)
    if start < 0:
        return None
    start = text.find("\n", text.find("=====", start)) + 1
    if start == 0:
        return None
    block = text[start : start + _LARGEST]
    if block.startswith("$coord"):
        return coord_file(block)
    count = block.partition("\n")[0].strip()
    if not count.isdigit() or len(count) > 6:
        return None
    lines = block.split("\n", int(count) + 2)[: int(count) + 2]
    frame = next(xyz_frames(lines), None)
    return None if frame is None else read_xyz(frame).geometry


def xyz_file(text: str) -> Geometry | None:
    """Return the geometry of the first frame as xtb reads it, or None where xtb reads none.

    That is in Å, from the first four columns; the comment says nothing of positions to xtb, neither
    a unit, nor a cell, nor an order of columns (src/io/reader/xyz.f90 of mctc-lib).
    """
    lines = text.split("\n")
    found = re.match(r"\s*(\d{1,6})(?:\s|$)", lines[0])
    if found is None or not 0 < int(found[1]) <= len(lines) - 2:
        return None
    symbols: list[str] = []
    positions: list[Position] = []
    try:
        for line in lines[2 : 2 + int(found[1])]:
            symbol, x, y, z = line.split()[:4]
            symbols.append(_element(symbol))
            try:
                positions.append((float(x), float(y), float(z)))
            except ValueError:  # may be in Fortran's notation
                positions.append((_fortran(x), _fortran(y), _fortran(z)))
        return Geometry.of(symbols, positions)
    except (ValueError, KeyError, IndexError):
        return None


def _fortran(number: str) -> float:
    """A number whose exponent is written after D, or E."""
    return float(number.replace("D", "E").replace("d", "e"))


def _element(symbol: str) -> str:
    """An atomic number or a symbol in any case; D and T are hydrogen."""
    if symbol.isdigit():
        return ELEMENTS[int(symbol)] if 0 < int(symbol) < len(ELEMENTS) else symbol
    return "H" if symbol.upper() in ("D", "T") else symbol


def coord_file(text: str) -> Geometry | None:
    """Return the geometry of a Turbomole `coord` file, whose positions are in Bohr.

    None where it is not one, is cut short, or has another unit.
    """
    _, found, rest = text.partition("$coord")
    heading, _, rest = rest.partition("\n")
    lines, ended, _ = rest.partition("$")
    if not found or not ended or heading.strip():
        return None
    symbols: list[str] = []
    positions: list[Position] = []
    try:
        for line in filter(None, map(str.strip, lines.splitlines())):
            x, y, z, symbol = line.split()[:4]
            symbols.append(symbol)
            positions.append(
                (
                    float(x) * BOHR_ANGSTROM,
                    float(y) * BOHR_ANGSTROM,
                    float(z) * BOHR_ANGSTROM,
                )
            )
        return Geometry.of(symbols, positions) if symbols else None
    except (ValueError, KeyError):
        return None


def topology_file(text: str) -> Geometry | None:
    """Return the geometry of xtbtopo.mol, a V2000 molfile with four decimals; None where broken."""
    lines = text.splitlines()
    try:
        count = int(lines[3][:3])
        rows = [line.split()[:4] for line in lines[4 : 4 + count]]
        if len(rows) != count or not count:
            return None
        return Geometry.of(
            [row[3] for row in rows],
            [(float(row[0]), float(row[1]), float(row[2])) for row in rows],
        )
    except (ValueError, KeyError, IndexError):
        return None


def selected_distances(text: str) -> tuple[AtomDistance, ...]:
    """Return the distances that the last geometry summary of a log lists, with seven decimals."""
    start = text.rfind("selected distances")
    if start < 0:
        return ()
    start = text.find("value/", start)
    start = text.find("\n", start) + 1 if start >= 0 else 0
    distances: list[AtomDistance] = []
    while start and (found := _DISTANCE.match(text, start)):
        distances.append(AtomDistance(int(found[1]) - 1, int(found[3]) - 1, float(found[5])))
        start = text.find("\n", start) + 1
    return tuple(distances)


def difference(
    one: Geometry, other: Geometry, *, tolerance: float, named: tuple[str, str]
) -> str | None:
    """Return how two geometries differ in a sentence, or None when they are the same.

    The same is the same atoms in the same order, with distances between them that differ by less
    than `tolerance` in Å: rotation and translation do not count. `named` is what they are called.
    """
    if one.numbers != other.numbers:
        return (
            f"{named[0]} has the atoms {_atoms(one)}, and {named[1]} has {_atoms(other)}"
            if one.composition() != other.composition()
            else f"{named[0]} and {named[1]} have their atoms in different order"
        )
    apart = [math.dist(a, b) for a, b in zip(one.positions, other.positions, strict=True)]
    if max(apart, default=0.0) <= tolerance / 2:
        return None
    for first, (a, b) in enumerate(zip(one.positions, other.positions, strict=True)):
        for second in range(first):
            here = math.dist(a, one.positions[second])
            there = math.dist(b, other.positions[second])
            if abs(here - there) > tolerance:
                return (
                    f"atoms {second + 1} and {first + 1} are {here:.5f} Å apart in {named[0]}, "
                    f"and {there:.5f} Å in {named[1]}"
                )
    return None


def differs_from_distances(
    geometry: Geometry, distances: tuple[AtomDistance, ...], *, tolerance: float
) -> str | None:
    """Return how a geometry differs from the distances that a log lists; None when it does not."""
    for first, second, expected in distances:
        if first >= len(geometry) or second >= len(geometry):
            return f"the log lists atom {max(first, second) + 1}, and there are {len(geometry)}"
        found = math.dist(geometry.positions[first], geometry.positions[second])
        if abs(found - expected) > tolerance:
            return (
                f"atoms {first + 1} and {second + 1} are {found:.5f} Å apart, and "
                f"{expected:.5f} Å by the log"
            )
    return None


def _atoms(geometry: Geometry) -> str:
    return "".join(
        f"{ELEMENTS[number]}{count if count > 1 else ''}"
        for number, count in sorted(geometry.composition().items())
    )
