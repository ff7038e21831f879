"""`qforge properties compute`: descriptors as events, of what lacks them, once."""

import json
import signal
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import named
from quantum_forge.runner.campaign.descriptors import descriptions, toolkit_version
from quantum_forge.runner.campaign.properties import Computed, compute_properties
from quantum_forge.schema.domains.molecules import (
    MoleculeDeleted,
    MoleculePropertiesComputed,
    MoleculeUpdated,
    molecule_id,
    molecules,
)
from tests.conftest import Qforge
from tests.support.campaigns import counted, nci, rows, running, until
from tests.support.chemical_history import NOON, created, happened, record

OTHER_TENANT = UUID(int=2, version=4)
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_aspirin_is_what_the_textbook_says() -> None:
    """180.16 g/mol, one donor, three acceptors, 63.6 Å² (PubChem CID 2244)."""
    aspirin = descriptions(ASPIRIN)

    assert aspirin.molecular_weight == pytest.approx(180.16, abs=0.01)
    assert aspirin.topological_polar_surface_area == pytest.approx(63.6, abs=0.01)
    assert (aspirin.hydrogen_bond_donors, aspirin.hydrogen_bond_acceptors) == (1, 3)
    assert aspirin.logp == pytest.approx(1.31, abs=0.01)
    assert aspirin.qed == pytest.approx(0.55, abs=0.01)


def test_only_what_is_missing_is_computed(qforge_here: Qforge, engine: Engine) -> None:
    """New molecules, and those of another toolkit's version; what fails is named."""
    # Given: one without, one of an old version, an unreadable one, a deleted one, a foreign one
    old = MoleculePropertiesComputed(
        logp=0.0,
        molar_refractivity=0.0,
        qed=0.0,
        molecular_weight=1.0,
        topological_polar_surface_area=0.0,
        hydrogen_bond_donors=0,
        hydrogen_bond_acceptors=0,
        rotatable_bonds=0,
        toolkit="RDKit",
        toolkit_version="1999.1",
        computed_at=NOON,
    )
    ids = {smiles: molecule_id(DEFAULT_TENANT_ID, smiles, 0, 1) for smiles in ("CCO", "N", "CC")}
    record(
        engine,
        *map(created, (ASPIRIN, "CCO", "nonsense", "CC")),
        happened(old, ids["CCO"]),
        happened(MoleculeDeleted(), ids["CC"]),
        created("O", tenant_id=OTHER_TENANT),
    )

    # When
    done = qforge_here("properties", "compute", "--jobs", "1", "--json", status=3)

    # Then
    told = json.loads(done.stdout)
    assert told["computed"] == 2
    assert [problem["smiles"] for problem in told["problems"]] == ["nonsense"]
    found = rows(engine, "molecule_properties_computed")
    assert {row["toolkit_version"] for row in found} == {toolkit_version()}
    assert {row["molecule_id"] for row in found} == {
        ids["CCO"],
        molecule_id(DEFAULT_TENANT_ID, ASPIRIN, 0, 1),
    }

    # And then: nothing but the unreadable one is tried again, unless a condition leaves it out
    again = json.loads(qforge_here("properties", "compute", "--json", status=1).stdout)
    assert (again["computed"], len(again["problems"])) == (0, 1)
    where = ("--where", "smiles=CCO", "--where", "molecular_weight>=1")
    least = json.loads(qforge_here("properties", "compute", "--json", *where).stdout)
    assert (least["computed"], len(least["problems"])) == (0, 0)


@pytest.mark.parametrize(
    "written", ["colour=red", "molecular_weight", "molecular_weight<heavy", "molecular_weight<"]
)
def test_a_wrong_condition_is_refused(qforge_here: Qforge, written: str) -> None:
    """Before anything is computed, saying how to write one."""
    done = qforge_here("properties", "compute", "--where", written, status=2)

    assert "--where" in done.stderr


def test_an_interrupted_run_is_gone_on_with(
    database: Database, engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """After Ctrl-C what was computed is recorded, and each molecule is described once."""
    smiles = sorted({line.split()[0] for line in nci(1500)})
    record(engine, *map(created, smiles))
    total = counted(engine)["molecule_created"]

    arguments = ("properties", "compute", "--jobs", "1")
    with running(tmp_path, *arguments, DATABASE_URL=libpq_url(database.url)) as first:
        until(lambda: counted(engine)["molecule_properties_computed"] > 0, "something computed")
        first.signal_group(signal.SIGINT)
        status, _, said = first.end()

    assert status == 130, said
    assert 0 < counted(engine)["molecule_properties_computed"] < total
    told = json.loads(qforge_here("properties", "compute", "--json").stdout)
    assert counted(engine)["molecule_properties_computed"] + len(told["problems"]) == total


def test_of_two_runs_at_once_one_records_each_molecule(engine: Engine) -> None:
    """The other finds it done, or deleted; what changed otherwise is recorded all the same."""
    # Given: a run that has computed the first of four molecules, and recorded none
    ids = [molecule_id(DEFAULT_TENANT_ID, smiles, 0, 1) for smiles in ("CCO", "N", "CC", "O")]
    record(engine, *map(created, ("CCO", "N", "CC", "O")))
    catch_up(engine, named(["molecules", "molecule_properties_computed"]))
    recorder = Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID))
    meanwhile: list[Computed] = []

    def interfere(_: bool) -> None:
        if not meanwhile:
            only = [molecules.c.id.in_(ids[:2])]
            meanwhile.append(compute_properties(recorder, jobs=1, where=only))
            record(engine, happened(MoleculeDeleted(), ids[2]))
            record(engine, happened(MoleculeUpdated(name="water"), ids[3]))

    # When: another run, a deletion and an update come before it records
    done = compute_properties(recorder, jobs=1, on_molecule=interfere)

    # Then
    assert (meanwhile[0].computed, meanwhile[0].elsewhere) == (2, 0)
    assert (done.computed, done.elsewhere, done.problems) == (1, 3, [])
    found = rows(engine, "molecule_properties_computed", ["molecule_id"])
    assert {row["molecule_id"] for row in found} == {ids[0], ids[1], ids[3]}
    assert counted(engine)["molecule_properties_computed"] == 3

    # And then: a run that begins before the tables know computes nothing
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM molecule_properties_computed"))
    late = compute_properties(recorder, jobs=1)
    assert (late.computed, late.elsewhere) == (0, 0)
