"""The geometry of a calculation over HTTP, read by the programs of chemists."""

import io
import warnings
from uuid import UUID, uuid4

import pytest

from quantum_forge.runner.engines.result import HARTREE_EV
from tests.support.chemical_history import record
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, bad, calculation_of, energy_of, good
from tests.web.conftest import Served

AMMONIUM = MOLECULES[2]


def path_of(calculation_id: UUID) -> str:
    """Return where the geometry of a calculation is."""
    return f"/rest/v1/calculations/{calculation_id}/geometry"


AT = path_of(calculation_of(AMMONIUM, METHODS[0]))


@pytest.fixture(scope="module", autouse=True)
def recorded(served: Served) -> None:
    """Record calculations of ours, with results and without."""
    record(served.engine, *good(), *bad())
    wait_until_projected(served.engine)


def test_sdf_is_read_by_rdkit_with_energy_charge_and_units(served: Served) -> None:
    """Asked for by Accept or by `format`; the same record as in a dataset."""
    from rdkit import Chem

    with served.client("eve") as eve:
        reply = eve.get(AT, headers={"Accept": "chemical/x-mdl-sdfile"})
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "chemical/x-mdl-sdfile; charset=utf-8"
        assert eve.get(f"{AT}?format=sdf").content == reply.content

    (molecule,) = Chem.ForwardSDMolSupplier(io.BytesIO(reply.content), removeHs=False)
    assert Chem.MolToSmiles(Chem.RemoveHs(molecule)) == "[NH4+]"
    assert Chem.GetFormalCharge(molecule) == 1
    assert float(molecule.GetProp("energy_hartree")) == energy_of(2, METHODS[0])
    assert int(molecule.GetProp("charge_e")) == 1
    xs = [atom.GetDoubleProp("position_x_angstrom") for atom in molecule.GetAtoms()]
    assert xs == [atom.position_x for atom in AMMONIUM.atoms]


def test_extxyz_is_read_by_ase_with_energy_charge_and_units(served: Served) -> None:
    """In eV and Å, as ASE has them; also what a client gets that asks for nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ASE's own imports
        from ase.io import read

    with served.client("eve") as eve:
        reply = eve.get(AT, headers={"Accept": "chemical/x-xyz"})
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "chemical/x-xyz; charset=utf-8"
        for other in (f"{AT}?format=extxyz", AT):
            assert eve.get(other).content == reply.content

    atoms = read(io.StringIO(reply.text), format="extxyz")
    assert atoms.get_chemical_symbols() == [atom.element for atom in AMMONIUM.atoms]
    assert [p[0] for p in atoms.get_positions()] == [atom.position_x for atom in AMMONIUM.atoms]
    assert atoms.get_potential_energy() == energy_of(2, METHODS[0]) * HARTREE_EV
    assert (atoms.info["charge"], atoms.info["energy_unit"]) == (1, "ev")
    assert atoms.info["length_unit"] == "angstrom"


def test_what_has_no_geometry_is_not_found_in_words(served: Served) -> None:
    """Another tenant's calculation is as unknown as none; the reason is said of one's own."""
    failed = [event.entity_id for event in bad() if event.event.event_type == "calculation_failed"]
    with served.client("eve") as eve, served.client("zoe") as zoe:
        for client, path, status, told in (
            (zoe, AT, 404, "no such calculation"),
            (eve, path_of(uuid4()), 404, "no such calculation"),
            (eve, path_of(failed[0]), 404, "it is failed"),
            (eve, "/rest/v1/calculations/x'/geometry", 400, "invalid input syntax"),
            (eve, f"{AT}?format=mol2", 406, "mol2"),
            (eve, f"{AT}?id=eq.1", 400, "unknown parameter"),
        ):
            reply = client.get(path)
            assert (reply.status_code, told in reply.text) == (status, True), reply.text
        assert eve.get(AT, headers={"Accept": "image/png"}).status_code == 406
    with served.client() as nobody:
        assert nobody.get(AT).status_code == 401


def test_a_geometry_that_is_at_hand_is_not_written_again(served: Served) -> None:
    """Its tag changes with the event that completed the calculation, and with the format."""
    with served.client("eve") as eve:
        tags = {eve.head(f"{AT}?format={name}").headers["etag"] for name in ("sdf", "extxyz")}
        assert len(tags) == 2
        for tag in tags:
            replies = [
                eve.get(f"{AT}?format={name}", headers={"If-None-Match": tag}).status_code
                for name in ("sdf", "extxyz")
            ]
            assert sorted(replies) == [200, 304]
