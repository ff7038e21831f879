"""Use case 4: a training set, by properties and results, with every atom."""

import json
from uuid import UUID

from sqlalchemy import Engine

from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import CalculationInvalidated
from quantum_forge.schema.domains.molecules import molecule_id
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, happened, record, started

ETHANOL, HEXADECANE, BENZENE = (UUID(int=n, version=4) for n in (1, 2, 3))


def test_a_training_set_is_small_soluble_and_sorted_by_gap(
    qforge_here: Qforge, engine: Engine
) -> None:
    """MW < 300 and logP < 5, the top by gap, with charges, forces and positions per atom."""
    # Given: two small molecules, a greasy one, and a result that was refused afterwards
    refused = UUID(int=4, version=4)
    for id_, smiles, gap in (
        (ETHANOL, "CCO", 9.0),
        (BENZENE, "c1ccccc1", 5.0),
        (HEXADECANE, "C" * 16, 12.0),
        (refused, "CCO", 14.0),
    ):
        record(engine, started(id_, smiles), completed(id_, smiles, gap=gap))
    record(engine, *map(created, ("CCO", "c1ccccc1", "C" * 16)))
    ethanol = molecule_id(DEFAULT_TENANT_ID, "CCO", 0, 1)
    wrong = CalculationInvalidated(
        molecule_id=ethanol, batch_id=None, reason="a broken build", was_completed=True
    )
    record(engine, happened(wrong, refused))

    # When: the properties are not there yet, what is asked by them says so
    catch_up(engine, PROJECTIONS.values())
    asked = ("--weight", ":300", "--logp", ":5", "--status", "completed")
    early = qforge_here("calculations", "list", *asked, "--json")
    assert json.loads(early.stdout) == []
    assert "3 molecules without computed properties" in early.stderr

    # And then: they are computed
    qforge_here("properties", "compute", "--jobs", "1")
    order = ("--order", "gap", "--desc", "--limit", "1000", "--atoms", "--json")
    found = json.loads(qforge_here("calculations", "list", *asked, *order).stdout)
    small = json.loads(
        qforge_here("molecules", "list", "--weight", ":300", "--logp", ":5", "--json").stdout
    )

    # Then
    assert [row["id"] for row in found] == [str(ETHANOL), str(BENZENE)]
    assert [atom["atom_index"] for atom in found[0]["atoms"]] == [0, 1, 2, 3, 4]
    assert found[0]["atoms"][3] == {
        "atom_index": 3,
        "element": "H",
        "atomic_number": 1,
        "partial_charge": 0.1,
        "position_x": 3.0,
        **dict.fromkeys(("position_y", "position_z", "force_x", "force_y", "force_z"), 0.0),
    }
    assert {row["smiles"] for row in small} == {"CCO", "c1ccccc1"}
    assert all(row["logp"] < 5 for row in small)


def test_atoms_are_for_programs(qforge_here: Qforge) -> None:
    """A table has no room for them."""
    assert "--json" in qforge_here("calculations", "list", "--atoms", status=2).stderr
