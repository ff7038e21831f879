"""A result belongs to the geometry, charge, spin, method and solvent that its run calculated.

Folders are those that the installed xtb leaves, with every option that moves atoms or calculates
other species; what is read is calculated again by tblite.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantum_forge.runner.engines.methods import METHODS
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents, SkippedJob
from quantum_forge.runner.jobs.reading.folders import Folder, discover
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.jobs.reading.reader import read_job
from quantum_forge.schema.domains.calculations import ErrorType

pytestmark = pytest.mark.skipif(
    shutil.which("xtb") is None, reason="xtb is not installed (apt-get install xtb)"
)

CASES = Path(__file__).parents[3] / "cases"
WATER = "3\nwater\nO 0.0 0.0 0.0\nH 0.0 0.0 1.05\nH 0.93 0.0 -0.24\n"
OTHER_WATER = "3\nwater\nO 0.0 0.0 0.0\nH 0.0 0.0 0.98\nH -0.93 0.0 -0.24\n"
OXYGEN = "2\noxygen\nO 0 0 0\nO 0 0 1.25\n"
METHYL = "4\nmethyl\nC 0 0 0\nH 1.05 0 0.1\nH -0.5 0.95 0\nH -0.5 -0.95 0\n"
PEROXIDE = "4\n\nO 0.0 0.70 0.0\nO 0.0 -0.70 0.0\nH 0.95 0.85 0.1\nH 0.95 -0.85 0.1\n"
ETHANOL = """9
ethanol
C -1.1712  0.2997  0.0000
C -0.0463 -0.5665  0.0000
O  1.2175  0.2668  0.0000
H -1.0958  0.9820  0.8700
H -1.0952  0.9420 -0.8800
H -2.1050 -0.3600  0.0000
H -0.0426 -1.2175  0.8964
H -0.0426 -1.1075 -0.9070
H  1.9849 -0.1492  0.0000
"""
MOLECULES: dict[str, tuple[str, tuple[str, ...], int, int]] = {
    "water": (WATER, (), 0, 1),
    "water_cation": (WATER, ("--chrg", "1"), 1, 2),
    "oxygen": (OXYGEN, ("--uhf", "2"), 0, 3),
    "methyl": (METHYL, ("--uhf", "1"), 0, 2),
    "ethanol": (ETHANOL, (), 0, 1),
}
"""Input, options, charge and multiplicity."""

SHORT = "$md\n time=0.05\n dump=10\n$end\n$metadyn\n save=2\n kpush=0.02\n alp=1.2\n$end\n"
PATH = "$path\n nrun=1\n npoint=5\n anopt=3\n$end\n"
RESTRAINT = "$constrain\n force constant=0.5\n distance: 1, 2, 1.1\n"
SCAN = RESTRAINT + "$scan\n 1: 1.1, 1.3, 4\n$end\n"
OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--grad", "--json"),
    ("--gfn", "1", "--grad"),
    ("--alpb", "water", "--grad", "--json"),
    ("--opt",),
    ("--opt", "tight", "--json"),
    ("--opt", "--alpb", "acetonitrile", "--gfn", "1"),
    ("--hess", "--json"),
    ("--ohess", "--grad", "--json"),
    ("--cma", "--grad"),
    ("--vfukui", "--grad", "--json"),
    ("--gfn", "2", "--vip", "--json"),
    ("--gfn", "2", "--vea"),
    ("--gfn", "2", "--vipea", "--grad"),
    ("--opt", "--gfn", "2", "--vip"),
    ("--metaopt",),
    ("--md", "--input", "short.inp", "--grad", "--json"),
    ("--omd", "--input", "short.inp", "--json"),
    ("--metadyn", "--input", "short.inp"),
    ("--lmo", "--pop", "--wbo"),
)


def xtb(folder: Path, *options: str, geometry: str = "mol.xyz", log: str = "xtb.out") -> None:
    """Run it in a folder."""
    with (folder / log).open("wb") as out, (folder / "xtb.err").open("wb") as err:
        subprocess.run(
            ["xtb", geometry, *options],
            cwd=folder,
            stdout=out,
            stderr=err,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=False,
            timeout=120,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with water in mol.xyz, and input files."""
    return written(tmp_path / "job", WATER)


