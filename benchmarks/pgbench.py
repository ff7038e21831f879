"""What the server alone can do: pgbench sends the same rows to append_events and to a plain table.

A script appends a calculation's two events, each a transaction of its own. In pgbench `:name` is a
variable wherever it stands, so JSON is written with a space after each colon. Ids are UUIDs of
decimal digits: a counter first, so that they grow with time as UUIDv7 does, then random ones.
"""

import itertools
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy.engine import URL

from benchmarks.workload import COMPLETED, METADATA, STARTED, TENANT, USER
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.schema.language.event import Event

_EVENTS: Sequence[tuple[int, Event]] = ((1, STARTED), (2, COMPLETED))

_IDS = r"""
\set n :n + 1
\set entity random(1000000000000000, 9999999999999999)
\set event random(100000000000000, 999999999999999)
"""
_ENTITY = "0198-:n-7000-:entity"

_runs = itertools.count(1)


def _event_id(version: int) -> str:
    return f"0198-:n-7000-{version}:event"


def append_script() -> str:
    """Each event as JSON text to append_events."""
    calls = []
    for version, event in _EVENTS:
        document = _json(
            {
                "event_id": _event_id(version),
                "tenant_id": str(TENANT),
                "entity_type": event.entity_type,
                "entity_id": _ENTITY,
                "event_type": event.event_type,
                "schema_version": event.schema_version,
                "data": msgspec.to_builtins(event),
                "metadata": METADATA,
                "user_id": str(USER),
            }
        )
        calls.append(f"SELECT * FROM append_events('[{document}]');\n")
    return _IDS + "".join(calls)


def insert_script(table: str) -> str:
    """Each event as a plain INSERT of the same row."""
    return _IDS + "".join(
        f"INSERT INTO {table} (event_id, tenant_id, entity_type, entity_id, version, event_type,"
        " schema_version, data, metadata, user_id, occurred_at, recorded_at)"
        f" VALUES ('{_event_id(version)}', '{TENANT}', '{event.entity_type}', '{_ENTITY}',"
        f" {version}, '{event.event_type}', {event.schema_version},"
        f" '{_json(msgspec.to_builtins(event))}', '{_json(METADATA)}', '{USER}',"
        " clock_timestamp(), clock_timestamp());\n"
        for version, event in _EVENTS
    )


def plain_table(name: str) -> str:
    """SQL for an ordinary table with the log's columns and indexes, and nothing else.

    Neither its checks, nor its triggers, nor its partitions.
    """
    return f"""
        CREATE SEQUENCE {name}_id_seq;
        CREATE TABLE {name} (LIKE event_logs INCLUDING DEFAULTS INCLUDING INDEXES);
        ALTER TABLE {name} ALTER id SET DEFAULT nextval('{name}_id_seq');
    """


def pgbench(url: URL, script: Path, *, clients: int, seconds: int) -> float:
    """Run a script with so many clients; return how many events a second it appended."""
    command = [
        str(tool_path("pgbench")),
        "--no-vacuum",
        f"--file={script}",
        f"--client={clients}",
        f"--jobs={min(clients, 2)}",
        f"--time={seconds}",
        # Every run goes on counting where no other has been; eight digits.
        f"--define=n={10_000_000 + next(_runs) * 500_000}",
        f"--host={url.query['host']}",
        f"--port={url.query['port']}",
        f"--username={url.username}",
        str(url.database),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or found is None or "failed transactions: 0 " not in done.stdout:
        raise RuntimeError(f"pgbench failed: {done.stderr}{done.stdout}")
    return float(found[1]) * len(_EVENTS)


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode().replace("\n", "")
