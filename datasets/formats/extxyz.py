"""Extended XYZ, as ASE reads it: a frame for each calculation."""

import json
import re
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from quantum_forge.datasets.columns import OF_CALCULATIONS
from quantum_forge.datasets.formats.writer import Header

_COMMENT_COLUMNS = [column for column in OF_CALCULATIONS if column.name != "completed_at"]
_NAMES = {"dipole": "dipole_norm"}


class ExtxyzFile:
    """Energy and forces where ASE's calculators have them; the rest as `info` and `arrays`.

    The dipole is `dipole_norm`, for ASE's own is a vector. Partial charges are the array
    `partial_charges`; a number that one atom lacks is nan.
    """

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = file
        units = {
            f"{column.name}_unit": header.units.of(column.quantity)
            for column in _COMMENT_COLUMNS
            if column.quantity is not None and column.name in ("energy", "gap", "dipole")
        }
        units["length_unit"] = header.units.length or "angstrom"
        self._units = "".join(f" {name}={_comment_value(unit)}" for name, unit in units.items())

    def write(self, batch: pa.RecordBatch) -> None:
        """Add frames."""
        frames = [self._frame(row) for row in batch.to_pylist()]
        self._file.write("".join(frames).encode())

    def close(self) -> None:
        """Add nothing."""

    def _frame(self, row: dict[str, Any]) -> str:
        columns: list[list[Any]] = [row["elements"], row["positions"]]
        properties = "species:S:1:pos:R:3"
        if row["forces"] is not None:
            properties += ":forces:R:3"
            columns.append(row["forces"])
        if row["partial_charges"] is not None:
            properties += ":partial_charges:R:1"
            columns.append([[charge] for charge in row["partial_charges"]])
        values = "".join(
            f" {_NAMES.get(column.name, column.name)}={_comment_value(row[column.name])}"
            for column in _COMMENT_COLUMNS
            if row[column.name] is not None
        )
        lines = [
            " ".join([element, *(_number(value) for part in parts for value in part)])
            for element, *parts in zip(*columns, strict=True)
        ]
        completed_at = _comment_value(row["completed_at"].isoformat())
        head = f"Properties={properties}{values} completed_at={completed_at}"
        return f'{len(lines)}\n{head}{self._units} pbc="F F F"\n' + "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "nan" if value is None else repr(value)


def _comment_value(value: Any) -> str:
    r"""A value of the comment line, so written that ASE reads the same one.

    ASE takes F, true, 0.4 and 1,2 for other things than texts, and \\ for an escape; what follows
    _JSON it takes as it stands.
    """
    if not isinstance(value, str):
        return repr(value)
    words = re.findall(r"[^\s,]+", value)
    if any(map(_is_word, words)) and value.isprintable() and not value.startswith("_JSON"):
        return _quoted(value)
    return _quoted("_JSON " + json.dumps(value))


def _is_word(word: str) -> bool:
    """Whether a text in which it stands is a text to ASE, too."""
    try:
        float(word)
    except ValueError:
        return word not in ("T", "F", "true", "false", "True", "False", "TRUE", "FALSE")
    return False


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'