def written(folder: Path, molecule: str) -> Path:
    folder.mkdir()
    (folder / "mol.xyz").write_text(molecule)
    (folder / "short.inp").write_text(SHORT)
    return folder


def read(folder: Path) -> Job:
    (found,) = discover(folder)
    assert isinstance(found, Folder)
    return read_job(FolderContents(found))


def recomputed(job: Job) -> float:
    """The energy in Eh that tblite has for what was read."""
    solvent = re.fullmatch(r"ALPB\((\w+)\)", job.solvation_model or "")
    assert (job.solvation_model is None) == (solvent is None)
    assert job.method in METHODS
    assert job.geometry is not None
    return run_singlepoint(
        job.geometry,
        charge=job.charge,
        multiplicity=job.multiplicity or 1,
        method=job.method,
        solvent=solvent and solvent[1],
    ).energy


def counts(job: Job) -> float:
    """Its energy in Eh, of a result that counts."""
    assert (job.refused, job.failure) == (None, None)
    assert job.result is not None
    return job.result.energy


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_energy_belongs_to_the_geometry_charge_spin_method_and_solvent_that_are_read(
    options: Sequence[str], tmp_path: Path
) -> None:
    """For every option and molecule, tblite finds the energy again to 1e-6 Eh."""
    for name, (molecule, more, charge, multiplicity) in MOLECULES.items():
        if name == "oxygen" and options[:1] == ("--ohess",):
            continue  # see test_a_log_that_xtb_leaves_when_it_crashes_does_not_count
        folder = written(tmp_path / name, molecule)
        xtb(folder, *options, *more)

        job = read(folder)

        assert (job.charge, job.multiplicity) == (charge, multiplicity), name
        assert counts(job) == pytest.approx(recomputed(job), abs=1e-6), name
        assert job.result is not None
        if job.result.gradient is not None:
            assert "--grad" in options


def test_a_log_that_xtb_leaves_when_it_crashes_does_not_count(tmp_path: Path) -> None:
    """An optimisation before the Hessian of a linear molecule, in xtb 6.5.1.

    The name of its point group, Dinfh, is written into four characters: `atmp` in getsymmetry of
    src/thermo.f90, grimme-lab/xtb#593. "Stack smashing detected" ends the program before it prints
    what the run ended with. --hess alone crashes there, too; its energy was printed before.
    """
    folder = written(tmp_path / "job", OXYGEN)
    xtb(folder, "--ohess", "--uhf", "2")
    if "normal termination" in (folder / "xtb.err").read_text():
        pytest.skip("this xtb does not crash")

    job = read(folder)

    assert "the log ends before the optimisation does" in (job.refused or "")


@pytest.mark.parametrize("options", [("--opt",), ("--grad",), ("--hess",), ("--vfukui",)])
def test_a_charge_and_a_spin_in_files_are_those_of_the_result(
    options: Sequence[str], tmp_path: Path
) -> None:
    folder = written(tmp_path / "job", OXYGEN)
    (folder / ".CHRG").write_text("1\n")
    (folder / ".UHF").write_text("3\n")
    xtb(folder, *options)

    job = read(folder)

    assert (job.charge, job.multiplicity) == (1, 4)
    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_a_path_search_leaves_the_energy_of_its_beginning(folder: Path) -> None:
    (folder / "product.xyz").write_text(OTHER_WATER)
    (folder / "path.inp").write_text(PATH)
    xtb(folder, "--path", "product.xyz", "--input", "path.inp")

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


