"""The formats there are: their files' names, their units, the order of their rows."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO

import msgspec

from quantum_forge.datasets.formats.writer import Header, Open, Writer
from quantum_forge.datasets.selection import Sequence
from quantum_forge.datasets.units import STORED, Units
from quantum_forge.eventstore.base.errors import MissingLibrary, QuantumForgeError
from quantum_forge.eventstore.base.suggestion import suggestion

__all__ = ["FORMATS", "Format", "Header", "Writer", "format_named"]


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format.

    target: its writer, as module:class, imported when it is needed. is_text: it can go to stdout.
    units: in which its readers expect numbers. libraries: the packages that decide its bytes.
    extra: what to install where one of them is missing.
    """

    name: str
    suffix: str
    target: str
    is_text: bool
    libraries: tuple[str, ...]
    units: Units = STORED
    sequence: Sequence = Sequence.AS_COMPLETED
    extra: str = ""

    def open(self, header: Header, file: IO[bytes], path: Path | None) -> Writer:
        """Begin a file.

        Raises:
            MissingLibrary
        """
        module, _, name = self.target.partition(":")
        try:
            writer: Callable[..., Writer] = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in self.libraries:
                raise
            raise MissingLibrary(self.name, error.name, self.extra) from error
        opened: Open = writer
        return opened(header, file, path)


_TEXT = "quantum_forge.datasets.formats.text"
FORMATS = {
    format_.name: format_
    for format_ in (
        Format(
            name="parquet",
            suffix=".parquet",
            target="quantum_forge.datasets.formats.parquet:ParquetFile",
            is_text=False,
            libraries=("pyarrow",),
        ),
        Format(name="csv", suffix=".csv", target=f"{_TEXT}:CsvFile", is_text=True, libraries=()),
        Format(
            name="jsonl",
            suffix=".jsonl",
            target=f"{_TEXT}:JsonLinesFile",
            is_text=True,
            libraries=("msgspec",),
        ),
        Format(
            name="extxyz",
            suffix=".extxyz",
            target="quantum_forge.datasets.formats.extxyz:ExtxyzFile",
            is_text=True,
            libraries=(),
            units=Units("ev", "angstrom"),
        ),
        Format(
            name="sdf",
            suffix=".sdf",
            target="quantum_forge.datasets.formats.sdf:SdfFile",
            is_text=True,
            libraries=("rdkit",),
            extra="xtb",
        ),
        Format(
            name="hdf5",
            suffix=".h5",
            target="quantum_forge.datasets.formats.spice:SpiceFile",
            is_text=False,
            libraries=("h5py",),
            units=Units("hartree", "bohr"),
            sequence=Sequence.BY_MOLECULE,
            extra="hdf5",
        ),
    )
}


class UnknownFormat(QuantumForgeError):
    """There is no format of that name."""

    exit_status = 2

    def __init__(self, name: str) -> None:
        every = f"the formats are {', '.join(FORMATS)}"
        super().__init__(f"no format {name!r}; {suggestion(name, FORMATS, otherwise=every)}")


def format_named(name: str) -> Format:
    """The format of this name.

    Raises:
        UnknownFormat
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(name) from None
