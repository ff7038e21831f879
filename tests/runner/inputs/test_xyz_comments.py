"""Charge and spin in the comment of an XYZ frame are read or refused, never passed over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.inputs.files import Input
from quantum_forge.runner.inputs.xyz_files import XyzFrame, read_xyz
from quantum_forge.runner.molecules.identity import identify

HYDROXIDE = ("O 0 0 0", "H 0 0 0.96")
OXYGEN = ("O 0 0 0", "O 0 0 1.21")
WATER = ("O 0 0 0", "H 0 0 0.96", "H 0.93 0 -0.24")


def read(comment: str, atoms: tuple[str, ...] = HYDROXIDE) -> Input:
    return read_xyz(XyzFrame(1, comment, atoms))


def refusal(found: Input) -> str:
    """Why an input is refused when nothing but the file says its charge and spin."""
    with pytest.raises(InputError) as refused:
        identify(found)
    assert refused.value.code == "UNREADABLE_RECORD"
    return refused.value.reason


@pytest.mark.parametrize(
    ("comment", "charge", "multiplicity"),
    [
        ("-1 1", -1, 1),
        ("-1,1", -1, 1),
        ("  -1   1  ", -1, 1),
        ("\N{MINUS SIGN}1 1", -1, 1),
        ("0 2", 0, 2),
        ("charge=-1", -1, None),
        ("charge: -1", -1, None),
        ("charge -1", -1, None),
        ("charge is -1", -1, None),
        ("Charge = -1 Multiplicity = 1", -1, 1),
        ("charge: -1 multiplicity: 1", -1, 1),
        ("charge: -1, multiplicity: 1", -1, 1),
        ("charge -1 multiplicity 1", -1, 1),
        ("charge=-1, mult=1", -1, 1),
        ("charge=1-", -1, None),
        ("charge=-1.0", -1, None),
        ("total_charge=-1", -1, None),
        ("total charge = -1", -1, None),
        ("net charge: -1", -1, None),
        ("q=-1 mult=1", -1, 1),
        ("q = -1, m: x", -1, None),
        ("chrg=-1 uhf=0", -1, 1),
        ("--chrg -1 --uhf 0", -1, 1),
        ("$chrg -1", -1, None),
        ("charge=0 uhf=1", 0, 2),
        ("charge=0 unpaired_electrons=1", 0, 2),
        ("2 unpaired=2 charge=-1", -1, 3),
        ("spin multiplicity: 2", None, 2),
        ("spin_multiplicity=2", None, 2),
        ("charge=-1 2S+1=1", -1, 1),
        ("charge=-1 spin=1", -1, 1),
        ("charge=0 spin=2", 0, 2),
        ("charge=0 spin=1/2", 0, 2),
        ("charge=0 spin=0.5", 0, 2),
        ("charge=-1 spin=0", -1, 1),
        ("q=-1 s=0", -1, 1),
        ("charge=0 s=1/2", 0, 2),
        ("charge=-1 singlet", -1, 1),
        ("doublet", None, 2),
        ('"charge"=-1 "spin"=1', -1, 1),
        ("charge='-1'", -1, None),
        ('{"charge": -1, "multiplicity": 1}', -1, 1),
        ('{"info": {"total_charge": -1}, "mult": 1}', -1, 1),
        ("{'charge': -1, 'spin': 1}", -1, 1),
        ("* xyz -1 1", -1, 1),
        ("*xyz -1 1", -1, 1),
        ("$molecule -1 1", -1, 1),
        ("-1 1 HO", -1, 1),
        ("0 2 hydroxyl radical", 0, 2),
        ("Properties=species:S:1:pos:R:3 charge=-1 pbc=\"F F F\"", -1, None),
        ("charge=0 magmom=1.0", 0, 2),
        ("charge=None multiplicity=null", None, None),
    ],
)  # fmt: skip
def test_every_usual_form_is_read(
    comment: str, charge: int | None, multiplicity: int | None
) -> None:
    found = read(comment)

    assert (found.error, found.charge_unclear, found.multiplicity_unclear) == (None, None, None)
    assert (found.charge, found.multiplicity) == (charge, multiplicity)


@pytest.mark.parametrize(
    ("comment", "name"),
    [
        ("-1 1 hydroxide ion", "hydroxide ion"),
        ("hydroxide charge=-1 mult=1", "hydroxide"),
        ("hydroxide, charge: -1", "hydroxide,"),
        ("name=OH charge=-1", "OH"),
        ('{"charge": -1, "name": "OH minus"}', "OH minus"),
        ("charge: -1 multiplicity: 1", None),
    ],
)
def test_the_name_is_what_remains(comment: str, name: str | None) -> None:
    assert (read(comment).name, read(comment).charge) == (name, -1)


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("charge=half", "charge 'half' is not a number"),
        ("charge=-0.5", "not a small whole number"),
        ("charge=1e999", "not a small whole number"),
        ("charge=" + "9" * 5_000, "not a small whole number"),
        ("charge=-1 total_charge=0", "states two charges"),
        ("multiplicity=1 uhf=1", "states two multiplicities"),
        ("multiplicity=0", "multiplicity 0"),
        ("charge=", "has charge= without a value"),
        ("charge= multiplicity=1", "has charge= without a value"),
        ("multiplicity= charge=-1", "has multiplicity= without a value"),
        ("q=-1 s=1", "may mean multiplicity 1 or S = 1"),
        ("charge=-1 spin=2", "does not fit 10 electrons"),
        ("charge=-1 spin=-1", "not a spin"),
        ("the charge is minus one", "mentions 'charge'"),
        ("negatively charged", "mentions 'charged'"),
        ("-1 charge", "mentions 'charge'"),
        ("hydroxide anion", "mentions 'anion'"),
        ("high spin", "mentions 'spin'"),
        ("unpaired", "mentions 'unpaired'"),
        ("singlet-triplet gap, triplet", "several multiplicities"),
        ("-1", "could be a charge"),
        ("-10 1", "could be a charge and a multiplicity"),
        ("-1.0 1", "could be a charge and a multiplicity"),
        ("hydroxide -1 1", "could be a charge and a multiplicity"),
        ("hydroxide \N{MINUS SIGN}1 1", "could be a charge and a multiplicity"),
        ("hydroxide -1", "ends in -1, which could be the charge"),
        ("hydroxide, +1", "ends in +1"),
        ("hydroxide (-1)", "ends in -1"),
        ("hydroxide 1-", "ends in 1-"),
        ("hydroxide \N{MINUS SIGN}1", "ends in \N{MINUS SIGN}1"),
        ("name=OH -1", "ends in -1"),
        ("hydroxide -2 multiplicity=2", "ends in -2"),
        ("multiplicity 2 hydroxide -2", "ends in -2"),
        ("1 2 dichloroethane", "begins with 1 2"),
        ("OH-", "a formula of these atoms with a sign"),
        ("hydroxide HO-", "a formula of these atoms with a sign"),
        ("[OH-]", "charges -1 in brackets"),
        ("charge_state=-1", "could be the charge"),
        ("magmom=1.5", "not a number of unpaired electrons"),
    ],
)  # fmt: skip
def test_what_is_mentioned_and_not_understood_is_refused(comment: str, said: str) -> None:
    """The message says what was found and how to write it."""
    reason = refusal(read(comment))

    assert said in reason
    assert "comment line" in reason or "write" in reason


def test_a_value_given_otherwise_settles_what_is_unclear() -> None:
    """`--charge` and `--multiplicity` hold for inputs that do not say it."""
    assert identify(read("hydroxide anion"), charge=-1).charge == -1
    assert identify(read("low spin"), charge=-1, multiplicity=1).multiplicity == 1
    refusal(read("hydroxide anion"))


@pytest.mark.parametrize(
    "title",
    [
        "q01", "m2", "s22 water dimer", "-40.5 0.1", "        -5.07054432", "-40.5", "12", "1 2 3",
        "100 2000", "12 13", "Coordinates from ORCA-job water E -76.323", "i = 0, time = 0.0",
        " energy: -5.070544 gnorm: 0.0004 xtb: 6.7.1 (edcfbbe)", "Mulliken", "2,4-dinitrophenol",
        "water, step 5", "H2O", "C(C)O", "[2H]O[2H]", "multi-reference?", "quintessence",
        "spinosad", "discharge", "frame 1 2", "MP2/aug-cc-pVTZ", "a-b", "water+ice",
        "O=[N+]([O-])C", "2S-acid", "D-glucose", "conformer 3 of 12",
        "conf 3", "opt-1", "water E -76.0", "-40.5 -1", "step -120",
    ],
)  # fmt: skip
def test_a_plain_title_states_nothing(title: str) -> None:
    found = read(title, WATER)

    assert found.error is None
    assert (found.charge, found.multiplicity) == (None, None)
    assert (found.charge_unclear, found.multiplicity_unclear) == (None, None)
    assert found.name == title.strip() or "=" in title


@given(
    charge=st.integers(-9, 9),
    multiplicity=st.integers(1, 9),
    form=st.sampled_from(
        [
            "{q} {m}",
            "charge={q} multiplicity={m}",
            "charge: {q}; mult: {m}",
            "TOTAL_CHARGE={q} spin_multiplicity={m}",
            '{{"charge": {q}, "multiplicity": {m}}}',
            "title q={q} mult={m} energy=-40.5",
            "--chrg {q} --uhf {u}",
        ]
    ),
)
def test_any_charge_and_multiplicity_is_read_back(
    charge: int, multiplicity: int, form: str
) -> None:
    found = read(form.format(q=charge, m=multiplicity, u=multiplicity - 1))

    assert (found.charge, found.multiplicity) == (charge, multiplicity)


WORD = st.sampled_from(["charge", "spin", "q", "mult", "uhf", "s", "-1", "2", "=", ":", "{", "}"])


@given(st.lists(WORD | st.text(max_size=3), max_size=10), st.sampled_from(["", " "]))
@settings(max_examples=250)
def test_a_mentioned_charge_is_never_passed_over(words: list[str], between: str) -> None:
    """A comment with the word charge gives a charge, or is refused."""
    comment = between.join([" charge ", *words])

    found = read(comment)

    assert found.charge is not None or found.error or found.charge_unclear


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ('Lattice="9 0 0 0 9 0 0 0 9"', "periodic"),
        ('Lattice="0 0 0 0 0 0 0 0 9"', "periodic"),
        ('cell="9 0 0 0 9 0 0 0 9"', "periodic"),
        ('pbc="T F F"', "periodic"),
        ("pbc=[True, False, False]", "periodic"),
        ("pbc=1", "periodic"),
        ("pbc=maybe", "not `T` or `F`"),
        ("fractional coordinates", "fractional"),
        ("water, in bohr", "mentions Bohr"),
        ("length_unit=furlong", "not angstrom, bohr or nm"),
        ("Properties=species:S:1:frac:R:3", "no species and pos"),
    ],
)
def test_cells_and_other_lengths_are_refused(comment: str, said: str) -> None:
    assert said in (read(comment, WATER).error or "")


@pytest.mark.parametrize(
    "comment",
    [
        'Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F"',
        'Lattice="9 0 0 0 9 0 0 0 9" pbc=[False, False, False]',
        'Lattice="0 0 0 0 0 0 0 0 0"',
        'Lattice="0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0"',
        "forces_unit=hartree/bohr",
        "energy in Eh, gradient in Eh/Bohr",
        "length_unit=angstrom",
    ],
)
def test_a_cell_without_periodicity_is_a_molecule(comment: str) -> None:
    found = read(comment, WATER)

    assert found.error is None
    assert found.geometry is not None
    assert found.geometry.positions[1] == (0.0, 0.0, 0.96)


@pytest.mark.parametrize("comment", ["length_unit=bohr", "units=bohr", "units=Bohr", "unit=a.u."])
def test_positions_in_bohr_are_converted(comment: str) -> None:
    found = read(comment, ("H 0 0 0", "H 0 0 1.0"))

    assert found.geometry is not None
    assert found.geometry.positions[1][2] == pytest.approx(0.529177210903, abs=1e-12)


@pytest.mark.parametrize(
    ("symbol", "number", "isotope"),
    [("D", 1, 2), ("T", 1, 3), ("d", 1, 2), ("2H", 1, 2), ("13C", 6, 13), ("Cl1", 17, 0),
     ("CA", 20, 0)],
)  # fmt: skip
def test_isotopes_and_labels_are_elements(symbol: str, number: int, isotope: int) -> None:
    found = read("x", (f"{symbol} 0 0 0",))

    assert found.geometry is not None
    assert found.geometry.numbers == (number,)
    assert found.geometry.isotopes == ((isotope,) if isotope else ())


@pytest.mark.parametrize("symbol", ["X", "Tv", "Q", "CA1", "H_1", "1", "0C", "99C", "Gh(He)"])
def test_what_is_no_element_is_refused(symbol: str) -> None:
    found = read("x", (f"{symbol} 0 0 0", f"{symbol} 0 0 1"))

    assert symbol == "1" or "is not `element x y z`" in (found.error or "")


@pytest.mark.parametrize(
    "lines",
    [("1 8 0 0 0", "2 1 0 0 1"), ("1 O 0 0 0", "2 H 0 0 1"), ("O 0_1 0 0", "H 0 0 1"),
     ("O 0,1 0,0 0,0", "H 0 0 1"), ("O 1e400 0 0", "H 0 0 1"), ("O 1e308 1e308 0", "H 0 0 1")],
)  # fmt: skip
def test_lines_that_are_no_atoms_are_refused(lines: tuple[str, ...]) -> None:
    assert read("x", lines).error


def test_charges_of_atoms_that_contradict_the_comment_are_refused() -> None:
    atoms = ("O 0 0 0 -1.1", "H 0 0 0.96 0.1")
    properties = "Properties=species:S:1:pos:R:3:initial_charges:R:1"

    assert "add up to -1.00" in refusal(read(properties, atoms))
    assert "add up to -1.00" in refusal(read(f"{properties} charge=0", atoms))
    assert identify(read(f"{properties} charge=-1", atoms)).charge == -1
