"""What COPY alone can do: psql sends a file of rows to a plain table."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.engine import URL

from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.eventstore.server.binaries import tool_path

_COLUMNS = (
    "event_id, tenant_id, entity_type, entity_id, version, event_type, schema_version, data,"
    " metadata, user_id, occurred_at, recorded_at"
)


def write_rows(file: Path, events: Iterable[EncodedEvent]) -> None:
    """Write events as rows of COPY's text format; those of a stream follow each other."""
    version, stream = 0, None
    with file.open("w", encoding="utf-8") as rows:
        for event in events:
            version = version + 1 if event.entity_id == stream else 1
            stream = event.entity_id
            fields = (
                event.event_id,
                event.tenant_id,
                event.entity_type,
                event.entity_id,
                version,
                event.event_type,
                event.schema_version,
                event.data.decode(),
                event.metadata.decode(),
                event.user_id,
                event.occurred_at,
                event.occurred_at,
            )
            rows.write("\t".join(str(field).replace("\\", r"\\") for field in fields) + "\n")


def copy_rows(url: URL, table: str, file: Path) -> int:
    """Copy the rows of a file into a table; return their number."""
    command = [
        str(tool_path("psql")),
        "--no-psqlrc",
        f"--host={url.query['host']}",
        f"--port={url.query['port']}",
        f"--username={url.username}",
        f"--dbname={url.database}",
        f"--command=\\copy {table} ({_COLUMNS}) FROM '{file}'",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.removeprefix("COPY "))