@pytest.mark.parametrize(
    ("molecule", "options", "control", "why"),
    [
        (WATER, ("--opt",), RESTRAINT, "of a restraint"),
        (WATER, ("--grad",), RESTRAINT, "of a restraint"),
        (WATER, ("--opt",), SCAN, "apart in xtb.out"),
        (PEROXIDE, ("--bhess",), "", "--bhess holds"),
        (WATER, ("--opt", "--cycles", "2"), "", "did not converge"),
    ],
)
def test_an_energy_that_is_not_of_the_method_alone_does_not_count(
    molecule: str, options: Sequence[str], control: str, why: str, tmp_path: Path
) -> None:
    """A restraint, a scan after the optimisation, the bias of --bhess: tens of mEh in it."""
    folder = written(tmp_path / "job", molecule)
    (folder / "control.inp").write_text(control)
    xtb(folder, *options, *(("--input", "control.inp") if control else ()))

    job = read(folder)

    assert why in (job.refused or "")


def test_a_biased_hessian_without_bias_counts_at_its_own_geometry(tmp_path: Path) -> None:
    """Its xtbopt.xyz has the energy of the first geometry in its comment."""
    folder = written(tmp_path / "job", ETHANOL)
    xtb(folder, "--bhess", "--grad")

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)
    assert job.geometry != job.source.geometry


def test_another_temperature_of_the_electrons_is_part_of_the_method(folder: Path) -> None:
    xtb(folder, "--etemp", "5000")

    assert read(folder).method == "GFN2-xTB (5000 K)"


def test_another_reference_state_is_part_of_the_solvation(folder: Path) -> None:
    xtb(folder, "--alpb", "water", "bar1M")

    job = read(folder)

    assert job.solvation_model is not None
    assert job.solvation_model.startswith("ALPB(water, gsolv [1 bar")


def _single_point(folder: Path) -> None:
    xtb(folder, "--grad", "--json")


def _optimised(folder: Path) -> None:
    xtb(folder, "--opt", "--json")


def _other_method(folder: Path) -> None:
    xtb(folder, "--gfn", "1", "--grad", "--json")


def _ion(folder: Path) -> None:
    xtb(folder, "--chrg", "1", "--grad", "--json")


def _of_result(folder: Path) -> None:
    xtb(folder, "--grad", geometry="xtbopt.xyz")


def _of_json_alone(folder: Path) -> None:
    xtb(folder, "--chrg", "1", "--uhf", "1", "--json")


def _overwritten(folder: Path) -> None:
    xtb(folder, "--opt", "tight", geometry="xtbopt.xyz")


RUNS = (_single_point, _optimised, _other_method, _ion)


@pytest.mark.parametrize("second", RUNS)
@pytest.mark.parametrize("first", RUNS)
def test_files_of_an_earlier_run_are_known_by_their_contents(
    first: Callable[[Path], None], second: Callable[[Path], None], folder: Path
) -> None:
    """Two runs in one folder: what the second did not write again is of the first."""
    first(folder)
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    second(folder)
    (folder / "xtbout.json").unlink()
    (folder / "xtbout.json").write_bytes(old["xtbout.json"])

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)
    assert job.charge == (1 if second is _ion else 0)
    if first is not second:
        assert any(note.startswith("xtbout.json") for note in job.notes)


@pytest.mark.parametrize("second", [_of_result, _overwritten])
def test_a_run_that_begins_with_the_result_of_another_is_of_that_geometry(
    second: Callable[[Path], None], folder: Path
) -> None:
    _optimised(folder)
    second(folder)

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-8)
    assert counts(job) < -5.0705


def test_of_a_log_with_several_runs_the_last_counts(folder: Path) -> None:
    _ion(folder)
    first = (folder / "xtb.out").read_bytes()
    _optimised(folder)
    (folder / "xtb.out").write_bytes(first + (folder / "xtb.out").read_bytes())

    job = read(folder)

    assert job.charge == 0
    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_of_two_logs_the_one_that_the_other_files_agree_with_counts(folder: Path) -> None:
    xtb(folder, "--gfn", "1", log="xtb.out")
    xtb(folder, "--opt", "--json", log="xtb.log")

    job = read(folder)

    assert job.method == "GFN2-xTB"
    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_two_logs_that_nothing_decides_between_are_refused(folder: Path) -> None:
    xtb(folder, "--gfn", "1", log="xtb.out")
    xtb(folder, log="xtb.log")
    for name in ("charges", "wbo", "xtbtopo.mol", "xtbrestart"):
        (folder / name).unlink()

    with pytest.raises(BrokenJob, match="which of these logs"):
        read(folder)


