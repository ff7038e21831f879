"""A manifest gives the same content again, whatever has happened, and tells what has changed."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, func, select

from quantum_forge.datasets.difference import DatasetDifference, compare
from quantum_forge.datasets.export import export_file, export_stream
from quantum_forge.datasets.formats import FORMATS
from quantum_forge.datasets.manifest import BadManifest, Manifest, Recipe, beside_of, read_manifest
from quantum_forge.datasets.reproduction import NotReproduced, OtherTenantsDataset, reproduce
from quantum_forge.datasets.selection import Selection
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.place import BeyondHead, LogDiverged
from quantum_forge.eventstore.log.read import Filter, read_all, safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.audit import DataExported
from quantum_forge.schema.domains.calculations import CalculationInvalidated
from quantum_forge.schema.domains.molecules import MoleculeDeleted, MoleculeUpdated
from quantum_forge.schema.tables import event_logs
from tests.conftest import Qforge
from tests.support.chemical_history import happened, record
from tests.support.training_set import METHODS, MOLECULES, RETRACTION, bad, calculation_of, good

USER = UUID(int=5, version=4)
AUTHOR = Author(tenant_id=DEFAULT_TENANT_ID, user_id=USER)


@pytest.fixture
def march(engine: Engine, tmp_path: Path) -> Manifest:
    """The manifest of an export of the training set as it began."""
    record(engine, *good(), *bad())
    return exported(engine, tmp_path / "march.parquet")


def exported(engine: Engine, path: Path, format_: str = "parquet", *where: str) -> Manifest:
    """Export what there is now."""
    with engine.connect() as connection:
        position = safe_head(connection)
    recipe = Recipe(
        name=path.stem,
        tenant_id=DEFAULT_TENANT_ID,
        position=position,
        selection=Selection(where=list(where)),
        format=format_,
        units=FORMATS[format_].units,
    )
    return export_file(engine, recipe, path, author=AUTHOR)


def life_goes_on(engine: Engine) -> None:
    """One result is retracted, a molecule deleted, another renamed, and one added."""
    first, second, third = MOLECULES[:3]
    added = msgspec.structs.replace(first, smiles="CCCO", name="propanol")
    retracted = CalculationInvalidated(
        molecule_id=first.id,
        batch_id=None,
        reason="a bug",
        was_completed=True,
        retraction_id=RETRACTION,
    )
    new = [
        msgspec.structs.replace(event, entity_id=entity_id, event_id=uuid4())
        for event, entity_id in zip(
            good()[:3], [added.id, *[calculation_of(added, METHODS[0])] * 2], strict=True
        )
    ]
    created = msgspec.structs.replace(new[0].event, smiles="CCCO")
    facts = [msgspec.structs.replace(event.event, molecule_id=added.id) for event in new[1:]]
    record(
        engine,
        happened(retracted, calculation_of(first, METHODS[0])),
        happened(MoleculeDeleted(), second.id),
        happened(MoleculeUpdated(name="azanium"), third.id),
        *(
            msgspec.structs.replace(event, event=payload)
            for event, payload in zip(new, [created, *facts], strict=True)
        ),
    )


def test_every_format_is_made_again_byte_by_byte_after_everything_changed(
    engine: Engine, march: Manifest, tmp_path: Path
) -> None:
    """New events, projecting and a rebuild change nothing of what was."""
    # Given: an export in each format, after which life goes on and tables are made anew
    then = {name: exported(engine, tmp_path / f"then.{name}", name) for name in FORMATS}
    life_goes_on(engine)
    catch_up(engine, PROJECTIONS.values())
    rebuild(engine, PROJECTIONS["calculations"])

    for name, manifest in then.items():
        # When: it is made again
        again = tmp_path / f"again.{name}"
        done = reproduce(engine, manifest, AUTHOR, output=again)

        # Then: it is the same file
        assert (done.same_bytes, done.differences) == (True, [])
        assert again.read_bytes() == (tmp_path / f"then.{name}").read_bytes()
        assert manifest.rows == march.rows

    # While an export of today is another
    hashed = reproduce(engine, then["csv"], AUTHOR).manifest.content_sha256
    assert hashed == then["csv"].content_sha256
    now = exported(engine, tmp_path / "now.csv", "csv")
    assert now.content_sha256 != hashed


def test_a_difference_tells_what_was_added_changed_removed_and_why(
    engine: Engine, march: Manifest, tmp_path: Path
) -> None:
    """Against another manifest and against now."""
    life_goes_on(engine)
    april = exported(engine, tmp_path / "april.parquet")

    for found in (
        compare(engine, march, april, AUTHOR),
        compare(engine, march, None, AUTHOR),
    ):
        assert (found.added, found.removed, found.changed) == (1, 2, 1)
        assert found.removed_because == {"molecule_deleted": 1, "retracted": 1}
        assert found.reasons == {
            str(calculation_of(MOLECULES[0], METHODS[0])): "retracted",
            str(calculation_of(MOLECULES[1], METHODS[0])): "molecule_deleted",
        }
        (changed,) = [change for change in found.examples if change.columns]
        assert changed.key["calculation_id"] == calculation_of(MOLECULES[2], METHODS[0])
        assert changed.columns == ["name"]

    backward = compare(engine, april, march, AUTHOR)
    assert (backward.added, backward.removed, backward.changed) == (2, 1, 1)
    same = compare(engine, march, march, AUTHOR)
    assert (same.added, same.removed, same.changed, same.examples) == (0, 0, 0, [])
    narrower = exported(engine, tmp_path / "narrower.parquet", "parquet", "gap>=3")
    assert compare(engine, april, narrower, AUTHOR).removed_because == {"not_asked_for": 3}


def test_rows_and_differences_agree(engine: Engine, march: Manifest, tmp_path: Path) -> None:
    """Counted from the files themselves."""
    life_goes_on(engine)
    april = exported(engine, tmp_path / "april.parquet")
    rows = [
        {row.pop("calculation_id"): row for row in pq.read_table(tmp_path / name).to_pylist()}
        for name in ("march.parquet", "april.parquet")
    ]

    found: DatasetDifference = compare(engine, march, april, AUTHOR)

    before, after = rows
    assert found.added == len(after.keys() - before.keys())
    assert found.removed == len(before.keys() - after.keys())
    assert found.changed == sum(before[id_] != after[id_] for id_ in before.keys() & after.keys())


def test_another_content_is_refused_with_what_differs(
    engine: Engine, march: Manifest, tmp_path: Path
) -> None:
    """Rows, reasons, columns, versions; and nothing is written."""
    other = msgspec.structs.replace(
        march,
        content_sha256="0" * 64,
        rows=6,
        excluded={},
        column_sha256={**march.column_sha256, "energy": "?"},
        software={**march.software, "pyarrow": "1.0"},
        definitions={**march.definitions, "molecules": "?"},
    )
    with pytest.raises(NotReproduced) as refused:
        reproduce(engine, other, AUTHOR, output=tmp_path / "again.parquet")

    told = " ".join(refused.value.differences)
    assert "had 6 rows and has 7" in told
    assert "left out as failed was none and is 1" in told
    assert "the columns energy" in told
    assert "pyarrow was 1.0" in told
    assert "the definition of molecules was ?" in told
    assert not (tmp_path / "again.parquet").exists()


def test_other_bytes_of_the_same_content_are_told_with_the_versions(
    engine: Engine, march: Manifest, tmp_path: Path
) -> None:
    """A library that writes another file is named."""
    assert march.file is not None
    other = msgspec.structs.replace(
        march,
        file=msgspec.structs.replace(march.file, sha256="0" * 64),
        software={**march.software, "pyarrow": "1.0"},
    )
    done = reproduce(engine, other, AUTHOR, output=tmp_path / "again.parquet")

    assert done.same_bytes is False
    assert [told.partition(" and is ")[0] for told in done.differences] == ["pyarrow was 1.0"]


def test_a_manifest_of_another_log_or_tenant_is_refused(engine: Engine, march: Manifest) -> None:
    """With what to do."""
    beyond = msgspec.structs.replace(march.recipe, position=10**6)
    with pytest.raises(BeyondHead):
        reproduce(engine, msgspec.structs.replace(march, recipe=beyond), AUTHOR)
    assert march.place is not None
    other = msgspec.structs.replace(march.place, event_id=uuid4())
    of_another_log = msgspec.structs.replace(march, place=other)
    with pytest.raises(LogDiverged, match=f"at position {other.position}"):
        reproduce(engine, of_another_log, AUTHOR)
    with pytest.raises(LogDiverged, match=f"at position {other.position}"):
        compare(engine, of_another_log, None, AUTHOR)
    stranger = Author(tenant_id=uuid4())
    for act in (
        lambda: reproduce(engine, march, stranger),
        lambda: compare(engine, march, None, stranger),
    ):
        refused: Callable[[], Any] = act
        with pytest.raises(OtherTenantsDataset, match="QFORGE_TENANT_ID"):
            refused()


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\xff", '{"manifest_version": 2}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    """With what to give."""
    path = tmp_path / "x.manifest.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(BadManifest, match="manifest"):
        read_manifest(path)


def test_an_export_is_an_event(engine: Engine, march: Manifest, tmp_path: Path) -> None:
    """Who, what, how many rows, where to; also of what left before the reader had enough."""

    class Closed:
        def write(self, _: bytes) -> None:
            raise BrokenPipeError

    recipe = msgspec.structs.replace(march.recipe, format="csv")
    with pytest.raises(BrokenPipeError):
        export_stream(engine, recipe, Closed(), author=AUTHOR)  # type: ignore[arg-type]  # a pipe

    with engine.connect() as connection:
        whole, broken = read_all(connection, where=Filter(types=["data_exported"]))
    assert whole.user_id == USER
    assert isinstance(whole.event, DataExported)
    assert whole.event.what == "dataset march"
    assert whole.event.row_count == march.rows
    assert whole.event.content_sha256 == march.content_sha256
    assert whole.event.position == march.recipe.position
    assert whole.event.destination == str(tmp_path / "march.parquet")
    assert isinstance(broken.event, DataExported)
    assert (broken.event.row_count, broken.event.content_sha256) == (0, None)


def test_the_commands_tell_what_the_set_of_last_march_contained(
    engine: Engine, march: Manifest, qforge_here: Qforge, tmp_path: Path
) -> None:
    """Export as of a moment, go on, reproduce, compare; all by names of files."""
    with engine.connect() as connection:
        recorded = connection.scalar(select(func.max(event_logs.c.recorded_at)))
    assert recorded is not None
    moment = (recorded + timedelta(milliseconds=1)).isoformat()
    life_goes_on(engine)
    then = qforge_here("dataset", "export", "then", "--as-of", moment)
    assert "position" in then.stderr
    assert read_manifest(tmp_path / "then.parquet").content_sha256 == march.content_sha256

    again = qforge_here("dataset", "reproduce", "then.parquet", "--output", "again.parquet")
    assert "byte by byte" in again.stdout
    only_hash = json.loads(qforge_here("dataset", "reproduce", "then.parquet", "--json").stdout)
    assert only_hash["manifest"]["content_sha256"] == march.content_sha256
    beside = beside_of(tmp_path / "then.parquet")
    changed = beside.read_text().replace(march.content_sha256, "0" * 64)
    beside.with_name("changed.json").write_text(changed)
    refused = qforge_here("dataset", "reproduce", "changed.json", status=1)
    assert "differs from the original" in refused.stderr

    found = qforge_here("dataset", "diff", "then.parquet")
    assert "1 added, 2 removed (1 molecule_deleted, 1 retracted), 1 changed" in found.stderr
    assert "retracted" in found.stdout
    as_json = json.loads(qforge_here("dataset", "diff", "then.parquet", "--json").stdout)
    assert as_json["removed_because"] == {"molecule_deleted": 1, "retracted": 1}
