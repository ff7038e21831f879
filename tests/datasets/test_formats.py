"""Every format is read back by the libraries that people use, and compared value by value."""

import csv
import io
import json
import math
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from quantum_forge.datasets.columns import COLUMNS
from quantum_forge.datasets.export import export_file
from quantum_forge.datasets.formats import FORMATS, Header
from quantum_forge.datasets.manifest import Recipe
from quantum_forge.datasets.selection import EVERYTHING
from quantum_forge.datasets.units import STORED, Quantity, Units
from quantum_forge.eventstore.base.csv_text import csv_text, text_of_csv
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.runner.engines.result import HARTREE_EV
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM
from quantum_forge.schema.domains.calculations import Atom
from tests.conftest import _fresh
from tests.support.chemical_history import record
from tests.support.training_set import (
    METHODS,
    MOLECULES,
    TIME,
    bad,
    calculation_of,
    energy_of,
    good,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def folder(
    server: EmbeddedServer,
    administrator: Engine,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A training set in every format, in the units that the format has unless others are given."""
    folder = tmp_path_factory.mktemp("dataset")
    for database in _fresh(server, administrator, template=template):
        record(database.engine, *good(), *bad())
        with database.engine.connect() as connection:
            head = safe_head(connection)
        for format_ in FORMATS.values():
            recipe = Recipe(
                name="set",
                tenant_id=DEFAULT_TENANT_ID,
                position=head,
                selection=EVERYTHING,
                format=format_.name,
                units=format_.units,
            )
            export_file(database.engine, recipe, folder / f"set{format_.suffix}")
        yield folder


def expected(units: Units = STORED) -> list[Row]:
    """What the log says, in the order in which it was said."""
    made = [(index, molecule, METHODS[0]) for index, molecule in enumerate(MOLECULES)]
    rows = []
    for index, molecule, method in [*made, (0, MOLECULES[0], METHODS[1])]:
        atoms = molecule.atoms
        orbital, force = units.factor(Quantity.ORBITAL_ENERGY), units.factor(Quantity.FORCE)
        rows.append(
            {
                "calculation_id": str(calculation_of(molecule, method)),
                "molecule_id": str(molecule.id),
                "smiles": molecule.smiles,
                "name": molecule.name,
                "formula": "F",
                "charge": molecule.charge,
                "multiplicity": 1,
                "molecular_weight": 20.0 + len(atoms),
                "logp": None,
                "method": method,
                "solvation_model": "alpb(water)" if method == METHODS[1] else None,
                "program_version": "0.4",
                "energy": energy_of(index, method) * units.factor(Quantity.ENERGY),
                "homo": -12.1 * orbital,
                "lumo": None if index == 1 else (-12.1 + index) * orbital,
                "gap": None if index == 1 else float(index) * orbital,
                "dipole": None if index == 1 else 2.2,
                "completed_at": TIME,
                "xyz_sha256": "0" * 63 + str(index),
                "elements": [atom.element for atom in atoms],
                "atomic_numbers": [atom.atomic_number for atom in atoms],
                "partial_charges": None
                if molecule.known == "nothing"
                else [atom.partial_charge for atom in atoms],
                "positions": [
                    [value * units.factor(Quantity.LENGTH) for value in position_of(atom)]
                    for atom in atoms
                ],
                "forces": [[value * force for value in force_of(atom)] for atom in atoms]
                if molecule.known == "all"
                else None,
            }
        )
    return rows


def position_of(atom: Atom) -> list[float]:
    """In Å."""
    return [atom.position_x, atom.position_y, atom.position_z]


def force_of(atom: Atom) -> list[float]:
    """In Eh/Bohr."""
    forces = (atom.force_x, atom.force_y, atom.force_z)
    return [value for value in forces if value is not None]


def same(rows: list[Row], wanted: list[Row]) -> None:
    """Compare what is expected of each row, exactly."""
    assert len(rows) == len(wanted)
    for row, want in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in want} == want


def plain(value: Any) -> Any:
    """A value of NumPy's, or of a frame, as Python has it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def test_parquet_is_read_by_pyarrow_with_units_and_meanings(folder: Path) -> None:
    """Each field says its unit and meaning; the file, what it is."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "set.parquet")

    same(table.to_pylist(), expected())
    assert table.schema.names == [column.name for column in COLUMNS]
    assert table.schema.field("forces").metadata[b"unit"] == b"hartree/bohr"
    assert table.schema.field("homo").metadata[b"unit"] == b"ev"
    assert json.loads(table.schema.metadata[b"quantum_forge"])["name"] == "set"


def test_parquet_is_read_by_polars(folder: Path) -> None:
    """List columns come as lists."""
    import polars

    same(polars.read_parquet(folder / "set.parquet").to_dicts(), expected())


def test_parquet_is_read_by_pandas(folder: Path) -> None:
    """Arrays come as arrays, what is null as nan or None."""
    import pandas

    frame = pandas.read_parquet(folder / "set.parquet")

    rows = [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    same(rows, expected())


def test_parquet_is_read_by_duckdb(folder: Path) -> None:
    """Lists can be unnested in SQL."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            f"SELECT * REPLACE (epoch_us(completed_at) AS completed_at)"
            f" FROM '{folder}/set.parquet' ORDER BY log_position"
        )
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        atoms = connection.execute(
            f"SELECT count(*) FROM (SELECT unnest(elements) FROM '{folder}/set.parquet')"
        ).fetchone()

    wanted = expected()
    for row in rows:
        for name in ("positions", "forces"):
            row[name] = row[name] and [list(vector) for vector in row[name]]
    for want in wanted:
        want["completed_at"] = int(TIME.timestamp()) * 1_000_000 + TIME.microsecond
    same(rows, wanted)
    assert atoms == (sum(len(want["elements"]) for want in wanted),)


def named_with_units(rows: list[Row]) -> list[Row]:
    """Rows as formats have them whose only place for units is the column's name."""
    names = {column.name: column.named_with_unit(STORED) for column in COLUMNS}
    return [{names[name]: value for name, value in row.items()} for row in rows]


def test_jsonl_says_everything_in_plain_json(folder: Path) -> None:
    """One object a line, every value to the last bit."""
    rows = [json.loads(line) for line in (folder / "set.jsonl").read_text("utf-8").splitlines()]

    wanted = named_with_units(expected())
    for want in wanted:
        want["completed_at"] = TIME.isoformat().replace("+00:00", "Z")
    same(rows, wanted)
    assert "forces_hartree_per_bohr" in rows[0]


def test_csv_is_read_by_a_csv_reader(folder: Path) -> None:
    """Arrays are JSON in their cells; what is null is empty."""
    with (folder / "set.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    wanted = named_with_units(expected())
    for row, want in zip(rows, wanted, strict=True):
        for name, value in want.items():
            match value:
                case None:
                    assert row[name] == ""
                case str():
                    assert row[name] == value
                case list():
                    assert json.loads(row[name]) == value
                case float() | int():
                    assert float(row[name]) == value
                case _:
                    assert row[name] == value.isoformat()


@given(st.text(st.sampled_from("'=+-@\t\r\nC1"), max_size=5))
def test_no_text_of_a_csv_file_is_a_formula_in_a_spreadsheet(text: str) -> None:
    """Excel runs `=HYPERLINK(…)`; whoever named the molecule chose what. Our reader undoes it."""
    cell = csv_text(text)

    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert text_of_csv(cell) == text.replace("\r\n", "\n").replace("\r", "\n")


def test_extxyz_is_read_by_ase_in_its_units(folder: Path) -> None:
    """Energy in eV and forces in eV/Å where calculators have them, the rest in info and arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ASE's own imports
        from ase.io import iread

        frames = list(iread(folder / "set.extxyz", index=":", format="extxyz"))

    wanted = expected(Units("ev", "angstrom"))
    assert wanted[0]["energy"] == energy_of(0, METHODS[0]) * HARTREE_EV
    for frame, want in zip(frames, wanted, strict=True):
        assert frame.get_chemical_symbols() == want["elements"]
        assert frame.get_positions().tolist() == want["positions"]
        assert frame.get_potential_energy() == want["energy"]
        if want["forces"] is None:
            assert "forces" not in frame.calc.results
        else:
            assert frame.get_forces().tolist() == want["forces"]
        if want["partial_charges"] is None:
            assert "partial_charges" not in frame.arrays
        else:
            assert plain(frame.arrays["partial_charges"]) == want["partial_charges"]
        assert not frame.pbc.any()
        for name in ("smiles", "name", "method", "gap", "charge", "program_version", "xyz_sha256"):
            assert frame.info.get(name) == want[name], name
        assert frame.info.get("dipole_norm") == want["dipole"]
        assert frame.info["completed_at"] == TIME.isoformat()


def test_sdf_is_read_by_rdkit_with_its_bonds(folder: Path) -> None:
    """Molecule, charges and per-atom lists; positions to the last bit beside the mol block."""
    from rdkit import Chem

    supplier = Chem.SDMolSupplier(str(folder / "set.sdf"), removeHs=False)
    molecules = list(supplier)

    wanted = expected()
    for molecule, want in zip(molecules, wanted, strict=True):
        read_smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule))
        assert read_smiles == Chem.MolToSmiles(Chem.MolFromSmiles(want["smiles"]))
        atoms = list(molecule.GetAtoms())
        assert [atom.GetSymbol() for atom in atoms] == want["elements"]
        block = molecule.GetConformer().GetPositions().tolist()
        assert block == [[round(value, 4) for value in point] for point in want["positions"]]
        for axis, letter in enumerate("xyz"):
            for plural, unit in (("positions", "angstrom"), ("forces", "hartree_per_bohr")):
                name = f"{plural[:-1]}_{letter}_{unit}"
                if want[plural] is None:
                    assert not atoms[0].HasProp(name)
                else:
                    values = [atom.GetDoubleProp(name) for atom in atoms]
                    assert values == [vector[axis] for vector in want[plural]]
        charges = [
            atom.GetDoubleProp("partial_charge_e") if atom.HasProp("partial_charge_e") else None
            for atom in atoms
        ]
        assert charges == (want["partial_charges"] or [None] * len(atoms))
        assert float(molecule.GetProp("energy_hartree")) == want["energy"]
        assert molecule.GetProp("method") == want["method"]
        assert molecule.HasProp("gap_ev") == (want["gap"] is not None)


def test_a_search_for_bonds_that_never_ends_costs_a_record_its_bonds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Atoms are there, in order, whatever becomes of the worker; a warning names it."""
    from rdkit import Chem

    from quantum_forge.datasets.formats import sdf
    from quantum_forge.datasets.formats.mol_blocks import Structure

    monkeypatch.setattr(sdf, "_BONDED", "tests.support.runner_functions:crashes_or_hangs")
    monkeypatch.setattr(sdf, "SEARCH_SECONDS", 2.0)
    names = ["crash", "hang", "fine"]
    structures = [
        Structure(title=name, smiles=None, numbers=(2,), points=((0.0, 0.0, 0.0),), charge=0)
        for name in names
    ]
    writer = sdf.SdfFile(Header(pa.schema([]), STORED, {}), io.BytesIO(), None)
    try:
        blocks = writer._blocks(structures)
    finally:
        writer.close()

    assert [block.splitlines()[0] for block in blocks] == names
    assert [Chem.MolFromMolBlock(block).GetNumAtoms() for block in blocks[:2]] == [1, 1]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "the record of crash has no bonds",
        "the record of hang has no bonds",
    ]


def test_hdf5_has_the_layout_of_spice(folder: Path) -> None:
    """As its readers go through it: a group for each molecule and method, in atomic units."""
    import h5py

    units = Units("hartree", "bohr")
    wanted = {row["calculation_id"]: row for row in expected(units)}
    assert wanted[next(iter(wanted))]["positions"][0][0] == pytest.approx(
        MOLECULES[0].atoms[0].position_x / BOHR_ANGSTROM, rel=1e-15
    )
    seen = count()
    with h5py.File(folder / "set.h5") as file:
        for group in file.values():
            ids = [text.decode() for text in group["calculation_ids"]]
            first = wanted[ids[0]]
            assert group["smiles"].asstr()[0] == first["smiles"]
            assert group["subset"].asstr()[0].split()[0] == first["method"]
            assert group["atomic_numbers"][:].tolist() == first["atomic_numbers"]
            assert group["conformations"].attrs["units"] == "bohr"
            assert group["dft_total_energy"].attrs["units"] == "hartree"
            assert group["dft_total_gradient"].attrs["units"] == "hartree/bohr"
            for index, id_ in enumerate(ids):
                want = wanted[id_]
                atoms = len(want["elements"])
                assert group["conformations"][index].tolist() == want["positions"]
                assert group["dft_total_energy"][index] == want["energy"]
                assert plain(group["gap"][index]) == want["gap"]
                gradient = [[None] * 3] * atoms
                if want["forces"] is not None:
                    gradient = [[-value for value in vector] for vector in want["forces"]]
                assert plain(group["dft_total_gradient"][index]) == gradient
                charges = want["partial_charges"] or [None] * atoms
                assert plain(group["partial_charges"][index]) == [[charge] for charge in charges]
                next(seen)
        assert json.loads(file.attrs["quantum_forge"])["name"] == "set"
    assert next(seen) == len(wanted)
