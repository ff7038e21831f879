"""The log leaves as a file that another log takes in: complete, in order, with ids and times."""

import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.files.export import UnknownKind, export_events
from quantum_forge.eventstore.files.exported import read_exported
from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.eventstore.log.read import Filter, read_all, safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.schema.domains.audit import DataExported
from tests.conftest import Qforge
from tests.support.appending import append_and_commit, small_event
from tests.support.chemical_history import created, record
from tests.support.training_set import bad, good

AUTHOR = Author(tenant_id=DEFAULT_TENANT_ID, user_id=uuid4())


def in_log(engine: Engine, **bounds: Any) -> list[tuple[Any, ...]]:
    """What the log holds, as far as another log keeps it."""
    with engine.connect() as connection:
        return [
            (e.event_id, e.entity_id, e.event_type, e.user_id, e.occurred_at, e.data, e.metadata)
            for e in read_all(connection, **bounds)
        ]


def in_file(path: Path) -> list[tuple[Any, ...]]:
    """What a file holds, as the importer reads it."""
    import msgspec

    read = list(read_exported(path))
    assert all(isinstance(event, EncodedEvent) for event in read)
    return [
        (
            e.event_id,
            e.entity_id,
            e.event_type,
            e.user_id,
            e.occurred_at,
            msgspec.json.decode(e.data),
            msgspec.json.decode(e.metadata),
        )
        for e in read
        if isinstance(e, EncodedEvent)
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_ranges_follow_each_other_without_gap_or_repetition(
    engine: Engine, tmp_path: Path, suffix: str
) -> None:
    """The first range, what came since, and nothing twice; each export is an event itself."""
    record(engine, *good())
    first = export_events(engine, tmp_path / f"first.{suffix}", AUTHOR, upto=7)
    record(engine, *bad())
    second = export_events(engine, tmp_path / f"second.{suffix}", AUTHOR, after=first.upto)

    files = [in_file(tmp_path / f"{name}.{suffix}") for name in ("first", "second")]
    assert files[0] + files[1] == in_log(engine, upto=second.upto)
    assert (first.events, second.events) == tuple(map(len, files))
    assert first.upto == 7
    with engine.connect() as connection:
        exports = read_all(connection, where=Filter(types=["data_exported"]))
        events = [export.event for export in exports]
    assert [e.row_count for e in events if isinstance(e, DataExported)] == [7, second.events]


def test_parquet_has_every_field_of_the_log(engine: Engine, tmp_path: Path) -> None:
    """Positions, versions and both times, too."""
    record(engine, *good())
    export_events(engine, tmp_path / "log.parquet", AUTHOR)
    rows = pq.read_table(tmp_path / "log.parquet").to_pylist()

    with engine.connect() as connection:
        events = list(read_all(connection, upto=len(good())))
    for row, event in zip(rows, events, strict=True):
        assert row["position"] == event.position
        assert row["version"] == event.version
        assert row["recorded_at"] == event.recorded_at
        assert row["data"].encode() == bytes(event.raw_data)


def test_an_export_is_of_a_tenant_a_type_and_a_time(engine: Engine, tmp_path: Path) -> None:
    """As asked for."""
    other = uuid4()
    record(engine, *good(), created("O", tenant_id=other))
    path = tmp_path / "log.jsonl"
    kinds = Filter(types=["molecule_created"], tenant_id=other)
    assert export_events(engine, path, AUTHOR, where=kinds).events == 1
    assert in_file(path)[0][2] == "molecule_created"
    with pytest.raises(UnknownKind):
        export_events(engine, tmp_path / "log.txt", AUTHOR)


def test_an_event_that_is_being_appended_is_left_for_the_next_export(
    engine: Engine, tmp_path: Path
) -> None:
    """What is exported is complete: it ends at the safe head."""
    from quantum_forge.eventstore.log.append import append

    append_and_commit(engine, small_event())
    with engine.connect() as slow:
        append(slow, [small_event()])
        append_and_commit(engine, small_event())
        done = export_events(engine, tmp_path / "log.jsonl", AUTHOR)
        assert (done.events, done.upto) == (1, 1)
        slow.commit()
    with engine.connect() as connection:
        head = safe_head(connection)
    again = export_events(engine, tmp_path / "rest.jsonl", AUTHOR, after=done.upto, upto=head)
    assert again.events == 3  # the slow one, the quick one, and the export


def test_the_command_exports_what_another_log_imports(
    qforge_here: Qforge, engine: Engine, database: Database, tmp_path: Path
) -> None:
    """Into a file or a pipe, that may be closed."""
    record(engine, *good())
    said = qforge_here("events", "export", "log.jsonl")
    assert "--after" in said.stderr
    assert "exists already" in qforge_here("events", "export", "log.jsonl", status=2).stderr
    lines = qforge_here("events", "export", "-", "--upto", "3").stdout.splitlines()
    listed = qforge_here("events", "list", "--json", "--limit", "1000").stdout.splitlines()
    assert lines == listed[:3]
    again = qforge_here("import", "events", "log.jsonl", "--json").stdout
    assert f'"repeated":{len(good())}' in again

    piped = subprocess.run(
        f"{sys.executable} -m quantum_forge.cli.main events export - | true",
        shell=True,
        env={"DATABASE_URL": libpq_url(database.url), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in piped.stderr
    assert "Error" not in piped.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--type", "molecule_created"],
        ["--type", "molecule_created", "--type", "calculation_completed"],
        ["--since", "2020-01-01", "--until", "2100-01-01"],
        ["--all-tenants"],
        ["--tenant", str(DEFAULT_TENANT_ID)],
        ["--after", "1", "--upto", "3", "--type", "molecule_created"],
    ],
)
def test_an_export_with_any_filter_is_recorded(
    qforge_here: Qforge, engine: Engine, options: list[str]
) -> None:
    """With the filter as it was stated, of a file and of stdout."""
    record(engine, *good())

    qforge_here("events", "export", "log.jsonl", *options)
    qforge_here("events", "export", "-", *options)

    with engine.connect() as connection:
        exports = [
            event.data["parameters"]["where"]
            for event in read_all(connection, where=Filter(types=[DataExported.event_type]))
        ]
    assert len(exports) == 2
    types = [value for name, value in pairwise(options) if name == "--type"]
    assert [where["types"] for where in exports] == [types or None] * 2


def test_nothing_leaves_of_an_export_that_cannot_be_recorded(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither into a stream nor into a file."""
    record(engine, *good())
    monkeypatch.setattr(
        "quantum_forge.eventstore.files.export.msgspec.to_builtins", lambda _: float("nan")
    )
    stream = io.BytesIO()
    path = tmp_path / "log.jsonl"

    for to in (stream, path):
        with pytest.raises(EventRefused):
            export_events(engine, to, AUTHOR)

    assert stream.getvalue() == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["audit", "--csv", "--action", "molecule_created", "--action", "data_exported"],
        ["audit", "--json", "--since", "2020-01-01", "--until", "2100-01-01"],
        ["audit", "--json", "--entity", str(uuid4())],
        ["dataset", "export", "a", "--format", "csv", "--where", "gap>2", "--where", "energy<0"],
        ["dataset", "export", "a", "--format", "jsonl", "--order", "gap", "--limit", "1"],
        ["dataset", "export", "a", "--units", "ev,bohr"],
    ],
)
@pytest.mark.parametrize("to", [[], ["--output", "-"]])
def test_other_exports_with_any_filter_are_recorded(
    qforge_here: Qforge, engine: Engine, command: list[str], to: list[str]
) -> None:
    """As one of the log itself is."""
    if to and (command[0] == "audit" or "--format" not in command):
        pytest.skip("is written to stdout always, or is not text")
    record(engine, *good())

    qforge_here(*command, *to)

    with engine.connect() as connection:
        kinds = Filter(types=[DataExported.event_type])
        assert len(list(read_all(connection, where=kinds))) == 1
