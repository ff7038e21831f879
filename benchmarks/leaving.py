"""Data out: a training set as Parquet, and the whole database as a backup that comes back."""

import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from benchmarks.measure import Comparison, compare, say
from benchmarks.server import BenchmarkServer, connected
from benchmarks.workload import COMPLETED, METADATA, NOON, STARTED, TENANT, USER
from quantum_forge.datasets.export import export_file
from quantum_forge.datasets.manifest import Recipe
from quantum_forge.datasets.selection import EVERYTHING
from quantum_forge.eventstore.archive.backup import restore_backup, write_backup
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.log.load import EncodedEvent, load
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import Atom
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id
from quantum_forge.schema.language.event import Event

ATOMS = 25
"""Of each molecule, as drugs have."""

_COUNTING = "c.status = 'completed'"
_CALCULATIONS = f"""
    SELECT c.id, c.molecule_id, m.smiles, m.name, m.formula, m.inchikey, c.charge, c.multiplicity,
           m.molecular_weight, c.method, c.solvation_model, c.optimization_level, c.program,
           c.program_version, c.energy, c.homo, c.lumo, c.gap, c.dipole, c.convergence_status,
           c.xyz_sha256, c.completed_at, c.last_position
      FROM calculations AS c
      JOIN molecules AS m ON m.tenant_id = c.tenant_id AND m.id = c.molecule_id
     WHERE {_COUNTING} ORDER BY c.last_position
"""
_ATOMS = f"""
    SELECT a.calculation_id, a.atom_index, a.element, a.atomic_number, a.partial_charge,
           a.position_x, a.position_y, a.position_z, a.force_x, a.force_y, a.force_z
      FROM atomic_properties AS a
      JOIN calculations AS c ON c.tenant_id = a.tenant_id AND c.id = a.calculation_id
     WHERE {_COUNTING}
"""


def export_parquet(server: BenchmarkServer, calculations: int, rounds: int) -> Comparison:
    """Rows of calculations and atoms a second, against COPY of both by psql, atoms in any order."""
    with server.database() as url, connected(url) as engine, _folder() as folder:
        _fill(engine, calculations)
        with engine.connect() as connection:
            position = safe_head(connection)
        recipe = Recipe(
            name="benchmark",
            tenant_id=TENANT,
            position=position,
            selection=EVERYTHING,
            format="parquet",
        )
        rows = calculations * (1 + ATOMS)

        def ours() -> float:
            began = time.perf_counter()
            done = export_file(engine, recipe, folder / "set.parquet", replace=True)
            elapsed = time.perf_counter() - began
            if done.rows + done.atoms != rows:
                raise RuntimeError(f"{done.rows} rows and {done.atoms} atoms are not {rows}")
            return rows / elapsed

        def reference() -> float:
            began = time.perf_counter()
            copied = sum(
                _copied(url, query, folder / name)
                for query, name in ((_CALCULATIONS, "calculations.csv"), (_ATOMS, "atoms.csv"))
            )
            if copied != rows:
                raise RuntimeError(f"{copied} rows were copied, not {rows}")
            return rows / (time.perf_counter() - began)

        return compare(
            "export_parquet",
            unit="rows/s",
            target=0.7,
            ours=ours,
            reference=reference,
            rounds=rounds,
        )


def restore(server: BenchmarkServer, calculations: int, rounds: int) -> Comparison:
    """Events backed up and restored a second, against pg_dump and pg_restore as they come."""
    with server.database() as url, _folder() as folder:
        with connected(url) as engine:
            _fill(engine, calculations)
            events = 3 * calculations

        def ours() -> float:
            with server.database(template="template0") as empty:
                began = time.perf_counter()
                with connected(url) as engine, connected(empty) as there:
                    write_backup(engine, folder / "ours.dump", replace=True)
                    restored = restore_backup(there, folder / "ours.dump")
                elapsed = time.perf_counter() - began
            if restored.events != events:
                raise RuntimeError(f"{restored.events} events were restored, not {events}")
            return events / elapsed

        def reference() -> float:
            with server.database(template="template0") as empty:
                began = time.perf_counter()
                dump = folder / "theirs.dump"
                _run("pg_dump", "--format=custom", f"--file={dump}", libpq_url(url))
                _run("pg_restore", "--exit-on-error", f"--dbname={libpq_url(empty)}", str(dump))
                return events / (time.perf_counter() - began)

        return compare(
            "restore",
            unit="events/s",
            target=0.95,
            ours=ours,
            reference=reference,
            rounds=rounds,
        )


def _fill(engine: Engine, calculations: int) -> None:
    load(engine, _events(calculations))
    catch_up(engine, PROJECTIONS.values())
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))
    say(f"{calculations:,} calculations with {ATOMS} atoms each are there")


def _events(calculations: int) -> Iterator[EncodedEvent]:
    numbers = random.Random(1)
    metadata = msgspec.json.encode(METADATA)

    def number() -> float:
        return round(numbers.gauss(0, 1), 12)

    for index in range(calculations):
        smiles = f"C{index}"
        molecule = molecule_id(TENANT, smiles, 0, 1)
        calculation = uuid5(molecule, "GFN2-xTB")
        created = MoleculeCreated(
            smiles=smiles,
            charge=0,
            multiplicity=1,
            formula="C9H11NO4",
            molecular_weight=197.19,
            generation_method="imported",
            toolkit="RDKit",
            toolkit_version="2026.03",
            name=f"molecule {index}",
        )
        atoms = [
            Atom("CHNOH"[at % 5], (6, 1, 7, 8, 1)[at % 5], *(number() for _ in range(7)))
            for at in range(ATOMS)
        ]
        facts: list[tuple[UUID, Event]] = [
            (molecule, created),
            (calculation, msgspec.structs.replace(STARTED, molecule_id=molecule)),
            (
                calculation,
                msgspec.structs.replace(
                    COMPLETED, molecule_id=molecule, energy=-40 + number(), atoms=atoms
                ),
            ),
        ]
        for entity, event in facts:
            yield EncodedEvent(
                event_id=uuid7(),
                tenant_id=TENANT,
                entity_type=event.entity_type,
                entity_id=entity,
                event_type=event.event_type,
                data=msgspec.json.encode(event),
                metadata=metadata,
                user_id=USER,
                occurred_at=NOON,
            )


def _copied(url: URL, query: str, file: Path) -> int:
    copy = f"\\copy ({' '.join(query.split())}) TO '{file}' WITH (FORMAT csv)"
    done = _run("psql", "--no-psqlrc", f"--command={copy}", libpq_url(url))
    return int(done.removeprefix("COPY "))


def _run(program: str, *arguments: str) -> str:
    command = [str(tool_path(program)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qforge-bench-out-") as name:
        yield Path(name)
