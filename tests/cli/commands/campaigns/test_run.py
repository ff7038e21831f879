"""`qforge run` reads every kind of file, prints what a pipe can take, and says what is wrong."""

import gzip
import json
from pathlib import Path
from uuid import UUID

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from sqlalchemy import Engine

from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.runner.molecules.seeds import SEED
from quantum_forge.schema.domains.users import UserPreferencesChanged
from tests.conftest import Qforge
from tests.support.campaigns import counted, nci, rows, statuses, write

H2 = "2\n{comment}\nH 0 0 0\nH 0 0 0.74\n"


def test_every_kind_of_file_gives_the_same_molecule(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """.smi, .csv, .sdf and .xyz lead to one water with one charge and multiplicity."""
    water = Chem.AddHs(Chem.MolFromSmiles("O"))
    rdDistGeom.EmbedMolecule(water, randomSeed=1)
    write(tmp_path / "w.smi", ["O water"])
    write(tmp_path / "w.csv", ["id,SMILES,charge", "1,O,0"])
    (tmp_path / "w.sdf").write_text(Chem.MolToMolBlock(water) + "$$$$\n")
    (tmp_path / "w.xyz").write_text(Chem.MolToXYZBlock(water))

    for suffix in ("smi", "csv", "sdf", "xyz"):
        said = json.loads(qforge_here("run", f"w.{suffix}", "--json").stdout)
        assert (said["read"], said["completed"] + said["completed_before"]) == (1, 1), said

    (molecule,) = rows(engine, "molecules")
    assert (molecule["smiles"], molecule["charge"], molecule["multiplicity"]) == ("O", 0, 1)
    energies = [row["energy"] for row in rows(engine, "calculations")]
    assert all(abs(energy + 5.07) < 0.01 for energy in energies)


def test_an_impossible_charge_never_completes(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """H2 with five electrons too few fails as input; with three too many, physics refuses it."""
    (tmp_path / "h2.xyz").write_text(H2.format(comment="charge=5"))
    write(tmp_path / "h2.csv", ["smiles,charge", "[H][H],5", "[H-2][H-],-3", "[H][H],0"])

    qforge_here("run", "h2.xyz", status=1)
    qforge_here("run", "h2.csv", status=3)

    assert statuses(engine) == {"failed": 2, "invalidated": 1, "completed": 1}
    assert counted(engine)["calculation_completed"] == 1


def test_several_files_and_stdin_are_read_in_one_run(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """Each file has its batch, every file is read first, and the limit is of all together."""
    write(tmp_path / "a.smi", ["C methane", "CC ethane"])
    (tmp_path / "b.tsv").write_text("code\tstructure\nX1\tCCC\nX2\tC\n")
    (tmp_path / "c.smi.gz").write_bytes(gzip.compress(b"CCCC butane\n"))
    columns = ("--smiles-column", "Structure", "--name-column", "code")

    assert "b.tsv: no column" in qforge_here("run", "a.smi", "b.tsv", status=2).stderr
    assert counted(engine) == {}

    said = qforge_here("run", "a.smi", "c.smi.gz", "--json", "--limit", "2")
    (only,) = [json.loads(text) for text in documents(said.stdout)]
    assert (only["batch"], only["read"]) == ("a", 2)
    said = qforge_here("run", "a.smi", "c.smi.gz", "--json")
    first, second = (json.loads(text) for text in documents(said.stdout))
    assert (first["batch"], first["completed_before"]) == ("a", 2)
    assert (second["batch"], second["completed"]) == ("c.smi", 1)
    said = qforge_here(
        "run", "a.smi", "b.tsv", *columns, "--json"
    )  # the columns of those that have any
    again, table = (json.loads(text) for text in documents(said.stdout))
    assert again["completed_before"] == 2
    assert (table["completed"], table["completed_before"]) == (1, 1)
    assert "is a directory" in qforge_here("run", ".", status=2).stderr
    assert {row["name"] for row in rows(engine, "batch_item_names")} >= {"X1", "X2", "butane"}

    piped = [
        json.loads(qforge_here("run", "-", "--format", "csv", "--json", input=text).stdout)
        for text in ("smiles\nC\n", "smiles\nC\n", "smiles\nCC\n")
    ]
    assert {each["batch"] for each in piped} == {"stdin"}
    assert piped[0]["batch_id"] == piped[1]["batch_id"] != piped[2]["batch_id"]
    assert "--format" in qforge_here("run", "-", input="C\n", status=2).stderr
    empty = qforge_here("run", "-", "--format", "smi", input="", status=2).stderr
    assert "standard input: no molecules" in empty


def test_a_dry_run_says_what_a_run_would_do_and_records_nothing(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """To compute, there already, unreadable, repeated; also of several files together."""
    write(tmp_path / "some.smi", ["C", "CC"])
    write(tmp_path / "more.smi", ["C", "CCC", "CCC again", "not-a-smiles wrong"])
    qforge_here("run", "some.smi")
    before = counted(engine)

    told = json.loads(qforge_here("run", "more.smi", "--dry-run", "--json").stdout)
    assert told.pop("problems")[0]["kind"] == "unreadable"
    assert {name: told[name] for name in ("read", "to_compute", "completed_before")} == {
        "read": 4,
        "to_compute": 1,
        "completed_before": 1,
    }
    assert (told["unreadable"], told["duplicates"], told["dry_run"]) == (1, 1, True)
    shown = qforge_here("run", "more.smi", "some.smi", "--dry-run", "--seed", "7")
    titles = [line for line in shown.stdout.splitlines() if line.startswith("# ")]
    assert [title.split()[5] for title in titles] == ["more:", "some:"]
    assert "to compute\t2" in shown.stdout
    assert "duplicates\t1" in shown.stdout
    assert "input 4 (wrong): syntax error" in shown.stderr
    assert counted(engine) == before

    done = json.loads(qforge_here("run", "more.smi", "--json", status=3).stdout)
    assert (done["completed"], done["completed_before"], done["batch_id"]) == (
        1,
        1,
        told["batch_id"],
    )


def test_a_seed_makes_another_structure_and_another_calculation(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """It is recorded with the result; the usual one is no other calculation; xyz needs none."""
    write(tmp_path / "one.smi", ["CCCCO"])
    (tmp_path / "h2.xyz").write_text(H2.format(comment="h2"))

    for seed in ((), ("--seed", "7"), ("--seed", "7"), ("--seed", str(SEED))):
        qforge_here("run", "one.smi", *seed)
    qforge_here("run", "h2.xyz")
    again = json.loads(qforge_here("run", "h2.xyz", "--seed", "7", "--json").stdout)

    found = rows(engine, "calculations")
    butanol = [row for row in found if row["geometry_source"] is not None]
    assert sorted(row["conformer_seed"] or 0 for row in butanol) == [0, 7]
    assert len({row["xyz_sha256"] for row in butanol}) == 2
    assert (again["completed_before"], len(found)) == (1, 3)


def test_molecules_join_the_project_of_a_run(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """New ones and those that are in none; one in another project stays there, with a warning."""
    write(tmp_path / "first.smi", ["C"])
    write(tmp_path / "all.smi", ["C", "CC"])
    for name in ("Malaria", "Other"):
        qforge_here("record", "project_created", "--data", json.dumps({"name": name}))
    qforge_here("project", "--once")

    qforge_here("run", "first.smi")
    qforge_here("run", "all.smi", "--project", "Malaria")
    again = qforge_here("run", "all.smi", "--project", "Other")
    refused = qforge_here("run", "all.smi", "--project", "Malarai", status=1).stderr

    names = {row["id"]: row["name"] for row in rows(engine, "projects")}
    assert [names[row["project_id"]] for row in rows(engine, "molecules")] == ["Malaria"] * 2
    assert "belongs to another project and stays there" in again.stderr
    assert "did you mean Malaria?" in refused
    batches = {row["name"]: row["project_id"] for row in rows(engine, "batch_jobs")}
    assert names[batches["all"]] == "Other"
    assert batches["first"] is None
    assert counted(engine)["molecule_added_to_project"] == 1


def documents(stdout: str) -> list[str]:
    """The JSON documents that a command printed one after the other."""
    decoder, found, text = json.JSONDecoder(), [], stdout.strip()
    while text:
        _, end = decoder.raw_decode(text)
        found.append(text[:end])
        text = text[end:].lstrip()
    return found


def test_limit_batch_and_json_do_what_they_say(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """A script reads one JSON object; the batch has its name, the file only its first lines."""
    write(tmp_path / "few.smi", ["C", "CC", "not-a-smiles", "CCC"])

    done = qforge_here(*("run", "few.smi", "--limit", "3", "--batch", "monday", "--json"), status=3)

    said = json.loads(done.stdout)
    assert (said["batch"], said["read"], said["completed"], said["failed"]) == ("monday", 3, 2, 1)
    (problem,) = said["problems"]
    assert (problem["number"], problem["kind"]) == (3, "failed")
    (batch,) = rows(engine, "batch_jobs")
    assert (batch["name"], str(batch["id"])) == ("monday", said["batch_id"])


def test_in_a_pipe_the_table_is_plain_and_the_rest_goes_to_stderr(
    qforge: Qforge, tmp_path: Path
) -> None:
    """`qforge run … | cut -f2` works; progress and reasons are for whoever watches."""
    write(tmp_path / "few.smi", ["C", "not-a-smiles wrong"])

    done = qforge("run", "few.smi", status=3)

    assert done.stdout.splitlines()[:3] == ["outcome\tinputs", "read\t2", "completed\t1"]
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stderr
    assert "calculating: 2/2, 1 failed" in done.stderr
    assert "input 2 (wrong): syntax error" in done.stderr


def test_a_run_heeds_the_preferences_of_the_acting_user(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """Method and solvation, said in one line; an option wins, one that fits nothing is refused."""
    write(tmp_path / "m.smi", ["C methane"])
    # The first registered user, whom the login is linked to: the one that whoami shows
    register = ("users", "register", "ada", "--no-password", "--email", "ada@example.org")
    ada = UUID(qforge_here(*register).stdout.strip())
    author = Author(tenant_id=DEFAULT_TENANT_ID, user_id=ada)
    wished = UserPreferencesChanged(default_method="gfn1", default_solvation="ALPB(Water)")
    with engine.begin() as connection:
        append(connection, [author.new(ada, wished)])

    said = qforge_here("run", "m.smi")
    assert "By your preferences: method GFN1-xTB, solvent water.\n" in said.stderr
    given = qforge_here("run", "m.smi", "--method", "gfn2", "--solvent", "gas")
    assert "preferences" not in given.stderr
    found = {(row["method"], row["solvation_model"]) for row in rows(engine, "calculations")}
    assert found == {("GFN1-xTB", "ALPB(water)"), ("GFN2-xTB", None)}

    with engine.begin() as connection:
        append(
            connection,
            [author.new(ada, UserPreferencesChanged(default_method="B3LYP"))],
        )
    refused = qforge_here("run", "m.smi", status=2)
    assert "your preference default_method cannot be used: unknown method 'B3LYP'" in refused.stderr


def test_many_problems_are_cut_short_with_the_command_for_the_rest(
    qforge_here: Qforge, tmp_path: Path
) -> None:
    """A screen of reasons at most."""
    write(tmp_path / "bad.smi", [f"nonsense bad{number}" for number in range(13)])

    said = qforge_here("run", "bad.smi", status=1).stderr

    assert said.count("[failed, input_error]") == 10
    assert "… and 3 more: qforge calculations list --status failed" in said


def test_every_spelling_of_a_solvent_and_a_method_is_the_same_calculation(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """Five spellings of water made five calculations."""
    write(tmp_path / "one.smi", ["C"])
    spellings = [("gfn2", "h2o"), ("GFN2", "Water"), ("GFN2-xTB", "water"), ("2", "H2O")]

    said = [
        json.loads(
            qforge_here(
                *("run", "one.smi", "--json", "--method", method, "--solvent", solvent)
            ).stdout
        )
        for method, solvent in spellings
    ]

    assert [each["completed"] for each in said] == [1, 0, 0, 0]
    assert len({each["batch_id"] for each in said}) == 1
    (calculation,) = rows(engine, "calculations")
    assert (calculation["method"], calculation["solvation_model"]) == ("GFN2-xTB", "ALPB(water)")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("missing.smi",), "missing.smi: no such file"),
        (("here.doc",), "unknown type of file '.doc'"),
        (("empty.smi",), "no molecules in this file"),
        (("table.csv",), "no column named smiles; the columns are: a, b"),
        (("few.smi", "--solvent", "vodka"), "unknown solvent 'vodka'"),
        (("few.smi", "--solvent", "chlorofrom"), "did you mean chloroform?"),
        (("few.smi", "--method", "gfn3"), "the methods are GFN2-xTB"),
        (("few.smi", "--solvent", "water", "--method", "ipea1"), "has no solvation model"),
    ],
)
def test_what_the_user_can_correct_is_one_line_and_status_2(
    qforge_here: Qforge, engine: Engine, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    """Nothing is recorded of a run that cannot begin."""
    write(tmp_path / "few.smi", nci(2))
    write(tmp_path / "here.doc", ["C"])
    (tmp_path / "empty.smi").touch()
    write(tmp_path / "table.csv", ["a,b", "1,2"])

    done = qforge_here("run", *arguments, status=2)

    (line,) = done.stderr.splitlines()
    assert line.startswith("Error:")
    assert reason in line
    assert done.stdout == ""
    assert counted(engine) == {}


def test_without_rdkit_help_works_and_run_says_what_to_install(
    qforge: Qforge, tmp_path: Path
) -> None:
    """The database half of the program does not need the chemistry half."""
    fake = tmp_path / "fake" / "rdkit"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise ModuleNotFoundError('no', name='rdkit')\n")
    write(tmp_path / "few.smi", ["C"])
    without = {"PYTHONPATH": str(fake.parent)}

    assert "Run xTB on the molecules" in qforge("run", "--help", env=without).stdout
    said = qforge("run", "few.smi", env=without, status=2).stderr

    assert said == "Error: rdkit is not installed: pip install 'quantum-forge[xtb]'\n"
