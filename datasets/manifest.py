"""Manifest of an export: what is needed to make the same content again."""

import platform
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from quantum_forge.datasets.selection import Selection
from quantum_forge.datasets.units import STORED, Units
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.place import Place

SUFFIX = ".manifest.json"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a dataset: the same recipe always gives the same rows."""

    name: str
    tenant_id: UUID
    position: int
    selection: Selection
    format: str
    units: Units = STORED

    def about(self) -> dict[str, Any]:
        """What a file tells of itself, for those who lose its manifest."""
        about: dict[str, Any] = msgspec.to_builtins(self)
        return about


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its name without the folder, its size in bytes, the SHA-256 of its bytes."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset and where it came from.

    as_of: the moment that was asked for; None: the end of the log. recorded_at: of the last event
    at or below the position. place: of the tenant's last event there, which tells this log from
    another one; None in older manifests. excluded: how many calculations were left out, by reason.
    content_sha256: of the rows, whatever the format (datasets/content.py); column_sha256: of each
    column. programs: how many rows each program computed. settings: how many rows have each method,
    solvent, level and program, with an empty text for none; empty in older manifests. software:
    versions that can decide the bytes of a file. definitions: fingerprints of the projections.
    column_units: the unit of each column that has one.
    """

    manifest_version: int = 1
    recipe: Recipe
    as_of: str | None
    recorded_at: datetime | None
    place: Place | None = None
    created_at: datetime
    rows: int
    atoms: int
    excluded: dict[str, int]
    content_sha256: str
    column_sha256: dict[str, str]
    file: Written | None
    programs: dict[str, int]
    software: dict[str, str]
    definitions: dict[str, str]
    column_units: dict[str, str]
    settings: dict[str, dict[str, int]] = {}

    def encoded(self) -> bytes:
        """The manifest as its file has it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class BadManifest(QuantumForgeError):
    """A file is no manifest that this program can read."""

    exit_status = 2

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is not the manifest of an export ({reason}); give the file that "
            f"`qforge dataset export` wrote beside the dataset, NAME{SUFFIX}"
        )


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file; the dataset's own path will do where the manifest is beside it.

    Raises:
        BadManifest
    """
    beside = beside_of(path)
    if not path.name.endswith(SUFFIX) and beside.exists():
        path = beside
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadManifest(path, reason or str(error)) from error
    if manifest.manifest_version != 1:
        raise BadManifest(path, f"its version is {manifest.manifest_version}, from a newer program")
    return manifest


def beside_of(path: Path) -> Path:
    """Return the path of the manifest of a dataset's file."""
    return path.with_name(path.name + SUFFIX)


@cache
def software_versions() -> dict[str, str]:
    """The versions of what can decide the bytes of a file; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in ("quantum-forge", "pyarrow", "h5py", "rdkit", "msgspec", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