def spoilt(folder: Path) -> Iterator[tuple[str, str]]:
    """A contradiction, and what its sentence must have, one after the other."""
    original = (folder / "mol.xyz").read_text()
    (folder / "mol.xyz").write_text(original.replace("1.05", "1.06"))
    yield "the input was edited", "1.06000 Å apart in mol.xyz, and 1.05000 Å in gradient"
    (folder / "mol.xyz").write_text(original.replace("H 0.93", "F 0.93"))
    yield "an atom of the input was edited", "mol.xyz has the atoms HOF, and gradient has H2O"
    (folder / "mol.xyz").write_text(original)
    (folder / ".CHRG").write_text("1\n")
    yield "a charge", "the charge is 0 in xtb.out, and 1 in .CHRG"
    (folder / ".CHRG").unlink()
    (folder / ".UHF").write_text("2\n")
    yield "a spin", "unpaired electrons is 0 in the orbitals of xtb.out, and 2 in .UHF"
    (folder / ".UHF").unlink()
    for field, value, said in (
        ("charge", "-1", "the charge is 0 in xtb.out, and -1 in metadata.json"),
        ("multiplicity", "3", "0 in the orbitals of xtb.out, and 2 in metadata.json"),
        ("method", '"GFN1-xTB"', "method is GFN2-xTB in xtb.out, and GFN1-xTB in metadata.json"),
        ("solvent", '"water"', "solvation is none in xtb.out, and ALPB(water) in metadata.json"),
    ):
        (folder / "metadata.json").write_text(f'{{"{field}": {value}}}')
        yield field, said


def test_a_contradiction_is_invalidated_with_both_values(folder: Path) -> None:
    _single_point(folder)
    counts(read(folder))

    for what, said in spoilt(folder):
        assert said in (read(folder).refused or ""), what


def test_an_input_that_was_edited_is_noticed_by_the_topology_file(folder: Path) -> None:
    """Nothing else has the positions of a single point without its gradient."""
    xtb(folder)
    (folder / "mol.xyz").write_text(WATER.replace("1.05", "1.06"))

    assert "in xtbtopo.mol" in (read(folder).refused or "")


def test_a_single_point_whose_geometry_is_gone_is_not_read(folder: Path) -> None:
    xtb(folder)
    (folder / "mol.xyz").rename(folder / "start.xyz")

    with pytest.raises(BrokenJob, match=r"mol\.xyz, which is not in the folder"):
        read(folder)


def test_a_geometry_that_is_gone_is_that_of_the_gradient(folder: Path) -> None:
    xtb(folder, "--grad")
    (folder / "mol.xyz").rename(folder / "start.xyz")
    (folder / "start.xyz").write_text(OTHER_WATER)

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_an_optimised_geometry_that_is_gone_is_that_of_the_log(folder: Path) -> None:
    xtb(folder, "--opt")
    (folder / "xtbopt.xyz").unlink()
    (folder / "xtbopt.log").unlink()

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_an_optimised_geometry_of_which_nothing_is_left_does_not_count(folder: Path) -> None:
    _optimised(folder)
    for name in ("xtb.out", "xtbopt.xyz", "xtbopt.log"):
        (folder / name).unlink()

    assert "the run moved the atoms" in (read(folder).refused or "")


@pytest.mark.parametrize("first", [_single_point, _optimised, _of_json_alone])
def test_without_a_log_the_json_names_the_geometry(
    first: Callable[[Path], None], folder: Path
) -> None:
    """Other geometries lie beside it; xtbopt.xyz is taken by its energy."""
    (folder / "start.xyz").write_text(OTHER_WATER)
    first(folder)
    (folder / "xtb.out").unlink()

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_a_log_that_stops_in_its_optimisation_does_not_count(folder: Path) -> None:
    xtb(folder, "--opt")
    log = (folder / "xtb.out").read_bytes()
    (folder / "xtb.out").write_bytes(log[: log.index(b"CYCLE    3")])

    assert "the log ends before the optimisation does" in (read(folder).refused or "")


