"""Columns of a dataset: meaning, origin, unit."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from quantum_forge.datasets.units import Quantity, Units

VECTOR = pa.list_(pa.float64(), 3)
TIME = pa.timestamp("us", tz="UTC")


class Column(msgspec.Struct, frozen=True):
    """A column of a dataset; quantity: None for what has no unit."""

    name: str
    type: pa.DataType
    meaning: str
    quantity: Quantity | None = None

    def named_with_unit(self, units: Units) -> str:
        """Its name where a format has no other place for a unit: `forces_hartree_per_bohr`."""
        if self.quantity is None:
            return self.name
        unit = units.of(self.quantity).replace("/", "_per_").replace("^", "")
        return f"{self.name}_{unit}"


_TEXT, _COUNT, _REAL = pa.string(), pa.int32(), pa.float64()

OF_CALCULATIONS: tuple[Column, ...] = (
    Column("calculation_id", _TEXT, "Its id"),
    Column("molecule_id", _TEXT, "Id of its molecule"),
    Column("smiles", _TEXT, "Canonical SMILES; null where the geometry alone identifies it"),
    Column("identity", _TEXT, "How the molecule was identified: given, perceived or geometry"),
    Column("name", _TEXT, "A name that people gave the molecule"),
    Column("formula", _TEXT, "Molecular formula in Hill order"),
    Column("inchikey", _TEXT, "InChIKey; merges tautomers"),
    Column("charge", _COUNT, "Total charge", Quantity.CHARGE),
    Column("charge_source", _TEXT, "Whether the charge was given or assumed"),
    Column("multiplicity", _COUNT, "Spin multiplicity 2S+1"),
    Column("multiplicity_source", _TEXT, "Whether the multiplicity was given or assumed"),
    Column("molecular_weight", _REAL, "Molecular weight", Quantity.MOLAR_MASS),
    Column("logp", _REAL, "Octanol-water partition coefficient (Crippen), log10"),
    Column("hydrogen_bond_donors", _COUNT, "Hydrogen-bond donors"),
    Column("hydrogen_bond_acceptors", _COUNT, "Hydrogen-bond acceptors"),
    Column("rotatable_bonds", _COUNT, "Rotatable bonds"),
    Column(
        "topological_polar_surface_area", _REAL, "Topological polar surface area", Quantity.AREA
    ),
    Column(
        "molar_refractivity",
        _REAL,
        "Molar refractivity (Crippen)",
        Quantity.MOLAR_REFRACTIVITY,
    ),
    Column("qed", _REAL, "Quantitative estimate of drug-likeness, 0 to 1"),
    Column("method", _TEXT, "GFN2-xTB, GFN1-xTB or IPEA1-xTB"),
    Column("solvation_model", _TEXT, "Implicit solvation as model(solvent); null in the gas phase"),
    Column("optimization_level", _TEXT, "Of the geometry; null for a single point"),
    Column("program", _TEXT, "Program that computed it"),
    Column("program_version", _TEXT, "Version of that program"),
    Column("energy", _REAL, "Total energy", Quantity.ENERGY),
    Column("homo", _REAL, "Highest occupied orbital", Quantity.ORBITAL_ENERGY),
    Column("lumo", _REAL, "Lowest unoccupied orbital", Quantity.ORBITAL_ENERGY),
    Column("gap", _REAL, "lumo - homo", Quantity.ORBITAL_ENERGY),
    Column("dipole", _REAL, "Norm of the dipole moment", Quantity.DIPOLE),
    Column("convergence_status", _TEXT, "How it converged"),
    Column("xyz_sha256", _TEXT, "SHA-256 of the geometry in XYZ format"),
    Column("geometry_source", _TEXT, "How the structure was made; null for a given geometry"),
    Column("geometry_warning", _TEXT, "Why the structure is doubtful"),
    Column("max_force", _REAL, "Largest force on an atom", Quantity.FORCE),
    Column("completed_at", TIME, "When it was completed"),
    Column("log_position", pa.int64(), "Position in the log of the event that completed it"),
)
"""One value for each calculation."""

OF_ATOMS: tuple[Column, ...] = (
    Column("elements", pa.list_(_TEXT), "Element symbols"),
    Column("atomic_numbers", pa.list_(_COUNT), "Atomic numbers"),
    Column("partial_charges", pa.list_(_REAL), "Partial charges", Quantity.CHARGE),
    Column("positions", pa.list_(VECTOR), "x, y, z", Quantity.LENGTH),
    Column("forces", pa.list_(VECTOR), "-gradient along x, y, z", Quantity.FORCE),
)
"""A list for each calculation, in the order of the atoms in the geometry; null where not known."""

COLUMNS: tuple[Column, ...] = (*OF_CALCULATIONS, *OF_ATOMS)


def arrow_schema(units: Units, about: dict[str, Any]) -> pa.Schema:
    """The columns as Arrow and Parquet declare them: each field tells its unit and its meaning.

    `about` is stored as JSON in the schema's own metadata, under `quantum_forge`.
    """
    fields = []
    for column in COLUMNS:
        metadata = {"meaning": column.meaning}
        if column.quantity is not None:
            metadata["unit"] = units.of(column.quantity)
        fields.append(pa.field(column.name, column.type, metadata=metadata))
    return pa.schema(fields, metadata={"quantum_forge": json.dumps(about, sort_keys=True)})


def units_by_name(units: Units, columns: Sequence[Column] = COLUMNS) -> dict[str, str]:
    """The unit of each column that has one."""
    return {c.name: units.of(c.quantity) for c in columns if c.quantity is not None}
