"""The geometry of one calculation, with its results, in a format of datasets."""

import io
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, select

from quantum_forge.datasets.columns import arrow_schema
from quantum_forge.datasets.formats import Format, Header
from quantum_forge.datasets.rows import Rows
from quantum_forge.datasets.selection import (
    Excluded,
    Selection,
    Sequence,
    select_candidates,
    select_judged,
)
from quantum_forge.eventstore.base.errors import QuantumForgeError


class NoGeometry(QuantumForgeError):
    """A calculation has no result with atoms, or there is no such calculation."""

    def __init__(self, calculation_id: UUID, reason: str | None) -> None:
        self.reason = reason
        why = "there is no such calculation" if reason is None else f"it is {reason}"
        if reason == Excluded.NO_ATOMS:
            why = "its result has no atoms"
        elif reason == Excluded.MOLECULE_DELETED:
            why = "its molecule was deleted"
        super().__init__(f"calculation {calculation_id} has no geometry: {why}")


class Geometry(msgspec.Struct, frozen=True):
    """A calculation as a row of a dataset: its results and its atoms, in the units of a format."""

    format: Format
    schema: pa.Schema
    rows: tuple[pa.RecordBatch, ...]

    @property
    def position(self) -> int:
        """The position in the log of the event that completed it."""
        found: list[Any] = self.rows[0].column("log_position").to_pylist()
        return int(found[0])

    def written(self) -> bytes:
        """Return it as the content of a file.

        Raises:
            MissingLibrary, UnwritableRecord.
        """
        file = io.BytesIO()
        writer = self.format.open(Header(self.schema, self.format.units, {}, records=1), file, None)
        try:
            for batch in self.rows:
                writer.write(batch)
        finally:
            writer.close()
        return file.getvalue()


def read_geometry(
    connection: Connection, tenant_id: UUID, calculation_id: UUID, format_: Format
) -> Geometry:
    """Return the geometry of a completed calculation, as the tables have it now.

    Args:
        connection: that reads the tables and the log.
        tenant_id: whose calculation.
        calculation_id: which one.
        format_: in whose units its numbers are.

    Raises:
        NoGeometry: when there is no such calculation, or a dataset would leave it out.
        UnreadableAtoms
    """
    selection = Selection(where=[f"calculation_id={calculation_id}"])
    judged = select_judged(select_candidates(connection, tenant_id, None), selection)
    found = connection.execute(select(judged.c.reason)).one_or_none()
    if found is None or found.reason is not None:
        raise NoGeometry(calculation_id, None if found is None else found.reason)
    schema = arrow_schema(format_.units, {})
    rows = Rows(connection, judged, Sequence.AS_COMPLETED, format_.units, schema)
    batches = tuple(rows)
    if not batches:
        raise NoGeometry(calculation_id, Excluded.NO_ATOMS)
    return Geometry(format_, schema, batches)
