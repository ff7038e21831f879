"""`qforge search` and `qforge molecules search`: whatever has a name or a message is found."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine

import quantum_forge as qf
from quantum_forge.eventstore.base.errors import WrongSearch
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID as TENANT
from quantum_forge.schema.domains.audit import DataExported
from quantum_forge.schema.domains.batches import BatchItem, BatchItemsAdded, BatchStarted, batch_id
from quantum_forge.schema.domains.discovery import ProjectCreated
from quantum_forge.schema.domains.molecules import molecule_id
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, failed, happened, record, started

OTHER = UUID(int=2, version=4)
PROJECT = UUID("aaaa1111-0000-4000-8000-000000000001")
DONE = UUID("bbbb2222-0000-4000-8000-000000000002")
LOST = UUID("cccc3333-0000-4000-8000-000000000003")
CRESOL, ETHANOL = "Cc1ccc(O)cc1", "CCO"
DRUGS = batch_id(TENANT, "drugs of march")


@pytest.fixture(autouse=True)
def chemistry(engine: Engine) -> None:
    """A molecule with two calculations, another one, a batch, a project, an export; two tenants."""
    cresol = created(CRESOL)
    named = msgspec.structs.replace(cresol.event, name="4-methylphenol")
    item = BatchItem(
        calculation_id=DONE, molecule_id=molecule_id(TENANT, CRESOL, 0, 1), name="my-id-17"
    )
    begun = completed(DONE, CRESOL, batch_id=DRUGS)
    told = msgspec.structs.replace(begun.event, stderr_log="x\nnormal termination of xtb\ny")
    record(
        engine,
        msgspec.structs.replace(cresol, event=named),
        created(ETHANOL),
        created("C", tenant_id=OTHER),
        happened(BatchStarted(name="drugs of march", parameters={}, total_count=1), DRUGS),
        happened(BatchItemsAdded(items=[item]), DRUGS),
        started(DONE, CRESOL, batch_id=DRUGS),
        msgspec.structs.replace(begun, event=told),
        started(LOST, CRESOL),
        failed(LOST, CRESOL),
        happened(ProjectCreated(name="Malaria", description="Inhibitors of PfDHODH"), PROJECT),
        happened(DataExported(what="dataset march", format="csv", row_count=1), UUID(int=9)),
    )


def found(qforge_here: Qforge, *words: str, status: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Search, and return the findings by kind."""
    told = json.loads(qforge_here("search", *words, "--json", status=status).stdout)
    return {group["kind"]: group["findings"] for group in told["groups"]}


def test_words_ids_and_structures_find_what_they_mean(
    qforge_here: Qforge, database: Database
) -> None:
    """In every kind of thing, of one's own tenant alone."""
    assert [each["id"] for each in found(qforge_here, "4-methyl")["molecules"]] == [
        str(molecule_id(TENANT, CRESOL, 0, 1))
    ]
    assert found(qforge_here, "METHYLPHENOL").keys() == {"molecules"}
    by_item = found(qforge_here, "my-id-1")["molecules"]
    assert [each["title"] for each in by_item] == ["4-methylphenol"]
    by_smiles = found(qforge_here, "Oc1ccc(C)cc1")
    assert [each["found_by"] for each in by_smiles["molecules"]] == ["identity"]
    assert {each["id"] for each in by_smiles["calculations"]} == {str(DONE), str(LOST)}
    assert found(qforge_here, "bbbb2222")["calculations"][0]["id"] == str(DONE)
    assert found(qforge_here, str(PROJECT))["projects"][0]["title"] == "Malaria"
    march = found(qforge_here, "march")
    assert march.keys() == {"batches", "data sets"}
    assert [each["title"] for each in found(qforge_here, "pfdhodh")["projects"]] == ["Malaria"]
    assert found(qforge_here, "250", "converg", "iterations").keys() == {"failures of calculations"}
    (log,) = found(qforge_here, "termination", "normal")["logs of calculations"]
    assert (log["id"], "normal termination" in log["detail"]) == (str(DONE), True)
    cut = qforge_here("search", "name", "of", "--limit", "1")
    assert cut.stdout.count("molecules") == 1

    # And what is not there, or cannot be, is said
    none = qforge_here("search", "malariaa", "--json", status=1)
    assert json.loads(none.stdout)["groups"] == []
    assert "did you mean Malaria?" in none.stderr
    assert found(qforge_here, "name", "of", "C", status=0).keys() == {"molecules"}
    for nothing in (" ", "'\"", "x" * 3_000):
        assert qforge_here("search", nothing, status=2).stdout == ""

    # And from Python
    with qf.open(libpq_url(database.url)) as forge:
        forge.catch_up()
        assert [group.kind for group in forge.search("march").groups] == ["batches", "data sets"]
        assert [hit.smiles for hit in forge.substructure("cO").hits] == [CRESOL]
        assert [hit.similarity for hit in forge.similar("OCC").hits] == [1.0]
        with pytest.raises(WrongSearch, match="no SMARTS"):
            forge.substructure("c1")

    # And molecules by structure
    command = ("molecules", "search")
    hits = json.loads(qforge_here(*command, "--substructure", "[OX2H1]", "--json").stdout)
    assert [hit["smiles"] for hit in hits] == [ETHANOL, CRESOL]
    near = ("--similar", "OCC", "--threshold", "0.9")
    assert ETHANOL in qforge_here(*command, *near).stdout
    assert (
        "There may be more" in qforge_here(*command, "--substructure", "O", "--limit", "1").stderr
    )
    assert "unclosed ring" in qforge_here(*command, "--substructure", "c1", status=2).stderr
    benzene = ("--substructure", "c1ccccc1")
    for wrong in ((), ("--similar", "C", *benzene), ("--threshold", "1", *benzene)):
        qforge_here(*command, *wrong, status=2)
