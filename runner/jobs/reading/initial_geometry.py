"""The geometry that a run began with, found among the files of its folder."""

from functools import lru_cache

import msgspec
from msgspec.structs import replace

from quantum_forge.runner.engines.xtb.belonging import NamedGeometry
from quantum_forge.runner.engines.xtb.printed_geometry import coord_file, xyz_file
from quantum_forge.runner.engines.xtb.printout import Printout
from quantum_forge.runner.engines.xtb.reading import XtbRun
from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents
from quantum_forge.runner.jobs.reading.documents import Facts
from quantum_forge.runner.jobs.reading.folders import OPTIMISED
from quantum_forge.runner.jobs.reading.xtb_run import is_of_xtb
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.records import Input

_SMALL = 2**16
"""Bytes of a geometry that may be remembered: memory must not depend on what lies about."""


_NAMING_FILES = ("--path", "--input", "-I", "--restart", "--copy")
"""Options of xtb that are followed by the name of a file that is not the geometry."""


class InitialGeometry(msgspec.Struct, frozen=True, kw_only=True):
    """The geometry that a run began with.

    `file` is its file, or the one at fault. Without a geometry, `missing` says why there is none.
    `elsewhere` is the path by which the run names it, where that is in another folder.
    """

    record: Input | None = None
    file: str = "*.xyz"
    missing: str = ""
    elsewhere: str = ""

    @property
    def named(self) -> NamedGeometry | None:
        """The geometry and its file; None without one."""
        if self.record is None or self.record.geometry is None:
            return None
        return NamedGeometry(self.file, self.record.geometry)


def find_initial_geometry(
    contents: FolderContents, facts: Facts, run: XtbRun, *, moved: bool
) -> InitialGeometry:
    """Find the geometry that the run names, or else the documents, or else the only one there is.

    A file that the run itself wrote over (xtbopt.xyz, optimised again) is not what it began with.
    """
    printed = run.printout or Printout()
    call = printed.program_call or (run.dump.program_call if run.dump is not None else None)
    call = call or facts.conditions.command or ""
    there = contents.folder.geometries()
    path = printed.coordinate_file or _geometry_of_call(call, contents)
    by_run = _base(path)
    overwritten = moved and by_run in OPTIMISED
    for name in (by_run, _base(facts.xyz_file)):
        if name and contents.get(name) is not None and not (overwritten and name == by_run):
            read = _read_geometry(contents, name, by_xtb=is_of_xtb(run))
            is_elsewhere = name == by_run and _is_elsewhere(path, contents)
            return replace(read, elsewhere=path if is_elsewhere else "")
    if overwritten:
        return InitialGeometry(
            file=by_run, missing=f"the run overwrote {by_run}, with which it began"
        )
    if by_run:
        return InitialGeometry(
            file=by_run, missing=f"the run began with {by_run}, which is not in the folder"
        )
    wanted = _base(facts.xyz_file)
    if wanted or len(there) != 1:
        among = f": {', '.join(there[:5])}" if there else ""
        missing = (
            f"no geometry: {wanted or '*.xyz'} is missing or not read"
            if not there or wanted
            else f"it is unclear which of these is the geometry{among}"
        )
        return InitialGeometry(file=wanted or "*.xyz", missing=missing)
    return _read_geometry(contents, there[0], by_xtb=is_of_xtb(run))


def _base(path: str | None) -> str:
    return (path or "").rpartition("/")[2]


def _is_elsewhere(path: str, contents: FolderContents) -> bool:
    """Whether a path names a file in another folder, by all that can be seen of it."""
    directory = path.removeprefix("./").rpartition("/")[0]
    return bool(directory) and directory.rpartition("/")[2] != contents.folder.name


def _geometry_of_call(call: str, contents: FolderContents) -> str:
    """The only file among the words of a command line that can be its geometry."""
    words = call.split()[1:]
    before = ["", *words]
    found = {
        word
        for previous, word in zip(before, words, strict=False)
        if not word.startswith("-")
        and previous not in _NAMING_FILES
        and (word.endswith(".xyz") or contents.get(_base(word)) is not None)
    }
    return found.pop() if len(found) == 1 else ""


def _read_geometry(contents: FolderContents, name: str, *, by_xtb: bool) -> InitialGeometry:
    """Read a file as xtb does, whose comment may state more; or, `by_xtb` is false, as others do.

    Raises BrokenJob where it is not read, or where xtb and others read it differently and nothing
    says which did.
    """
    data = contents.get(name) or b""
    if not name.endswith(".xyz"):
        geometry = coord_file(data.decode("latin-1"))
        if geometry is None:
            return InitialGeometry(
                file=name, missing=f"{name} is not in a supported format: xyz or coord"
            )
        return InitialGeometry(file=name, record=Input(number=1, source=name, geometry=geometry))
    found = _remembered(data) if len(data) <= _SMALL else _first_frame(data)
    if found is None:
        raise BrokenJob(name, "is empty")
    plain = xyz_file(data.decode("utf-8", "replace"))
    if plain is not None and by_xtb:
        isotopes = () if found.geometry is None else found.geometry.isotopes
        if len(isotopes) == len(plain):
            plain = replace(plain, isotopes=isotopes)
        return InitialGeometry(file=name, record=replace(found, geometry=plain, error=None))
    if plain is not None and found.error is None and not _are_same(found.geometry, plain):
        raise BrokenJob(
            name,
            "must have its positions in Å in the first columns: xtb reads them so, whatever the "
            "comment says",
        )
    if found.error is not None:
        raise BrokenJob(name, found.error)
    return InitialGeometry(file=name, record=found)


def _are_same(one: Geometry | None, other: Geometry) -> bool:
    return one is not None and (one.numbers, one.positions) == (other.numbers, other.positions)


def _first_frame(data: bytes) -> Input | None:
    frame = next(xyz_frames(data.decode("utf-8", "replace").splitlines()), None)
    return None if frame is None else read_xyz(frame)


# The jobs of a molecule begin with one geometry, often, which is then read and hashed once.
_remembered = lru_cache(100)(_first_frame)
