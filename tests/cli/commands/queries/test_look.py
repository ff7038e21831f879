"""`qforge calculations`, `molecules`, `status`: what people and programs get to see."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine, text

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.projections.follow import refresh
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.queries.lookup import hill
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import (
    BatchItem,
    BatchItemsAdded,
    BatchStarted,
    batch_id,
)
from quantum_forge.schema.domains.calculations import CalculationLost, CalculationStarted
from quantum_forge.schema.domains.discovery import ProjectCreated
from quantum_forge.schema.domains.molecules import MoleculeAddedToProject, molecule_id
from quantum_forge.schema.domains.users import UserRegistered
from tests.conftest import Qforge, command_line
from tests.support.chemical_history import (
    NOON,
    completed,
    created,
    failed,
    happened,
    record,
    requested,
    started,
)

ANOTHER_TENANT = UUID(int=2, version=4)
WATER = UUID("aaaa1111-0000-4000-8000-000000000001")
ETHANOL = UUID("aaaa2222-0000-4000-8000-000000000002")
BUTANE = UUID("bbbb3333-0000-4000-8000-000000000003")
WAITING = UUID("cccc4444-0000-4000-8000-000000000004")
FOREIGN = UUID("dddd5555-0000-4000-8000-000000000005")
DRUGS = batch_id(DEFAULT_TENANT_ID, "drugs")


@pytest.fixture
def chemistry(engine: Engine) -> None:
    """Two completed calculations, one failed, one waiting; and one of another tenant."""
    record(
        engine,
        happened(BatchStarted(name="drugs", parameters={}, total_count=1), DRUGS),
        created("O", at=NOON.replace(minute=1)),
        created("CCO", at=NOON.replace(minute=2)),
        created("CCCC", at=NOON.replace(minute=3)),
        started(WATER, "O", at=NOON.replace(minute=1)),
        completed(WATER, "O", energy=-5.07, gap=14.6),
        started(ETHANOL, "CCO", method="GFN1-xTB", batch_id=DRUGS, at=NOON.replace(minute=2)),
        completed(ETHANOL, "CCO", energy=-11.39, gap=2.5, batch_id=DRUGS),
        started(BUTANE, "CCCC", at=NOON.replace(minute=3)),
        failed(BUTANE, "CCCC"),
        requested(WAITING, "O"),
        created("C", tenant_id=ANOTHER_TENANT),
        started(FOREIGN, "C", tenant_id=ANOTHER_TENANT),
        completed(FOREIGN, "C", tenant_id=ANOTHER_TENANT),
    )
    catch_up(engine, PROJECTIONS.values())


def listed(qforge: Qforge, *options: str) -> list[str]:
    """Return the ids that `calculations list` gives, in its order."""
    found = json.loads(qforge("calculations", "list", "--json", *options).stdout)
    return [calculation["id"] for calculation in found]


@pytest.mark.usefixtures("chemistry")
def test_calculations_are_found_by_what_they_are(qforge_here: Qforge) -> None:
    """Each filter restricts, they hold together, and open and negative ranges can be written."""
    water, ethanol, butane = str(WATER), str(ETHANOL), str(BUTANE)

    assert listed(qforge_here, "--gap", "1:3") == [ethanol]
    assert listed(qforge_here, "--gap", ":3") == [ethanol]
    assert listed(qforge_here, "--gap", "14.6:") == [water]
    assert listed(qforge_here, "--energy", "-20:-10") == [ethanol]
    assert listed(qforge_here, "--energy=-10:") == [water]
    assert listed(qforge_here, "--status", "failed") == [butane]
    assert listed(qforge_here, "--status", "failed", "--status", "pending") == [
        str(WAITING),
        butane,
    ]
    assert listed(qforge_here, "--method", "GFN1-xTB") == [ethanol]
    assert listed(qforge_here, "--batch", "drugs") == [ethanol]
    assert listed(qforge_here, "--batch", str(DRUGS)) == [ethanol]
    assert listed(qforge_here, "--molecule", "CCO") == [ethanol]
    assert listed(qforge_here, "--molecule", "CCO", "--status", "failed") == []


@pytest.mark.usefixtures("chemistry")
def test_calculations_come_in_the_order_asked_for(qforge_here: Qforge) -> None:
    """The newest first, those that wait before them; by gap or energy only those that have one."""
    water, ethanol, butane = str(WATER), str(ETHANOL), str(BUTANE)

    assert listed(qforge_here) == [str(WAITING), butane, ethanol, water]
    assert listed(qforge_here, "--limit", "2") == [str(WAITING), butane]
    assert listed(qforge_here, "--order", "started") == [water, ethanol, butane, str(WAITING)]
    assert listed(qforge_here, "--order", "gap") == [ethanol, water]
    assert listed(qforge_here, "--order", "gap", "--desc") == [water, ethanol]
    assert listed(qforge_here, "--order", "energy", "--limit", "1") == [ethanol]


@pytest.mark.usefixtures("chemistry")
def test_nobody_sees_what_another_tenant_owns(qforge_here: Qforge) -> None:
    """Neither in a list, nor by id, nor by SMILES; its owner sees it."""
    foreign = {"QFORGE_TENANT_ID": str(ANOTHER_TENANT)}

    assert str(FOREIGN) not in listed(qforge_here)
    qforge_here("calculations", "show", str(FOREIGN), status=1)
    qforge_here("molecules", "show", "C", status=1)
    assert qforge_here("calculations", "show", str(FOREIGN), env=foreign).stdout
    assert qforge_here("molecules", "show", "C", env=foreign).stdout


@pytest.mark.usefixtures("chemistry")
def test_a_list_in_a_pipe_is_whole_and_tab_separated(qforge_here: Qforge) -> None:
    """A script gets every digit of ids and numbers, below a header."""
    done = qforge_here("calculations", "list", "--order", "gap")

    header, first, _ = (line.split("\t") for line in done.stdout.splitlines())
    assert done.stderr == ""
    assert dict(zip(header, first, strict=True)) | {
        "id": str(ETHANOL),
        "smiles": "CCO",
        "energy": "-11.39",
        "gap": "2.5",
    } == dict(zip(header, first, strict=True))


@pytest.mark.usefixtures("chemistry")
def test_a_list_for_people_is_short_and_rounded(
    qforge_here: Qforge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, an id is as long as one would type it."""
    monkeypatch.setattr(console, "is_terminal", lambda _stream=None: True)

    shown = qforge_here("calculations", "list", "--order", "gap", env={"COLUMNS": "200"}).stdout

    assert "aaaa2222" in shown
    assert str(ETHANOL) not in shown
    assert "-11.390000" in shown