def test_a_gradient_of_another_species_is_not_that_of_the_molecule(folder: Path) -> None:
    """--vfukui writes the gradient of an ion under the energy of the molecule."""
    xtb(folder, "--vfukui", "--grad")

    job = read(folder)

    assert job.result is not None
    assert job.result.gradient is None
    assert any("norm" in note for note in job.notes)


def test_charges_of_another_species_are_not_those_of_the_molecule(folder: Path) -> None:
    xtb(folder, "--gfn", "2", "--vip")

    job = read(folder)

    assert job.result is not None
    assert job.result.charges is None
    assert job.result.dipole is None
    assert job.result.homo == pytest.approx(-12.1073, abs=1e-3)


def test_a_turbomole_geometry_is_read(folder: Path) -> None:
    (folder / "mol.xyz").unlink()
    (folder / "coord").write_text(
        "$coord\n 0.0 0.0 0.0 o\n 0.0 0.0 1.9842 h\n 1.7574 0.0 -0.4535 h\n$end\n"
    )
    for options in ((), ("--opt",)):
        xtb(folder, *options, geometry="coord")

        job = read(folder)

        assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


WATER_INPUT = "$gbsa\n solvent=water\n$end\n"


@pytest.mark.parametrize("cut", [b"", b"* started run", b"iter      E", b"SUMMARY"])
@pytest.mark.parametrize(
    ("second", "geometry"),
    [
        (("--alpb", "water"), "mol.xyz"),
        (("--etemp", "5000"), "mol.xyz"),
        (("--opt",), "mol.xyz"),
        ((), "other.xyz"),
    ],
)
def test_a_run_that_was_killed_has_no_energy_of_the_run_before(
    second: tuple[str, ...], geometry: str, cut: bytes, folder: Path
) -> None:
    """It left a log without an energy beside the files of the other run; one may be buffered."""
    (folder / "other.xyz").write_text(OTHER_WATER)
    xtb(folder, "--json", "--grad")
    old = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "xtb.out"}
    xtb(folder, *second, geometry=geometry)
    for name, content in old.items():
        (folder / name).write_bytes(content)
    log = (folder / "xtb.out").read_bytes()
    (folder / "xtb.out").write_bytes(log[: log.index(cut)])

    with pytest.raises(BrokenJob, match="ends before it states an energy"):
        read(folder)


def test_a_run_that_was_killed_has_the_energy_of_the_same_command_at_the_same_geometry(
    folder: Path,
) -> None:
    xtb(folder, "--alpb", "water", "--json")
    log = (folder / "xtb.out").read_bytes()
    (folder / "xtb.out").write_bytes(log[: log.index(b"iter      E")])

    job = read(folder)
    assert job.solvation_model == "ALPB(water)"
    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)

    (folder / "mol.xyz").write_text(OTHER_WATER)
    assert "in xtbtopo.mol" in (read(folder).refused or "")
    (folder / "xtbtopo.mol").unlink()
    assert "nothing shows that xtbout.json belongs to mol.xyz" in (read(folder).refused or "")


@pytest.mark.parametrize(
    ("molecule", "options", "control", "part"),
    [
        (WATER, ("--vfukui",), "", "--vfukui"),
        (OXYGEN, ("--etemp", "5000"), "", "--etemp 5000"),
        (WATER, ("--acc", "1000"), "", "--acc 1000"),
        (WATER, ("--alpb", "water", "bar1M"), "", "bar1M"),
        (WATER, ("--input", "control.inp"), WATER_INPUT, "--input"),
        (WATER, ("-I", "control.inp"), RESTRAINT, "-I"),
        (PEROXIDE, ("--bhess",), "", "--bhess"),
        (WATER, ("--cosmo", "water"), "", "--cosmo"),
        (WATER, ("--fod",), "", "--fod"),
        (WATER + WATER_INPUT, (), "", "$gbsa in mol.xyz"),
        (WATER + "$scc\n temp=5000\n$end\n", (), "", "$scc in mol.xyz"),
    ],
)
def test_without_a_log_an_option_that_the_json_does_not_explain_is_named(
    molecule: str, options: tuple[str, ...], control: str, part: str, tmp_path: Path
) -> None:
    """The energy is invalidated: it has a solvent, a temperature or a restraint in it, or not."""
    folder = written(tmp_path / "job", molecule)
    (folder / "control.inp").write_text(control)
    xtb(folder, *options, "--json")
    (folder / "xtb.out").unlink()

    refused = read(folder).refused or ""

    assert refused.endswith(f"xtbout.json does not state the effect of {part}")


