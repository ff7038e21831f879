"""Folders of jobs as people have them after years: old and new layouts, plain xtb, and all faults.

python -m tests.support.job_folders DIR [--count N] [--seed N] [--faults SHARE] writes them.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rdkit import Chem, RDConfig, rdBase

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.identity import identify
from quantum_forge.runner.molecules.records import Input
from tests.support import xtb_log
from tests.support.xtb_log import MadeUp, made_up

COMPLETED, FAILED, INVALIDATED = "completed", "failed", "invalidated"
"""What a calculation becomes that is imported."""
PRESENT, SKIPPED, BROKEN = "present", "skipped", "broken"
"""A copy of another one; no finished job; one that cannot be read."""

JOBS_PER_MOLECULE = 5
"""On average: methods, solvents, levels and repetitions of one molecule."""

FAULTS = 0.1
"""Share of folders that are not what they should be."""


class Written(msgspec.Struct, frozen=True):
    """A folder, what is in it, and what an import must make of it."""

    folder: Path
    kind: str
    expected: str


class Subject(msgspec.Struct, frozen=True):
    """A molecule with its geometry."""

    name: str
    smiles: str
    geometry: Geometry
    charge: int


def write_job_folders(
    directory: Path, count: int, *, seed: int = 1, faults: float = FAULTS
) -> list[Written]:
    """Write so many folders, the same for the same seed, and return what each of them is."""
    draw = random.Random(seed)
    wanted = max(1, count // JOBS_PER_MOLECULE)
    subjects = list(itertools.islice(itertools.cycle(molecules()), wanted))
    written: list[Written] = []
    directory.mkdir(parents=True, exist_ok=True)
    every_fault = itertools.cycle(_FAULTS)
    for number in range(count):
        job = _Job(draw, draw.choice(subjects), number)
        if draw.random() < faults:
            fault = next(every_fault)
            expected = fault(job, directory, written)
            kind = fault.__name__.strip("_")
        else:
            good = draw.choices(list(_GOOD), weights=list(_GOOD.values()))[0]
            expected = good(job, directory)
            kind = good.__name__.strip("_")
        written.append(Written(directory / job.id, kind, expected))
    return written


def molecules() -> Iterator[Subject]:
    """Small organic molecules of the NCI collection, as RDKit embeds them."""
    lines = (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").read_text().splitlines()
    for line in lines:
        smiles, _, name = line.partition("\t")
        with rdBase.BlockLogs():
            mol = Chem.MolFromSmiles(smiles.split()[0])
        if mol is None or not 4 <= mol.GetNumAtoms() <= 22:
            continue
        smiles, charge = Chem.MolToSmiles(mol), Chem.GetFormalCharge(mol)
        if (
            "." in smiles
            or "@" in smiles
            or any(a.GetNumRadicalElectrons() for a in mol.GetAtoms())
        ):
            continue
        try:
            geometry = embed(smiles)
            seen = identify(Input(number=1, source="", geometry=geometry, charge=charge))
        except InputError:
            continue
        # Some layouts have no SMILES: its bonds must be seen in the geometry.
        if set(geometry.numbers) <= xtb_log.ELEMENTS and seen.smiles == smiles:
            yield Subject(f"nci_{name.strip() or len(smiles)}", smiles, geometry, charge)


def _moved(draw: random.Random, geometry: Geometry) -> Geometry:
    """A geometry as an optimisation leaves it."""
    return Geometry(
        geometry.numbers,
        tuple(
            (x + draw.gauss(0, 0.01), y + draw.gauss(0, 0.01), z + draw.gauss(0, 0.01))
            for x, y, z in geometry.positions
        ),
    )


class _Job:
    """A made-up calculation, and how its parts are written."""

    def __init__(self, draw: random.Random, subject: Subject, number: int) -> None:
        self.draw, self.subject = draw, subject
        began = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=11 * number + draw.random())
        self.run: MadeUp = made_up(
            draw, subject.geometry, charge=subject.charge, unpaired=0, began=began
        )
        if self.run.level is not None:
            self.run.geometry = _moved(draw, subject.geometry)
        unique = uuid.UUID(int=draw.getrandbits(128)).hex[:8]
        self.id = f"{subject.name}_{began:%Y%m%d_%H%M%S}_{unique}"

    def single_point(self) -> None:
        """Make it a calculation that moves no atom."""
        self.run.level, self.run.geometry = None, self.subject.geometry

    def folder(self, directory: Path) -> Path:
        folder = directory / self.id
        folder.mkdir()
        return folder

    def metadata(self, *, new: bool, status: str = "COMPLETED", **more: object) -> dict[str, Any]:
        """As the first releases wrote it (times in UTC without saying so), or later ones."""
        run = self.run
        ended = run.began + timedelta(seconds=run.wall)
        began, updated = (
            moment.isoformat() if new else moment.replace(tzinfo=None).isoformat()
            for moment in (run.began, ended)
        )
        fields: dict[str, Any] = {"job_id": self.id, "molecule_name": self.subject.name}
        if run.charge:
            fields["charge"] = run.charge
        if new:
            fields |= {
                "molecule_smiles": self.subject.smiles,
                "method": run.method,
                "charge": run.charge,
                "multiplicity": run.unpaired + 1,
                "solvent": run.solvent,
            }
        return {
            **fields,
            "optimization_level": run.level,
            "email": "",
            "tags": [],
            "status": status,
            "created_at": began,
            "updated_at": updated,
            "xyz_file": f"{self.id}/{self.subject.name}.xyz",
            "results_file": f"{self.id}/results.json",
            **more,
        }

    def results(self, *, new: bool, **changed: object) -> dict[str, Any]:
        """Energy and gap, or, of later releases, everything."""
        run = self.run
        inner: dict[str, Any] = {"energy": run.energy, "homo_lumo_gap": run.lumo - run.homo}
        if new:
            inner |= {
                "homo": run.homo,
                "lumo": run.lumo,
                "dipole_moment": run.dipole,
                "partial_charges": run.charges,
                "gradient_norm": run.gradient_norm,
                "converged": True,
                "optimization_cycles": run.cycles if run.level else None,
                "wall_time_seconds": run.wall,
                "cpu_time_seconds": run.wall * 0.98,
                "xtb_version": run.version,
            }
        inner |= changed
        return {"success": True, "energy": inner["energy"], "results": inner, "error": None}

    def write_xyz(self, folder: Path, name: str | None = None) -> None:
        text = self.subject.geometry.xyz_text()
        (folder / f"{name or self.subject.name}.xyz").write_text(text)

    def write_optimised(self, folder: Path) -> None:
        """The geometry that the energy belongs to, where that is not the input."""
        if self.run.level is not None:
            (folder / "xtbopt.xyz").write_text(xtb_log.optimised_text(self.run))

    def write_xtb(self, folder: Path, stdout: str, stderr: str | None, **log: Any) -> None:
        """The files of a run of xtb; without a name for stderr, both streams go to one file."""
        run = self.run
        text = xtb_log.log_text(run, **log)
        end = xtb_log.ABNORMAL if log.get("error") else xtb_log.STDERR
        (folder / stdout).write_text(text if stderr else text + end)
        if stderr:
            (folder / stderr).write_text(end)
        if log.get("error"):
            return
        (folder / "xtbout.json").write_text(xtb_log.json_text(run))
        (folder / "charges").write_text(xtb_log.charges_text(run))
        (folder / "wbo").write_text("           1           2  0.919892\n")
        (folder / "xtbrestart").write_bytes(bytes(200))
        self.write_optimised(folder)
        if not run.level:
            (folder / "gradient").write_text(xtb_log.gradient_text(run))


def _dump(folder: Path, name: str, document: object) -> None:
    (folder / name).write_text(json.dumps(document, indent=2))


# Jobs as they should be.


def _first_release(job: _Job, directory: Path) -> str:
    """No SMILES; results.json has what the runner took from the log; all files of xtb are there."""
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=False))
    _dump(folder, "results.json", job.results(new=False))
    job.write_xyz(folder)
    job.write_xtb(folder, "xtb_stdout.log", "xtb_stderr.log")
    return COMPLETED


def _lean(job: _Job, directory: Path) -> str:
    """The same, tidied up: only the documents and the geometries were kept."""
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=False))
    _dump(folder, "results.json", job.results(new=False))
    job.write_xyz(folder)
    job.write_optimised(folder)
    return COMPLETED


def _later_release(job: _Job, directory: Path) -> str:
    """With SMILES and settings; results.json has everything."""
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True))
    _dump(folder, "results.json", job.results(new=True))
    job.write_xyz(folder)
    job.write_optimised(folder)
    return COMPLETED


def _plain_xtb(job: _Job, directory: Path) -> str:
    """What `xtb molecule.xyz … > xtb.out 2>&1` leaves."""
    folder = job.folder(directory)
    job.write_xyz(folder, "molecule")
    job.write_xtb(folder, "xtb.out", None)
    return COMPLETED


def _failed_job(job: _Job, directory: Path) -> str:
    """The runner gave up, and said why."""
    folder = job.folder(directory)
    message = (
        "abnormal termination of xtb\nERROR STOP \n\nError termination. Backtrace:\n#0  0x7950"
    )
    _dump(folder, "metadata.json", job.metadata(new=True, status="FAILED", error_message=message))
    job.write_xyz(folder)
    return FAILED


_GOOD: dict[Callable[[_Job, Path], str], int] = {
    _later_release: 50,
    _first_release: 20,
    _plain_xtb: 15,
    _lean: 10,
    _failed_job: 5,
}


# Jobs as they should not be.


def _truncated_results(job: _Job, directory: Path, _: list[Written]) -> str:
    _later_release(job, directory)
    path = directory / job.id / "results.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return BROKEN


def _truncated_metadata(job: _Job, directory: Path, _: list[Written]) -> str:
    _later_release(job, directory)
    path = directory / job.id / "metadata.json"
    path.write_bytes(path.read_bytes()[:40])
    return BROKEN


def _empty_results(job: _Job, directory: Path, _: list[Written]) -> str:
    _lean(job, directory)
    (directory / job.id / "results.json").write_bytes(b"")
    return BROKEN


def _missing_results(job: _Job, directory: Path, _: list[Written]) -> str:
    job.single_point()
    _later_release(job, directory)
    (directory / job.id / "results.json").unlink()
    return BROKEN


def _missing_geometry(job: _Job, directory: Path, _: list[Written]) -> str:
    job.single_point()
    _later_release(job, directory)
    (directory / job.id / f"{job.subject.name}.xyz").unlink()
    return BROKEN


def _not_a_number(job: _Job, directory: Path, _: list[Written]) -> str:
    job.single_point()
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True))
    _dump(folder, "results.json", job.results(new=True, energy=float("nan")))
    job.write_xyz(folder)
    return INVALIDATED


def _wrong_unit(job: _Job, directory: Path, _: list[Written]) -> str:
    """Electronvolts where Hartree are meant, and nothing that says so."""
    job.single_point()
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True))
    _dump(folder, "results.json", job.results(new=True, energy=job.run.energy * 27.211386))
    job.write_xyz(folder)
    return INVALIDATED


def _stated_unit(job: _Job, directory: Path, _: list[Written]) -> str:
    """Electronvolts, and a key that says so."""
    job.single_point()
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True))
    results = job.results(new=True)
    del results["energy"], results["results"]["energy"]
    results["results"]["total_energy_ev"] = job.run.energy * 27.211386245988
    _dump(folder, "results.json", results)
    job.write_xyz(folder)
    return COMPLETED


def _not_utf8(job: _Job, directory: Path, _: list[Written]) -> str:
    job.single_point()
    folder = job.folder(directory)
    metadata = job.metadata(new=True, molecule_name="Caféine")
    text = json.dumps(metadata, ensure_ascii=False)
    (folder / "metadata.json").write_bytes(text.encode("latin-1"))
    _dump(folder, "results.json", job.results(new=True))
    job.write_xyz(folder)
    return COMPLETED


def _loop_of_links(job: _Job, directory: Path, _: list[Written]) -> str:
    """A good job that contains itself."""
    _later_release(job, directory)
    (directory / job.id / "latest").symlink_to(directory, target_is_directory=True)
    return COMPLETED


def _link_to_itself(job: _Job, directory: Path, _: list[Written]) -> str:
    _later_release(job, directory)
    path = directory / job.id / "results.json"
    path.unlink()
    path.symlink_to("results.json")
    return BROKEN


def _pipe(job: _Job, directory: Path, _: list[Written]) -> str:
    """Opening it would wait for ever."""
    _later_release(job, directory)
    path = directory / job.id / "results.json"
    path.unlink()
    os.mkfifo(path)
    return BROKEN


def _nothing(job: _Job, directory: Path, _: list[Written]) -> str:
    job.folder(directory)
    return SKIPPED


def _queued(job: _Job, directory: Path, _: list[Written]) -> str:
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True, status="QUEUED"))
    job.write_xyz(folder)
    return SKIPPED


def _not_converged(job: _Job, directory: Path, _: list[Written]) -> str:
    job.run.level = "tight"
    folder = job.folder(directory)
    job.write_xyz(folder, "molecule")
    job.write_xtb(folder, "xtb.out", None, converged=False)
    return INVALIDATED


def _lost_optimised_geometry(job: _Job, directory: Path, _: list[Written]) -> str:
    """The energy is of the optimised geometry; only the input was kept."""
    job.run.level = "tight"
    _later_release(job, directory)
    (directory / job.id / "xtbopt.xyz").unlink()
    return INVALIDATED


def _impossible_charge(job: _Job, directory: Path, _: list[Written]) -> str:
    """The electrons are clipped, and xtb ends normally."""
    run = job.run
    run.level, run.charge = None, sum(run.geometry.numbers) + 3
    folder = job.folder(directory)
    job.write_xyz(folder, "molecule")
    job.write_xtb(folder, "xtb.out", None)
    changed = {"number of electrons": -3}
    (folder / "xtbout.json").write_text(xtb_log.json_text(run, **changed))
    return INVALIDATED


def _scf_failure(job: _Job, directory: Path, _: list[Written]) -> str:
    folder = job.folder(directory)
    job.write_xyz(folder, "molecule")
    reason = "scf: Self consistent charge iterator did not converge"
    job.write_xtb(folder, "xtb.out", None, error=reason)
    return FAILED


def _stale_json(job: _Job, directory: Path, _: list[Written]) -> str:
    """The JSON of an earlier run with another method."""
    _plain_xtb(job, directory)
    other = "GFN1-xTB" if job.run.method == "GFN2-xTB" else "GFN2-xTB"
    changed = {"method": other, "total energy": job.run.energy - 0.5}
    (directory / job.id / "xtbout.json").write_text(xtb_log.json_text(job.run, **changed))
    return COMPLETED


def _unreadable_smiles(job: _Job, directory: Path, _: list[Written]) -> str:
    job.single_point()
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True, molecule_smiles="C1CC(("))
    _dump(folder, "results.json", job.results(new=True))
    job.write_xyz(folder)
    return BROKEN


def _other_molecule(job: _Job, directory: Path, _: list[Written]) -> str:
    """The SMILES is of another molecule than the geometry."""
    job.single_point()
    folder = job.folder(directory)
    _dump(folder, "metadata.json", job.metadata(new=True, molecule_smiles="[Xe]"))
    _dump(folder, "results.json", job.results(new=True))
    job.write_xyz(folder)
    return BROKEN


def _copy(job: _Job, directory: Path, written: list[Written]) -> str:
    """A backup of a job somewhere below; what it says is in the log already, or will be."""
    originals = [each for each in written if each.kind == "later_release"]
    if not originals:
        return _later_release(job, directory)
    original = job.draw.choice(originals).folder
    shutil.copytree(original, directory / job.id / "backup" / original.name)
    return PRESENT


_FAULTS = (
    _truncated_results,
    _missing_results,
    _not_a_number,
    _wrong_unit,
    _not_utf8,
    _loop_of_links,
    _link_to_itself,
    _nothing,
    _queued,
    _not_converged,
    _lost_optimised_geometry,
    _impossible_charge,
    _scf_failure,
    _stale_json,
    _unreadable_smiles,
    _truncated_metadata,
    _missing_geometry,
    _empty_results,
    _stated_unit,
    _pipe,
    _other_molecule,
    _copy,
)


def main() -> None:
    """Write folders, and print how many of each kind."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.job_folders", description=__doc__
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=float, default=FAULTS, help="share of bad ones")
    given = parser.parse_args()
    written = write_job_folders(given.directory, given.count, seed=given.seed, faults=given.faults)
    for (kind, expected), count in sorted(Counter((w.kind, w.expected) for w in written).items()):
        print(f"{count:8}  {kind:20}  {expected}")


if __name__ == "__main__":
    main()
