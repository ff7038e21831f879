"""Exported events come back with their ids and times, once, and bad lines are named."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from quantum_forge.eventstore.base.errors import EventIdReused
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.files import exported as exported_module
from quantum_forge.eventstore.files.exported import UnreadableExport, read_exported
from quantum_forge.eventstore.files.lines import BadLine
from quantum_forge.eventstore.log.load import EncodedEvent, load
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import Qforge, _fresh
from tests.support.campaigns import chemistry
from tests.support.chemical_history import completed, created, failed, record, started

HISTORY = (
    created("O"),
    started(UUID(int=1), "O"),
    completed(UUID(int=1), "O"),
    created("CC"),
    started(UUID(int=2), "CC"),
    failed(UUID(int=2), "CC"),
)


@pytest.fixture
def exported(engine: Engine, qforge_here: Qforge, tmp_path: Path) -> list[dict[str, Any]]:
    """Events of a log, as the command line prints them; the file is log.jsonl."""
    record(engine, *HISTORY)
    printed = qforge_here("events", "list", "--json", "--limit", "1000").stdout
    (tmp_path / "log.jsonl").write_text(printed)
    return [json.loads(line) for line in printed.splitlines()]


@pytest.fixture
def elsewhere(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Database]:
    """Another log, without events."""
    yield from _fresh(server, administrator, template=template)


@pytest.fixture
def there(qforge_here: Qforge, elsewhere: Database) -> Qforge:
    """Run the command line against that log."""

    def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return qforge_here(*arguments, env={"DATABASE_URL": libpq_url(elsewhere.url)}, **more)

    return run


def facts(engine: Engine) -> list[dict[str, Any]]:
    """Everything of every event but where and when this log recorded it."""
    with engine.connect() as connection:
        return [
            {
                "event_id": event.event_id,
                "stream": event.stream,
                "version": event.version,
                "event_type": event.event_type,
                "schema_version": event.schema_version,
                "data": event.data,
                "metadata": event.metadata,
                "user_id": event.user_id,
                "occurred_at": event.occurred_at,
            }
            for event in read_all(connection)
        ]


def as_parquet(events: list[dict[str, Any]], path: Path) -> None:
    columns = {name: [event.get(name) for event in events] for name in events[0]}
    for name in ("data", "metadata"):
        columns[name] = [json.dumps(value) for value in columns[name]]
    table = pa.table(columns)
    times = pa.timestamp("us", tz="UTC")
    for name in ("occurred_at", "recorded_at"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(times))
    pq.write_table(table, path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_exported_log_is_the_same_log_elsewhere(
    engine: Engine, qforge_here: Qforge, elsewhere: Database, there: Qforge, suffix: str
) -> None:
    """`qforge events export`, then `qforge import events`: ids, versions, authors and times."""
    record(engine, *HISTORY)
    before = facts(engine)

    qforge_here("events", "export", f"whole{suffix}")
    there("import", "events", f"whole{suffix}")

    assert facts(elsewhere.engine) == before


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_was_exported_comes_back_as_it_was_and_once(
    engine: Engine,
    exported: list[dict[str, Any]],
    elsewhere: Database,
    there: Qforge,
    tmp_path: Path,
    suffix: str,
) -> None:
    before, tables = facts(engine), chemistry(engine)
    if suffix == ".parquet":
        as_parquet(exported, tmp_path / "log.parquet")

    first = there("import", "events", f"log{suffix}", "--json")
    second = there("import", "events", f"log{suffix}", "--json")

    assert json.loads(first.stdout)["appended"] == len(before)
    assert json.loads(second.stdout) == {
        "appended": 0,
        "repeated": len(before),
        "invalid": 0,
        "problems": [],
    }
    assert facts(elsewhere.engine) == before
    assert chemistry(elsewhere.engine) == tables


def test_bad_lines_are_named_and_nothing_is_imported_unless_asked(
    exported: list[dict[str, Any]], elsewhere: Database, there: Qforge, tmp_path: Path
) -> None:
    unknown = {**exported[1], "event_type": "molecule_evaporated"}
    lines = [json.dumps(exported[0]), "{not json", json.dumps(unknown), json.dumps(exported[3])]
    (tmp_path / "bad.jsonl").write_text("\n".join(lines))

    refused = there("import", "events", "bad.jsonl", status=1)

    assert "line 2" in refused.stderr
    assert "line 3" in refused.stderr
    assert "molecule_evaporated" in refused.stderr
    assert facts(elsewhere.engine) == []
    skipped = there("import", "events", "bad.jsonl", "--skip-invalid", status=3)
    assert "imported\t2" in skipped.stdout
    assert len(facts(elsewhere.engine)) == 2


def test_an_id_with_other_content_is_refused(
    engine: Engine, exported: list[dict[str, Any]], tmp_path: Path
) -> None:
    created = next(e for e in exported if e["event_type"] == "molecule_created")
    created["data"]["name"] = "another name"
    (tmp_path / "changed.jsonl").write_text(json.dumps(created))

    events = [e for e in read_exported(tmp_path / "changed.jsonl") if isinstance(e, EncodedEvent)]

    assert len(events) == 1
    with pytest.raises(EventIdReused):
        load(engine, events)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("log.csv", b"", "unknown type of file"),
        ("nowhere.jsonl", None, "no such file"),
        ("log.parquet", b"PAR1 not really", "not a readable Parquet"),
    ],
)
def test_what_is_no_export_is_one_clear_error(
    qforge_here: Qforge, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    said = qforge_here("import", "events", name, status=2)

    assert reason in said.stderr


def test_a_table_without_the_columns_of_events_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"smiles": ["C"]}), tmp_path / "molecules.parquet")

    with pytest.raises(UnreadableExport, match="event_id"):
        list(read_exported(tmp_path / "molecules.parquet"))


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_arbitrary_bytes_are_bad_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(b"\n".join(lines))

    found = list(read_exported(path))

    assert all(isinstance(line, BadLine) for line in found)
    assert len(found) == sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))


def test_row_groups_are_read_one_after_the_other(tmp_path: Path) -> None:
    """What was read of a Parquet file is given up again: memory does not grow with the file."""
    path = tmp_path / "many.parquet"
    names = ["event_id", "tenant_id", "entity_type", "entity_id", "event_type", "data"]
    with pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in names])) as writer:
        for number in range(100):
            columns = [[f"{number}" + token_hex(50_000)] for _ in names]
            writer.write_table(pa.table(columns, names=names))

    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in read_exported(path)]

    assert len(held) == 100
    assert max(held) < path.stat().st_size / 10


def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path: Path) -> None:
    """Windows programs begin a text with one."""
    line = b'{"event_id": "7"}\n'
    (tmp_path / "a.jsonl").write_bytes(line)
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + line)

    without, with_mark = (list(read_exported(tmp_path / name)) for name in ("a.jsonl", "b.jsonl"))

    assert list(map(str, with_mark)) == list(map(str, without))


def _bomb(path: Path, *, use_dictionary: bool) -> None:
    """A file of some kB whose one row group has 40 times 2 MB."""
    names = ["event_id", "tenant_id", "entity_type", "entity_id", "event_type", "data"]
    columns = [["x"] * 40 for _ in names[:-1]] + [["x" * 2**21] * 40]
    pq.write_table(
        pa.table(columns, names=names), path, compression="zstd", use_dictionary=use_dictionary
    )
    assert path.stat().st_size < 50_000


def test_a_file_that_inflates_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that is written once is in memory once; a row group has a limit, which is named."""
    path = tmp_path / "bomb.parquet"
    _bomb(path, use_dictionary=True)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in read_exported(path)]
    assert len(held) == 40
    assert max(held) < 20 * 2**20

    _bomb(path, use_dictionary=False)
    monkeypatch.setattr(exported_module, "LARGEST_ROW_GROUP", 2**25)
    with pytest.raises(UnreadableExport, match=r"row group 0 has .* and the limit is 33,554,432"):
        list(read_exported(path))
