"""Molecules that crash RDKit, or occupy it for minutes, between good ones."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import Qforge

GOOD = ("C methane", "O water", "CC ethane")

BAD = {
    # RDKit overflows the stack of the process when it reads or writes these.
    "C" * 20_000: "has 20,000 characters, more than the limit of 10,000",
    "C(" * 20_000 + "C" + ")" * 20_000: "has 60,001 characters, more than the limit of 10,000",
    "C(" * 3_000 + "C" + ")" * 3_000: "more than 1,000 branches inside each other",
    "c1ccccc1" * 200_000: "has 1,600,000 characters, more than the limit of 10,000",
}
"""A SMILES, and what is said of it."""

WATER = "3\n\nO 0.0 0.0 0.119\nH 0.0 0.763 -0.477\nH 0.0 -0.763 -0.477\n"


def check(folder: Path, qforge: Qforge) -> None:  # noqa: ARG001  # the inputs are made here
    """Every line and folder is accounted for; the good ones have results."""
    with TemporaryDirectory() as made:
        _check_run(Path(made), qforge)
        _check_import(Path(made), qforge)


def _check_run(folder: Path, qforge: Qforge) -> None:
    lines = [GOOD[0], *BAD, GOOD[1], GOOD[2]]
    (folder / "long.smi").write_text("".join(f"{line}\n" for line in lines))

    said = json.loads(qforge("run", str(folder / "long.smi"), "--json", status=3).stdout)

    assert said["read"] == len(lines)
    assert said["completed"] == len(GOOD)
    assert said["failed"] == len(BAD)
    for problem, reason in zip(said["problems"], BAD.values(), strict=True):
        assert reason in problem["reason"]
        assert problem["error_type"] == "input_error"
    listed = json.loads(qforge("calculations", "list", "--status", "completed", "--json").stdout)
    assert len(listed) == len(GOOD)


def _check_import(folder: Path, qforge: Qforge) -> None:
    for name, smiles in (("a_good", "O"), ("b_long", "C" * 3_000_000), ("c_good", "O")):
        job = folder / "jobs" / name
        job.mkdir(parents=True)
        metadata = {"job_id": name, "smiles": smiles, "charge": 0, "multiplicity": 1}
        (job / "metadata.json").write_text(json.dumps(metadata))
        (job / "results.json").write_text(json.dumps({"total_energy": -5.07, "converged": True}))
        (job / "molecule.xyz").write_text(WATER)
    deep = folder / "jobs" / "d_deep"
    deep.mkdir()
    (deep / "metadata.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)

    done = qforge("import", "jobs", str(folder / "jobs"), "--json", status=3)

    said = json.loads(done.stdout)
    assert (said["imported"], said["failed"]) == (2, 2), said
    assert "more than the limit of 10,000" in done.stderr
    assert "Traceback" not in done.stderr
