"""Recorded results agree with an independent calculation by xtb at the recorded geometry."""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from runner.geometry import Geometry
from tests.agreement import TOLERANCE, all_by_xtb, g2_set, nci, species
from tests.campaigns import rows, write
from tests.conftest import Qforge

SETS: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "nci": ("smi", nci),
    "g2": ("extxyz", g2_set),
    "species": ("extxyz", species),
}

AT_ONCE = 20
"""Records in a file: a command of a test has two minutes."""

pytestmark = pytest.mark.skipif(
    shutil.which("xtb") is None, reason="xtb is not installed (apt-get install xtb)"
)


@pytest.mark.parametrize("count", [12, pytest.param(500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", SETS)
def test_a_set_of_real_molecules_agrees_with_xtb(
    qforge: Qforge, engine: Engine, tmp_path: Path, name: str, count: int
) -> None:
    """Same spin, same energy to 1e-6 Eh; xtb decides the spin where the input does not state it."""
    suffix, made = SETS[name]
    records = made(count)
    read = 0
    for number, part in enumerate(batched(records, AT_ONCE)):
        file = f"{name}-{number}.{suffix}"
        write(tmp_path / file, "\n".join(part).replace("\n\n", "\n").splitlines())
        said = qforge("run", file, "--jobs", "2", "--json", status=None)
        assert said.stdout, said.stderr
        read += json.loads(said.stdout)["read"]

    assert read == len(records)
    found = _recorded(engine)
    theirs = all_by_xtb(
        tmp_path / "xtb",
        [
            (
                geometry,
                row["charge"],
                row["multiplicity"] - 1 if row["multiplicity_source"] == "given" else None,
            )
            for row, geometry in found
        ],
    )
    different = []
    for (row, _), theirs_of in zip(found, theirs, strict=True):
        if (
            theirs_of is None
            or abs(theirs_of.energy - row["energy"]) > TOLERANCE
            or theirs_of.unpaired != row["multiplicity"] - 1
        ):
            different.append(
                (row["id"], row["charge"], row["multiplicity"], row["energy"], theirs_of)
            )
    ended = Counter((row["status"], row["error_message"]) for row in rows(engine, "calculations"))
    print(f"{name}: {len(records)} records, {len(different)} differ; {ended}")
    for each in different:
        print(*each)
    assert not different


def batched(records: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Parts of a list; itertools has this from Python 3.12 on."""
    return (records[start : start + size] for start in range(0, len(records), size))


def _recorded(engine: Engine) -> list[tuple[dict[str, Any], Geometry]]:
    """Every completed calculation with its geometry."""
    atoms = defaultdict(list)
    for atom in rows(engine, "atomic_properties"):
        atoms[atom["calculation_id"]].append(atom)
    return [
        (
            row,
            Geometry(
                tuple(atom["atomic_number"] for atom in atoms[row["id"]]),
                tuple(
                    (atom["position_x"], atom["position_y"], atom["position_z"])
                    for atom in atoms[row["id"]]
                ),
            ),
        )
        for row in rows(engine, "calculations")
        if row["status"] == "completed"
    ]
