"""What xtb leaves behind is read as it is meant, and not believed where it is wrong."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quantum_forge.runner.engines.failures import classify
from quantum_forge.runner.engines.physics import refusal
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.xtb.dump import (
    read_dump,
    read_engrad,
    read_gradient,
    read_optimised,
)
from quantum_forge.runner.engines.xtb.printout import Printout, read_printout
from quantum_forge.runner.engines.xtb.reading import XtbRun, read_run, result_of
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.molecules.geometry import Geometry

RUNS = Path(__file__).with_name("xtb_runs")
FILES = {
    "stdout": "xtb.out",
    "stderr": "xtb.err",
    "dump": "xtbout.json",
    "charges": "charges",
    "gradient": "gradient",
    "engrad": "water.engrad",
    "energy": "energy",
    "optimised": "xtbopt.xyz",
}


def contents(name: str) -> dict[str, Any]:
    folder = RUNS / name
    return {
        kind: (folder / file).read_bytes()
        for kind, file in FILES.items()
        if (folder / file).exists()
    }


def run_in(name: str, **changed: bytes | None) -> XtbRun:
    return read_run(**{**contents(name), **changed})


def start_of(name: str) -> Geometry:
    (file,) = (path for path in (RUNS / name).glob("*.xyz") if path.name != "xtbopt.xyz")
    geometry = read_xyz(next(xyz_frames(file.read_text().splitlines()))).geometry
    assert geometry is not None
    return geometry


def judged(name: str, *, charge: int = 0, multiplicity: int = 1) -> tuple[Result, str | None]:
    run = run_in(name)
    geometry = run.optimised.geometry if run.optimised else start_of(name)
    result = result_of(run, geometry, charge=charge, multiplicity=multiplicity)
    return result, refusal(result, geometry, charge=charge, multiplicity=multiplicity)


def test_a_single_point_is_read_with_all_decimals_that_there_are() -> None:
    result, refused = judged("water")

    assert refused is None
    assert (result.program, result.program_version, result.method) == ("xtb", "6.5.1", "GFN2-xTB")
    assert result.energy == -5.070375897275  # the log's; the JSON has -5.07037590
    assert (result.homo, result.lumo) == (-12.17713367, 2.51586963)  # the JSON's
    assert result.gap == 14.693003302697
    assert result.gradient_norm == 0.007794674669
    assert result.dipole == pytest.approx(2.266, abs=5e-4)
    assert result.charges == (-0.56395155, 0.28197578, 0.28197578)
    assert (result.electron_count, result.orbital_count) == (8, 6)
    assert (result.scf_iterations, result.optimization_cycles) == (8, None)
    assert (result.wall_time_seconds, result.cpu_time_seconds) == (0.008, 0.008)
    assert result.forces() is None  # a single point without --grad


def test_an_optimisation_is_read_at_its_last_geometry() -> None:
    result, refused = judged("water_optimised")

    assert refused is None
    assert result.energy == -5.070544350915
    assert result.optimization_cycles == 5
    # The JSON still has the dipole of the first geometry, 2.266.
    assert result.dipole == 2.216


def test_an_open_shell_in_a_solvent_has_forces() -> None:
    run = run_in("water_cation_solvated")
    result, refused = judged("water_cation_solvated", charge=1, multiplicity=2)

    assert refused is None
    assert run.printout is not None
    assert run.printout.solvation_model == "ALPB(water)"
    assert run.printout.optimization_level == "loose"
    forces = result.forces()
    assert forces is not None
    assert forces[1] == pytest.approx((0.0, -3.684158844251e-4, 1.346766774866e-4), abs=1e-12)
    assert result.gradient_norm == pytest.approx(math.hypot(*(v for row in forces for v in row)))
    assert (result.homo, result.lumo) == (-16.17798579, -0.9007414)


def test_gfn1_prints_its_dipole_differently() -> None:
    result, refused = judged("water_gfn1_solvated")

    assert refused is None
    assert result.method == "GFN1-xTB"
    assert read_printout(contents("water_gfn1_solvated")["stdout"]).dipole == 3.020


def test_an_optimisation_that_did_not_converge_is_refused_although_xtb_ended_normally() -> None:
    run = run_in("water_not_converged")
    _, refused = judged("water_not_converged")

    assert run.ended_normally
    assert run.failure is None
    assert refused == "the geometry did not converge in 1 cycles"


def test_an_impossible_charge_is_refused_although_xtb_ended_normally() -> None:
    run = run_in("water_impossible_charge")
    _, refused = judged("water_impossible_charge", charge=9, multiplicity=2)

    assert run.ended_normally
    assert refused is not None
    assert "-1 valence electrons" in refused


def test_a_spin_that_xtb_ignores_is_refused() -> None:
    run = run_in("water_impossible_spin")
    assert run.unpaired_count == 1

    _, refused = judged("water_impossible_spin", multiplicity=2)

    assert refused == "multiplicity 2 does not fit 10 electrons"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("iron_scf_not_converged", "SCF_NOT_CONVERGED"),
        ("atoms_too_close", "ATOMS_TOO_CLOSE"),
    ],
)
def test_a_failure_has_its_type_and_the_programs_own_words(name: str, code: str) -> None:
    run = run_in(name)

    with pytest.raises(EngineError) as failed:
        result_of(run, start_of(name), charge=0, multiplicity=1)

    assert run.ended_normally is False
    assert classify(failed.value).error_code == code


@pytest.mark.parametrize("other", ["water_gfn1_solvated", "water_optimised"])
def test_the_json_of_an_earlier_run_is_disregarded(other: str) -> None:
    run = run_in("water", dump=contents(other)["dump"])

    assert run.dump is None
    assert [note.file for note in run.notes] == ["xtbout.json"]
    result = result_of(run, start_of("water"), charge=0, multiplicity=1)
    assert result.energy == -5.070375897275
    assert (result.homo, result.lumo) == (-12.1771, 2.5159)
    assert result.charges == (-0.56395155, 0.28197578, 0.28197578)  # of the file `charges`


def test_the_geometry_and_the_gradient_of_an_earlier_run_are_disregarded() -> None:
    run = run_in(
        "water",
        optimised=contents("water_optimised")["optimised"],
        gradient=contents("water_cation_solvated")["gradient"],
    )

    assert (run.optimised, run.gradient) == (None, None)
    assert sorted(note.file for note in run.notes) == ["gradient", "xtbopt.xyz"]


def test_normal_termination_is_looked_for_where_xtb_says_it() -> None:
    assert b"normal termination" not in contents("water")["stdout"]
    assert run_in("water").ended_normally is True
    assert run_in("water", stderr=None).ended_normally is None
    both = contents("water")["stdout"] + contents("water")["stderr"]
    assert run_in("water", stdout=both, stderr=None).ended_normally is True


def test_keys_may_be_spelt_as_in_any_version() -> None:
    old = contents("water")["dump"]
    new = (
        old.replace(b"gap/eV", b"gap / eV")
        .replace(b'"dipole"', b'"dipole / a.u."')
        .replace(b"energies/eV", b"energies / eV")
    )
    assert new.count(b" / ") == 3

    assert read_dump(new) == read_dump(old)
    assert read_dump(new).gap == 14.6930033


def test_the_last_frame_of_an_optimisation_is_its_result() -> None:
    log = (RUNS / "water_optimised" / "xtbopt.log").read_text()
    last = (RUNS / "water_optimised" / "xtbopt.xyz").read_text()

    assert read_optimised(log) == read_optimised(last)
    assert read_optimised(last).energy == -5.070544350915


@pytest.mark.parametrize(
    ("version", "before", "lines", "charge", "unpaired"),
    [
        (
            "6.3 and 6.4",
            b"          omp threads",
            b"          number of electrons        :                    12\n"
            b"          charge                     :                     0\n"
            b"          spin                       :                   1.0\n",
            0,
            2,
        ),
        (
            "6.6 and later",
            b"          :  Broyden damping",
            b"          :  net charge                          0          :\n"
            b"          :  unpaired electrons                  2          :\n",
            0,
            2,
        ),
        ("6.5", b"          omp threads", b"", 0, None),
    ],
)
def test_the_unpaired_electrons_are_read_as_each_version_prints_them(
    version: str, before: bytes, lines: bytes, charge: int, unpaired: int | None
) -> None:
    """6.3 and 6.4 print the spin S; 6.5 prints nothing, and its orbitals tell."""
    log = contents("water")["stdout"]
    assert before in log

    told = read_printout(log.replace(before, lines + before, 1))

    assert (told.charge, told.unpaired_count) == (charge, unpaired), version
    assert told.orbital_unpaired_count == 0


def test_orbitals_tell_the_unpaired_electrons_that_were_calculated() -> None:
    """The JSON has those that were asked for, also where xtb ignored them."""
    cation = read_printout(contents("water_cation_solvated")["stdout"])
    ignored = read_printout(contents("water_impossible_spin")["stdout"])

    assert cation.orbital_unpaired_count == 1
    assert ignored.orbital_unpaired_count == 0
    assert read_dump(contents("water_impossible_spin")["dump"]).unpaired_count == 1


def test_the_gradient_has_the_geometry_that_it_is_of() -> None:
    read = read_gradient(contents("water_cation_solvated")["gradient"].decode())
    optimised = read_optimised(contents("water_cation_solvated")["optimised"].decode())

    for one, other in zip(read.geometry.positions, optimised.geometry.positions, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize(
    "content",
    ["", "#\n3\n", "2\n-1.0\n0\n0\n", "1\n-0.5\n0\n0\n0\n900 0 0 0\n", "1\nx\n0\n0\n0\n1 0 0 0\n"],
)
def test_an_engrad_file_that_is_not_whole_is_an_error(content: str) -> None:
    with pytest.raises(ValueError, match=r"atoms|complete|atomic number|float"):
        read_engrad(content)


def test_numbers_that_do_not_fit_their_field_are_no_numbers() -> None:
    log = contents("water")["stdout"].replace(b"-5.070375897275", b"***************")
    assert b"***" in log

    run = run_in("water", stdout=log)
    result = result_of(run, start_of("water"), charge=0, multiplicity=1)

    assert refusal(result, start_of("water"), charge=0, multiplicity=1) == "non-finite energy"


def test_an_energy_in_another_unit_is_refused() -> None:
    water = start_of("water")
    result, _ = judged("water")
    in_ev = replace(result, energy=result.energy * 27.2114)

    refused = refusal(in_ev, water, charge=0, multiplicity=1)

    assert refused is not None
    assert "another unit" in refused


KINDS = st.sampled_from(sorted(FILES))
WHOLE = {name: contents(name) for name in sorted(p.name for p in RUNS.iterdir() if p.is_dir())}


@given(st.dictionaries(KINDS, st.binary(max_size=300)))
def test_arbitrary_bytes_never_crash_the_parser(files: dict[str, bytes]) -> None:
    run = read_run(**files)  # type: ignore[arg-type]  # `names` is not among the keys

    survive(run)


@given(st.data())
def test_damaged_files_never_crash_the_parser(data: st.DataObject) -> None:
    files = dict(WHOLE[data.draw(st.sampled_from(sorted(WHOLE)))])
    for kind in data.draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=3)):
        content = files[kind]
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, len(content) - start))
        files[kind] = (
            content[:start] + data.draw(st.binary(max_size=20)) + content[start + length :]
        )

    survive(read_run(**files))


def survive(run: XtbRun) -> None:
    """Whatever was read is judged without a crash."""
    geometry = run.optimised.geometry if run.optimised else Geometry((1,), ((0.0, 0.0, 0.0),))
    try:
        result = result_of(run, geometry, charge=0, multiplicity=1)
    except EngineError as error:
        classify(error)
    else:
        refusal(result, geometry, charge=0, multiplicity=1)


def test_a_log_of_something_else_says_nothing() -> None:
    assert read_printout(b"Entering Gaussian System, Link 0=g16\n" * 100) == Printout()


@pytest.mark.parametrize("content", ["", "$grad\n$end", "cycle = 1 energy = 1\n0 0 0 Xx\n0 0 0"])
def test_a_gradient_without_a_whole_cycle_is_an_error(content: str) -> None:
    with pytest.raises(ValueError, match=r"cycle|element"):
        read_gradient(content)
