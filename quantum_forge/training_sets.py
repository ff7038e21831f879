"""The front door to training sets: export, reproduction, comparison."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine

from quantum_forge.datasets.difference import DatasetDifference, compare
from quantum_forge.datasets.export import export_file
from quantum_forge.datasets.formats import format_named
from quantum_forge.datasets.manifest import Manifest, Recipe, read_manifest
from quantum_forge.datasets.reproduction import Reproduction, reproduce
from quantum_forge.datasets.selection import Selection
from quantum_forge.datasets.units import parse_units
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.moments import Moment, moment_of, position_of
from quantum_forge.projections.queries import lookup


class Door(Protocol):
    """What a training set needs of a forge; each raises `ForgeClosed` after it was closed."""

    author: Author

    @property
    def engine(self) -> Engine:
        """Of the database."""

    def connect(self) -> AbstractContextManager[Connection]:
        """Lend a connection."""


class Datasets:
    """Training sets of a tenant; `Forge.datasets` makes it."""

    def __init__(self, forge: Door) -> None:
        self._forge = forge

    def export(
        self,
        path: Path | str,
        *,
        where: Sequence[str] = (),
        batch: str | None = None,
        as_of: Moment | None = None,
        format: str = "parquet",
        units: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        name: str | None = None,
        replace: bool = False,
    ) -> Manifest:
        """Write completed calculations to a file and its manifest beside it; record the export.

        Args:
            path: of the file; both files appear whole or not at all.
            where: conditions such as "gap>2", in the units in which the tables store.
            batch: only items of this batch: its name, its id, or the beginning of its id.
            as_of: a moment, as for `Forge.as_of`; None: the end of the log.
            format: parquet, csv, jsonl, extxyz, sdf or hdf5.
            units: of energies and lengths, such as "ev,angstrom"; those of the format unless given.
            order: with a limit, the column whose smallest values come first; "-gap": the largest.
            limit: at most so many calculations.
            name: of the dataset; the name of the file without its ending unless given.
            replace: a file that is there already.

        Raises:
            TargetExists, TargetBusy, TargetUnwritable: of the file.
            UnknownSelection, UnknownFormat, UnknownUnit, MissingLibrary: of an argument.
            NeedsPrimary: on a standby, where the export cannot be recorded.
            NotFound, Ambiguous: of the batch. BeyondHead, WrongMoment: of the moment.
        """
        path = Path(path)
        format_ = format_named(format)
        author = self._forge.author
        with self._forge.connect() as connection:
            moment = moment_of(as_of)
            position = position_of(connection, moment)
            batch_id: UUID | msgspec.UnsetType = msgspec.UNSET
            if batch is not None:
                batch_id = lookup.find_batch(connection, author.tenant_id, batch)["id"]
        column = None if order is None else order.removeprefix("-")
        recipe = Recipe(
            name=name or path.stem,
            tenant_id=author.tenant_id,
            position=position,
            selection=Selection(
                where=list(where),
                order=column,
                descending=order != column,
                limit=limit,
                batch_id=batch_id,
            ),
            format=format_.name,
            units=format_.units if units is None else parse_units(units),
        )
        return export_file(
            self._forge.engine,
            recipe,
            path,
            as_of=moment.isoformat() if isinstance(moment, datetime) else None,
            replace=replace,
            author=author,
        )

    def reproduce(
        self, manifest: Path | str | Manifest, *, output: Path | None = None, replace: bool = False
    ) -> Reproduction:
        """Make a dataset again from its manifest, and compare the content.

        Args:
            manifest: it, its file, or the dataset beside which the file is.
            output: where to write the dataset; None: compare the hash of the content only.
            replace: a file that is there already.

        Raises:
            NotReproduced: when the content differs; it says what is known of the reason.
            BadManifest, OtherTenantsDataset, BeyondHead, LogDiverged: when it cannot be made.
        """
        return reproduce(
            self._forge.engine,
            _manifest(manifest),
            self._forge.author,
            output=output,
            replace=replace,
        )

    def diff(
        self,
        before: Path | str | Manifest,
        after: Path | str | Manifest | None = None,
        *,
        limit: int | None = 50,
    ) -> DatasetDifference:
        """Compare two datasets, or one with what its query gives now.

        Args:
            before: the manifest of the one, as for `reproduce`.
            after: of the other; None: the same query at the end of the log.
            limit: how many differing rows to return; they are counted all.

        Raises:
            BadManifest, OtherTenantsDataset, BeyondHead, LogDiverged
        """
        other = None if after is None else _manifest(after)
        engine, author = self._forge.engine, self._forge.author
        return compare(engine, _manifest(before), other, author, limit=limit)


def _manifest(given: Path | str | Manifest) -> Manifest:
    return given if isinstance(given, Manifest) else read_manifest(Path(given))