@pytest.mark.usefixtures("database")
def test_lists_tell_apart_what_differs_in_its_settings_alone(
    qforge_here: Qforge, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solvent, level and engine: on a wide terminal, in a pipe, and as JSON."""
    settings: dict[str, object] = {"method": "GFN2-xTB", "solvent": "water", "engine": "xtb"}
    optimised = settings | {"optimization_level": "tight"}
    begun = started(ETHANOL, "CCO", at=NOON)
    level = {"solvation_model": "ALPB(water)", "optimization_level": "tight", "program": "xtb"}
    record(
        engine,
        happened(BatchStarted(name="wet", parameters=settings, total_count=1), DRUGS),
        happened(BatchStarted(name="optimised", parameters=optimised, total_count=1), FOREIGN),
        created("CCO", at=NOON),
        msgspec.structs.replace(begun, event=msgspec.structs.replace(begun.event, **level)),
        started(WATER, "O", at=NOON),
    )
    catch_up(engine, PROJECTIONS.values())

    json_batches = json.loads(qforge_here("batches", "list", "--json").stdout)
    json_calculations = json.loads(qforge_here("calculations", "list", "--json").stdout)
    pipe = {kind: qforge_here(kind, "list").stdout for kind in ("batches", "calculations")}
    monkeypatch.setattr(console, "is_terminal", lambda _stream=None: True)
    wide = {
        kind: qforge_here(kind, "list", env={"COLUMNS": "200"}).stdout
        for kind in ("batches", "calculations")
    }

    assert {each["name"]: each["parameters"] for each in json_batches} == {
        "wet": settings,
        "optimised": optimised,
    }
    assert level.items() <= {each["id"]: each for each in json_calculations}[str(ETHANOL)].items()
    assert "GFN2-xTB in water" in pipe["batches"]
    assert pipe["batches"].count("xtb\n") == pipe["batches"].count("GFN2-xTB") == 2
    assert "ALPB(water)\ttight\txtb\t\t" in pipe["calculations"]
    for table in wide.values():
        assert "tight" in table
        assert "single point" in table
        assert "xtb" in table
    assert "ALPB(water)" in wide["calculations"]


@pytest.mark.usefixtures("chemistry")
def test_show_tells_everything_about_a_calculation(qforge_here: Qforge) -> None:
    """Its rows in every table, and its events with their whole payloads."""
    details = json.loads(qforge_here("calculations", "show", str(WATER), "--json").stdout)

    assert details["calculation"]["energy"] == -5.07
    assert details["molecule"]["smiles"] == "O"
    assert details["metrics"]["scf_cycles"] == 12
    assert [atom["atom_index"] for atom in details["atoms"]] == [0, 1, 2, 3, 4]
    assert details["errors"] == []
    assert [event["event_type"] for event in details["events"]] == [
        "calculation_started",
        "calculation_completed",
    ]
    assert len(details["events"][1]["data"]["atoms"]) == 5

    told = qforge_here("calculations", "show", str(BUTANE)).stdout
    assert "no convergence after 250 iterations" in told
    assert "Total charge in e" in told, "every value with its meaning and unit"
    titles = [line for line in told.splitlines() if line.startswith("# ")]
    tables = ["calculation", "molecule", "execution metrics", "errors", "events"]
    assert titles == [f"# {table}" for table in tables]


@pytest.mark.usefixtures("chemistry")
def test_the_beginning_of_an_id_is_enough(qforge_here: Qforge) -> None:
    """Four digits or more, with or without dashes, unless they fit several."""

    def shown(reference: str) -> str:
        done = qforge_here("calculations", "show", reference, "--json")
        return str(json.loads(done.stdout)["calculation"]["id"])

    assert shown("bbbb") == shown("BBBB3333") == shown("bbbb3333-00") == str(BUTANE)

    ambiguous = qforge_here("calculations", "show", "aaaa", status=1)
    assert str(WATER) in ambiguous.stderr
    assert str(ETHANOL) in ambiguous.stderr
    assert len(ambiguous.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("calculations", "show", "9999"),
        ("calculations", "show", "bbb"),
        ("calculations", "show", "no id at all"),
        ("calculations", "show", "00000000-0000-4000-8000-000000000009"),
        ("calculations", "list", "--molecule", "N"),
        ("molecules", "show", "N"),
        ("molecules", "show", "9999"),
    ],
)
@pytest.mark.usefixtures("chemistry")
def test_what_is_not_there_is_one_clear_line(
    qforge_here: Qforge, arguments: tuple[str, ...]
) -> None:
    """Exit status 1, the reference as it was typed, and what can be given instead."""
    done = qforge_here(*arguments, status=1)

    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert repr(arguments[-1]) in done.stderr
    assert "give" in done.stderr


ETHANOL_KEY = "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"


def test_a_molecule_is_found_by_anything_that_names_it(qforge_here: Qforge, engine: Engine) -> None:
    """Any SMILES, names, InChIKey, formula; several that fit are listed with what tells apart."""
    ethanol, ether = (molecule_id(DEFAULT_TENANT_ID, each, 0, 1) for each in ("CCO", "COC"))

    def named(smiles: str, name: str, **more: object) -> NewEvent:
        event = created(smiles, at=NOON)
        changes = {"name": name, "formula": "C2H6O", **more}
        return msgspec.structs.replace(event, event=msgspec.structs.replace(event.event, **changes))

    item = BatchItem(calculation_id=ETHANOL, molecule_id=ethanol, name="my-id-17")
    record(
        engine,
        named("CCO", "ethanol", inchikey=ETHANOL_KEY),
        named("COC", "ether"),
        started(ETHANOL, "CCO", at=NOON),
        started(WATER, "COC", at=NOON),
        started(BUTANE, "COC", method="GFN1-xTB", at=NOON),
        happened(BatchStarted(name="drugs", parameters={}, total_count=1), DRUGS),
        happened(BatchItemsAdded(items=[item]), DRUGS),
    )
    catch_up(engine, PROJECTIONS.values())

    for reference in ("CCO", "OCC", "[CH3]C[OH]", "ethanol", "my-id-17", ETHANOL_KEY.lower()):
        found = json.loads(qforge_here("molecules", "show", reference, "--json").stdout)
        assert found["molecule"]["id"] == str(ethanol), reference
        assert listed(qforge_here, "--molecule", reference) == [str(ETHANOL)], reference

    several = qforge_here("molecules", "show", "OH6C2", status=1).stderr
    assert f"{ethanol} (CCO, ethanol, charge 0, multiplicity 1)" in several
    assert f"{ether} (COC, ether" in several
    assert len(several.splitlines()) == 1

    only = json.loads(qforge_here("calculations", "show", "ethanol", "--json").stdout)
    assert only["calculation"]["id"] == str(ETHANOL)
    both = qforge_here("calculations", "show", "ether", status=1).stderr
    assert f"{BUTANE} (GFN1-xTB, running)" in both
    assert f"{WATER} (GFN2-xTB, running)" in both


@pytest.mark.parametrize(
    ("text", "formula"),
    [("C2H6O", "C2H6O"), ("OH6C2", "C2H6O"), ("HO-", "HO-"), ("H4N+", "H4N+"), ("C1H4", "CH4")],
)
def test_a_formula_is_put_into_the_order_of_hill(text: str, formula: str) -> None:
    """As it is stored; other texts are not formulas."""
    assert hill(text) == formula
    assert hill(f"{text}!") is None


def test_lists_are_filtered_by_people_projects_formula_and_time(
    qforge_here: Qforge, engine: Engine
) -> None:
    """Of molecules, calculations and batches; a wrong name gets a suggestion."""
    ada, project = UUID(int=21, version=4), UUID(int=22, version=4)
    ethanol = str(molecule_id(DEFAULT_TENANT_ID, "CCO", 0, 1))
    begun = BatchStarted(name="drugs", parameters={}, total_count=1, project_id=project)
    ethanol_event = created("CCO", at=NOON)
    record(
        engine,
        happened(UserRegistered(email="ada@x.org", username="ada"), ada),
        happened(ProjectCreated(name="Malaria"), project),
        created("O", at=NOON.replace(day=1)),
        msgspec.structs.replace(
            ethanol_event,
            event=msgspec.structs.replace(ethanol_event.event, formula="C2H6O"),
            user_id=ada,
        ),
        happened(
            MoleculeAddedToProject(project_id=project),
            molecule_id(DEFAULT_TENANT_ID, "CCO", 0, 1),
        ),
        started(WATER, "O", at=NOON.replace(day=1)),
        msgspec.structs.replace(started(ETHANOL, "CCO", at=NOON), user_id=ada),
        msgspec.structs.replace(happened(begun, DRUGS), user_id=ada),
        happened(BatchStarted(name="others", parameters={}, total_count=1), WATER),
    )
    catch_up(engine, PROJECTIONS.values())

    for option in (
        ("--user", "ada"),
        ("--project", "Malaria"),
        ("--project", str(project)[:8]),
        ("--since", NOON.isoformat()),
        ("--formula", "OH6C2", "--until", NOON.replace(hour=23).isoformat()),
    ):
        shown = json.loads(qforge_here("molecules", "list", "--json", *option).stdout)
        assert [each["id"] for each in shown] == [ethanol], option
        assert listed(qforge_here, *option) == [str(ETHANOL)], option
    for option in (("--user", "ada@x.org"), ("--project", "Malaria"), ("--name", "drugs")):
        shown = json.loads(qforge_here("batches", "list", "--json", *option).stdout)
        assert [each["name"] for each in shown] == ["drugs"], option
    assert "drugs" in qforge_here("batches", "list", "--status", "processing").stdout

    for arguments, hint in (
        (("batches", "show", "drug"), "did you mean drugs?"),
        (("calculations", "list", "--batch", "Drug"), "did you mean drugs?"),
        (("molecules", "list", "--project", "malarai"), "did you mean Malaria?"),
    ):
        assert hint in qforge_here(*arguments, status=1).stderr
    for arguments, hint in (
        (("molecules", "list", "--user", "adaa"), "did you mean ada?"),
        (("calculations", "list", "--method", "GNF2-xTB"), "did you mean GFN2-xTB"),
    ):
        assert hint in qforge_here(*arguments, status=2).stderr
    assert listed(qforge_here, "--method", "gfn2") == [str(ETHANOL), str(WATER)]


@pytest.mark.usefixtures("chemistry")
def test_failures_are_listed_with_name_and_reason(
    qforge_here: Qforge, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person asks of a failure; a pipe has the reason as its last column.

    Of an input that is not a molecule, the name is what the input calls it.
    """
    nonsense = CalculationStarted(
        molecule_id=None,
        batch_id=DRUGS,
        attempt=1,
        method="GFN2-xTB",
        charge=None,
        multiplicity=None,
        program="tblite",
        program_version="0.8.0",
        timeout_seconds=300.0,
    )
    item = BatchItem(calculation_id=FOREIGN, molecule_id=None, name="my nonsense")
    record(
        engine,
        happened(BatchItemsAdded(items=[item]), DRUGS),
        happened(nonsense, FOREIGN, at=NOON.replace(minute=0)),
        happened(
            CalculationLost(molecule_id=None, batch_id=DRUGS, attempt=1, error_message="gone"),
            FOREIGN,
        ),
    )
    lost = qforge_here("calculations", "list", "--status", "lost", "--json").stdout
    assert [each["name"] for each in json.loads(lost)] == ["my nonsense"]

    piped = qforge_here("calculations", "list", "--status", "failed").stdout.splitlines()
    reason = piped[0].split("\t").index("error_message")
    assert piped[1].split("\t")[reason] == "no convergence after 250 iterations"

    monkeypatch.setattr(console, "is_terminal", lambda _stream=None: True)
    shown = qforge_here("calculations", "list", "--status", "failed", env={"COLUMNS": "120"}).stdout
    assert "no convergence after 250" in " ".join(shown.split())
    assert "name" in shown.splitlines()[1]


def test_a_batch_is_shown_with_its_items_by_status(qforge_here: Qforge, engine: Engine) -> None:
    """The present status, whoever ran it, and why items have no result."""
    molecules = {ETHANOL: "CCO", BUTANE: "CCCC", WATER: "O"}
    items = [
        BatchItem(calculation_id=id_, molecule_id=molecule_id(DEFAULT_TENANT_ID, smiles, 0, 1))
        for id_, smiles in molecules.items()
    ]
    record(
        engine,
        *(created(smiles, at=NOON) for smiles in molecules.values()),
        started(ETHANOL, "CCO", at=NOON),
        completed(ETHANOL, "CCO"),
        happened(BatchStarted(name="drugs", parameters={}, total_count=3), DRUGS),
        happened(BatchItemsAdded(items=items), DRUGS),
        started(BUTANE, "CCCC", batch_id=DRUGS, at=NOON),
        failed(BUTANE, "CCCC"),
    )
    catch_up(engine, PROJECTIONS.values())

    told = json.loads(qforge_here("batches", "show", "drugs", "--json").stdout)
    assert told["statuses"] == {"pending": 1, "completed": 1, "failed": 1}
    (failure,) = told["without_result"]
    assert failure["error_message"] == "no convergence after 250 iterations"
    shown = qforge_here("batches", "show", str(DRUGS)[:8]).stdout
    assert "failed\t1" in shown
    assert "no convergence" in shown
    qforge_here("batches", "show", str(UUID(int=99, version=4)), status=1)


@pytest.mark.usefixtures("chemistry")
def test_a_molecule_is_found_by_smiles_id_or_prefix(qforge_here: Qforge) -> None:
    """And shown with its calculations, the latest first."""
    ethanol = str(molecule_id(DEFAULT_TENANT_ID, "CCO", 0, 1))

    for reference in ("CCO", ethanol, ethanol.upper(), ethanol[:8]):
        details = json.loads(qforge_here("molecules", "show", reference, "--json").stdout)
        assert details["molecule"]["id"] == ethanol
        assert [calculation["id"] for calculation in details["calculations"]] == [str(ETHANOL)]

    told = qforge_here("molecules", "show", "O").stdout
    assert told.index(str(WAITING)) < told.index(str(WATER))


@pytest.mark.usefixtures("chemistry")
def test_a_smiles_that_looks_like_an_id_is_a_smiles(qforge_here: Qforge) -> None:
    """CCCC is butane, and nothing else even where there is no butane."""
    details = json.loads(qforge_here("molecules", "show", "CCCC", "--json").stdout)
    assert details["molecule"]["smiles"] == "CCCC"

    qforge_here("molecules", "show", "CCCCCC", status=1)


def test_a_smiles_of_two_molecules_asks_which(qforge_here: Qforge, engine: Engine) -> None:
    """Singlet and triplet share a SMILES; the error gives the id of each."""
    record(engine, created("[CH2]"), created("[CH2]", multiplicity=3))
    catch_up(engine, PROJECTIONS.values())

    done = qforge_here("molecules", "show", "[CH2]", status=1)

    for multiplicity in (1, 3):
        assert str(molecule_id(DEFAULT_TENANT_ID, "[CH2]", 0, multiplicity)) in done.stderr
    assert "multiplicity 3" in done.stderr


@pytest.mark.usefixtures("chemistry")
def test_molecules_are_listed_newest_first(qforge_here: Qforge) -> None:
    """With the limit that was asked for."""
    found = json.loads(qforge_here("molecules", "list", "--limit", "2", "--json").stdout)

    assert [molecule["smiles"] for molecule in found] == ["CCCC", "CCO"]
    assert len(qforge_here("molecules", "list").stdout.splitlines()) == 4


@pytest.mark.usefixtures("chemistry")
def test_a_reader_is_told_that_its_table_lags_too_far(
    qforge_here: Qforge, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, until it is projected; events that the table does not read are no lag."""
    monkeypatch.setattr(refresh, "MOST_POSITIONS", 0)
    assert qforge_here("calculations", "list").stderr == ""

    record(engine, started(FOREIGN, "O"))
    for arguments in (("list",), ("show", str(WATER))):
        done = qforge_here("calculations", *arguments)
        assert len(done.stderr.splitlines()) == 1
        assert "qforge project --once" in done.stderr
    assert qforge_here("molecules", "list").stderr == ""

    qforge_here("project", "--once")
    assert qforge_here("calculations", "list").stderr == ""


def status_of(qforge: Qforge) -> dict[str, Any]:
    """Return what `status --json` says."""
    return dict(json.loads(qforge("status", "--json").stdout))


def test_status_of_an_empty_database_is_all_zero(qforge_here: Qforge) -> None:
    """Nothing is behind, nothing to do, no error."""
    status = status_of(qforge_here)

    assert status["head"] == {"safe": 0, "last_assigned": 0, "held_by": [], "ignored": []}
    assert status["events"] == {}
    assert {lag["projection"] for lag in status["lags"]} == set(PROJECTIONS)
    assert {(lag["positions"], lag["seconds"]) for lag in status["lags"]} == {(0, None)}
    assert set(status["queue"].values()) == {0}
    assert status["stale"] == []
    done = qforge_here("status")
    assert "safe head\t0" in done.stdout
    assert f"{len(PROJECTIONS)} of {len(PROJECTIONS)} projections are up to date" in done.stdout
    assert done.stderr == ""


def test_looking_at_a_database_never_migrated_is_one_clear_line(
    empty_database: Database, tmp_path: Path
) -> None:
    """Exit status 2, and the remedy."""
    qforge = command_line(tmp_path, DATABASE_URL=libpq_url(empty_database.url))

    done = qforge("status", status=2)

    assert done.stdout == ""
    assert done.stderr == "Error: the database was never migrated; run: qforge db upgrade\n"


@pytest.mark.usefixtures("chemistry")
def test_status_counts_events_and_queue(qforge_here: Qforge) -> None:
    """The whole log by type; the tenant's own calculations by status."""
    status = status_of(qforge_here)

    assert status["events"] == {
        "batch_started": 1,
        "calculation_completed": 3,
        "calculation_failed": 1,
        "calculation_requested": 1,
        "calculation_started": 4,
        "molecule_created": 4,
    }
    assert status["head"]["safe"] == status["head"]["last_assigned"] == 14
    assert status["queue"] == {
        "pending": 1,
        "running": 0,
        "completed": 2,
        "failed": 1,
        "lost": 0,
        "invalidated": 0,
    }
    assert status["health"]["is_ready"]
    assert "calculation_started\t4" in qforge_here("status").stdout


def test_status_tells_how_far_each_projection_is_behind(
    qforge_here: Qforge, engine: Engine
) -> None:
    """In positions for all, in seconds only for those that have something to fold."""
    record(engine, created("O"))
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_sleep(0.2)"))

    lags = {lag["projection"]: lag for lag in status_of(qforge_here)["lags"]}

    assert {lag["positions"] for lag in lags.values()} == {1}
    assert lags["molecules"]["seconds"] >= 0.2
    assert lags["calculations"]["seconds"] is None
    done = qforge_here("status")
    assert "qforge project --once" in done.stderr
    assert "behind" in done.stdout


def test_a_gap_left_by_a_rollback_is_no_lag_in_time(qforge_here: Qforge, engine: Engine) -> None:
    """Positions that will never exist are nothing to wait for."""
    with engine.connect() as connection:
        append(connection, [created("O")])
        connection.rollback()

    assert status_of(qforge_here)["head"] == {
        "safe": 1,
        "last_assigned": 1,
        "held_by": [],
        "ignored": [],
    }
    assert {lag["seconds"] for lag in status_of(qforge_here)["lags"]} == {None}
    assert qforge_here("molecules", "list").stderr == ""


def test_status_names_who_holds_the_head_back(qforge_here: Qforge, engine: Engine) -> None:
    """An append that hangs is found by process id, user, age and query, until it ends."""
    with engine.connect() as hanging:
        pid = hanging.scalar(text("SELECT pg_backend_pid()"))
        append(hanging, [created("O")])
        record(engine, created("CCO"))

        head = status_of(qforge_here)["head"]
        told = qforge_here("status").stdout

        assert (head["safe"], head["last_assigned"]) == (0, 2)
        (holder,) = head["held_by"]
        assert holder["pid"] == pid
        assert holder["user"] == engine.url.username
        assert holder["transaction_age"] >= 0
        assert "append_events" in holder["query"]
        assert f"held back by\tpid {pid}, user {holder['user']}, for " in told
        hanging.rollback()

    assert status_of(qforge_here)["head"] == {
        "safe": 2,
        "last_assigned": 2,
        "held_by": [],
        "ignored": [],
    }


@pytest.mark.usefixtures("chemistry")
def test_status_names_definitions_that_need_a_rebuild(qforge_here: Qforge, engine: Engine) -> None:
    """With the command to copy; afterwards they are gone from the list."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE projection_checkpoints SET fingerprint = 'old'"
                " WHERE projection = 'molecules'"
            )
        )

    assert status_of(qforge_here)["stale"] == ["molecules"]
    assert "qforge rebuild molecules" in qforge_here("status").stderr

    qforge_here("rebuild", "molecules")
    assert status_of(qforge_here)["stale"] == []
