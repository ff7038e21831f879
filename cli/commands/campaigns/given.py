"""Files that a run is given, read to their end before anything is recorded."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from msgspec import structs

from quantum_forge.cli.show import console
from quantum_forge.runner.campaign.plan import source_of
from quantum_forge.runner.inputs.formats import FORMATS
from quantum_forge.runner.inputs.standard_input import copied

if TYPE_CHECKING:  # RDKit, which the readers need, may not be installed
    from quantum_forge.runner.inputs.files import MoleculeFile, Reading


MB = 10**6

LARGE = 20 * MB
"""Bytes from which on reading a file takes long enough to be shown."""


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
        with _reading(path, of_it.called or path.name) as on_read:
            file = MoleculeFile(
                path, limit=left, reading=of_it, keeps=len(paths) == 1, on_read=on_read
            )
        given.append(Given(file, name, source))
        left = None if left is None else left - file.total
    return given


@contextlib.contextmanager
def _reading(path: Path, name: str) -> Iterator[Callable[[int], object]]:
    """Show how much of a large file has been read, in MB; of a small one nothing."""
    size = path.stat().st_size if path.is_file() else 0
    if size < LARGE:
        yield lambda _: None
        return
    with console.progress(f"reading {name}, in MB", size // MB, counts_failures=False) as report:
        left = 0

        def on_read(more: int) -> None:
            nonlocal left
            whole, left = divmod(left + more, MB)
            if whole:
                report(whole)

        yield on_read
