"""Files that a run is given, read to their end before anything is recorded."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from msgspec import structs

from quantum_forge.runner.campaign.plan import source_of
from quantum_forge.runner.inputs.formats import FORMATS
from quantum_forge.runner.inputs.standard_input import copied

if TYPE_CHECKING:  # RDKit, which the readers need, may not be installed
    from quantum_forge.runner.inputs.files import MoleculeFile, Reading


class Given(NamedTuple):
    """A file that was read to its end, the name of its own batch, and what identifies it."""

    file: "MoleculeFile"
    name: str
    source: str


def read_all(
    stack: contextlib.ExitStack, paths: Sequence[Path], limit: int | None, reading: "Reading"
) -> list[Given]:
    """Read every file, before anything is recorded; at most `limit` molecules of all together.

    Of standard input, the content identifies it: the same content continues its batch. The names of
    columns are for those files that have columns, if any has.
    """
    from quantum_forge.runner.inputs.files import MoleculeFile, has_columns

    some_have_columns = any(has_columns(path, reading) for path in paths)
    given: list[Given] = []
    left = limit
    for path in dict.fromkeys(paths):
        if left == 0:
            break
        if str(path) == "-":
            if reading.format is None:
                raise click.UsageError(
                    f"- is standard input: add --format, one of {', '.join(FORMATS)}"
                )
            copy = stack.enter_context(copied(sys.stdin.buffer))
            of_it = structs.replace(reading, called="standard input")
            name, source, path = "stdin", f"stdin, SHA-256 {copy.sha256}", copy.path
        else:
            name, source, of_it = path.stem, source_of(path), reading
        if some_have_columns and not has_columns(path, of_it):
            of_it = structs.replace(of_it, smiles_column=None, name_column=None)
        file = MoleculeFile(path, limit=left, reading=of_it, keeps=len(paths) == 1)
        given.append(Given(file, name, source))
        left = None if left is None else left - file.total
    return given