@pytest.mark.parametrize(
    "options",
    [
        ("--chrg", "1", "--uhf", "1"),
        ("-c", "-1", "-u", "1", "--gfn", "1"),
        ("--alpb", "toluene", "--grad"),
        ("--opt", "tight", "--gfn2", "-P", "1"),
        ("--hess", "--norestart", "--acc", "0.1"),
        ("--ohess", "--etemp", "300"),
        ("--cma", "--pop", "--wbo", "--lmo", "--verbose"),
    ],
    ids=" ".join,
)
def test_without_a_log_what_the_json_and_its_command_explain_counts(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = written(tmp_path / "job", ETHANOL)
    xtb(folder, *options, "--json")
    (folder / "xtb.out").unlink()

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_without_a_log_a_file_that_differs_from_the_json_contradicts_it(folder: Path) -> None:
    """One of the two is of another run, and nothing says which."""
    xtb(folder, "--json", "--alpb", "water")
    dump = (folder / "xtbout.json").read_bytes()
    xtb(folder, "--grad")
    (folder / "xtb.out").unlink()
    (folder / "xtbout.json").write_bytes(dump)
    kept = {
        name: (folder / name).read_bytes()
        for name in ("charges", "gradient", "energy", "mol.engrad")
    }
    for name in kept:
        (folder / name).unlink()
    counts(read(folder))

    for name, content in kept.items():
        (folder / name).write_bytes(content)
        refused = read(folder).refused or ""
        assert refused.startswith(name if name != "mol.engrad" else "mol.engrad"), name
        assert "xtbout.json" in refused or "the JSON" in refused
        (folder / name).unlink()


def test_without_a_log_an_input_that_was_edited_is_noticed_by_the_topology_file(
    folder: Path,
) -> None:
    xtb(folder, "--json")
    (folder / "xtb.out").unlink()
    (folder / "mol.xyz").write_text(WATER.replace("1.05", "1.06"))

    assert "in xtbtopo.mol" in (read(folder).refused or "")


@pytest.mark.parametrize(
    ("comment", "rest"),
    [
        ("units=bohr", ("", "", "")),
        ("positions in bohr", ("", "", "")),
        ('Lattice="10 0 0 0 10 0 0 0 10" pbc="T T T"', ("", "", "")),
        ("Properties=species:S:1:forces:R:3:pos:R:3", (" 5 5 5", " 5 5 6", " 6 5 5")),
    ],
)
def test_a_geometry_is_read_as_xtb_reads_it(
    comment: str, rest: tuple[str, str, str], folder: Path
) -> None:
    """In Å, from the first columns; nothing else shows the positions of this run."""
    _, _, *atoms = WATER.splitlines()
    lines = [line + more for line, more in zip(atoms, rest, strict=True)]
    (folder / "mol.xyz").write_text("\n".join(["3", comment, *lines, ""]))
    xtb(folder)
    (folder / "xtbtopo.mol").unlink()

    job = read(folder)

    assert job.geometry is not None
    assert job.geometry.positions[1] == (0.0, 0.0, 1.05)
    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_atomic_numbers_isotopes_and_fortran_exponents_are_read_as_xtb_reads_them(
    folder: Path,
) -> None:
    (folder / "mol.xyz").write_text("3\n\n8 0 0 0\nD 0 0 1.05D0\nh 9.3d-1 0 -0.24 7\n")
    xtb(folder)
    (folder / "xtbtopo.mol").unlink()

    job = read(folder)

    assert counts(job) == pytest.approx(recomputed(job), abs=1e-6)


def test_a_geometry_in_another_folder_is_not_the_one_of_the_same_name(folder: Path) -> None:
    """Unless something that the run wrote shows that they are the same."""
    inside = folder / "run"
    inside.mkdir()
    xtb(inside, geometry="../mol.xyz")
    (inside / "mol.xyz").write_text(WATER)
    counts(read(inside))
    (inside / "xtbtopo.mol").unlink()
    assert "the run began with ../mol.xyz, and nothing shows" in (read(inside).refused or "")

    xtb(inside, "--grad", geometry="../mol.xyz")
    counts(read(inside))
    (inside / "mol.xyz").write_text(OTHER_WATER)
    assert "apart in mol.xyz" in (read(inside).refused or "")


@pytest.mark.parametrize("accuracy", ["1000", "5"])
def test_an_accuracy_below_the_usual_one_is_part_of_the_method(accuracy: str, folder: Path) -> None:
    """By the log, or the command line where the log does not say it."""
    xtb(folder, "--acc", accuracy)
    assert read(folder).method == f"GFN2-xTB (accuracy {accuracy})"

    log = (folder / "xtb.out").read_text()
    (folder / "xtb.out").write_text(re.sub("accuracy .*:\n", "\n", log))
    assert read(folder).method == f"GFN2-xTB (accuracy {accuracy})"

    xtb(folder, "--acc", "0.01")
    assert read(folder).method == "GFN2-xTB"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_folder_is_read_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is cut out of its files, nothing but a refusal leaves the reading."""
    original = CASES / data.draw(st.sampled_from(["xtb_rerun", "xtb_start", "xtb_uhf"])) / "job"
    folder = tmp_path_factory.mktemp("damaged") / "job"
    shutil.copytree(original, folder)
    for path in data.draw(st.lists(st.sampled_from(sorted(folder.iterdir())), max_size=4)):
        content = path.read_bytes()
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, len(content)))
        path.write_bytes(content[:start] + data.draw(st.binary(max_size=10)) + content[end:])

    try:
        job = read(folder)
    except (BrokenJob, SkippedJob):
        return
    assert (job.result is None) != (job.failure is None)


@pytest.mark.parametrize("name", ["a.out", "myrun.txt", "run-7"])
def test_a_log_of_any_name_is_known_by_its_content(name: str, folder: Path) -> None:
    """Its banner tells; other texts beside it are not read."""
    xtb(folder, log=name)
    (folder / "notes.txt").write_text("the x T B run of Tuesday\n")

    (found,) = discover(folder)

    assert isinstance(found, Folder)
    assert found.logs == (name,)
    assert read_job(FolderContents(found)).refused is None


def test_two_logs_of_any_name_that_nothing_decides_between_are_refused(folder: Path) -> None:
    """As those of known names are."""
    xtb(folder, "--gfn", "1", log="a.out")
    xtb(folder, log="b.out")
    (folder / "charges").unlink()

    with pytest.raises(BrokenJob, match="which of these logs"):
        read(folder)


def test_an_scf_that_the_log_says_did_not_converge_is_a_convergence_error(folder: Path) -> None:
    """Whatever the documents say of the failure."""
    (folder / "metadata.json").write_text('{"status": "failed", "error_message": "exit status 1"}')
    (folder / "xtb.out").write_text(
        "abnormal termination of xtb\n-1- scf: Self consistent charge iterator did not converge\n"
    )

    failure = read(folder).failure

    assert failure is not None
    assert (failure.error_type, failure.message) == (ErrorType.CONVERGENCE_ERROR, "exit status 1")


def test_a_folder_of_texts_that_are_no_logs_is_no_job(tmp_path: Path) -> None:
    """Nor is a named pipe waited for."""
    (tmp_path / "notes.txt").write_text("x T B\n")
    os.mkfifo(tmp_path / "pipe.out")

    assert list(discover(tmp_path)) == []
