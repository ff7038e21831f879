"""One job from its files: which molecule, which settings, which geometry, and how it ended.

Geometry, charge, spin, method and solvent are those of what the run itself wrote. Where two of its
files contradict each other, or whoever ran it, the job is there and does not count: `refused` has
both values.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from quantum_forge.runner.engines.failures import Failure, classify
from quantum_forge.runner.engines.physics import refusal
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.xtb.axes import is_gradient_doubtful
from quantum_forge.runner.engines.xtb.belonging import MOVING, Belonging, NamedGeometry, belonging
from quantum_forge.runner.engines.xtb.dump import decoded_json
from quantum_forge.runner.engines.xtb.printed_geometry import coord_file, topology_file, xyz_file
from quantum_forge.runner.engines.xtb.printout import Printout
from quantum_forge.runner.engines.xtb.reading import (
    ENERGY_TOLERANCE,
    FILE_TOLERANCE,
    XtbRun,
    read_run,
    result_of,
)
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.jobs.contents import BrokenJob, FolderContents, SkippedJob
from quantum_forge.runner.jobs.documents import Facts, read_documents
from quantum_forge.runner.jobs.folders import (
    CHARGES,
    DUMP,
    ENERGY,
    ENGRAD,
    GRADIENT,
    METADATA,
    OPTIMISED,
    RESULTS,
    STDERR,
    STDOUT,
    TOPOLOGY,
)
from quantum_forge.runner.jobs.settings import USUAL_METHOD, JobSettings, job_settings
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.records import Input, shown
from quantum_forge.schema.domains.calculations import ErrorType

USUAL_TIMEOUT = 3600.0
"""Seconds; an event must have one, and an ended job does not need it."""

_SUPPLEMENTED = (
    *("homo", "lumo", "gap", "dipole", "charges", "gradient", "gradient_norm"),
    *("scf_iterations", "optimization_cycles"),
)
"""What documents add where the files of xtb do not have it and the energy is the same."""

_SMALL = 2**16
"""Bytes of a geometry that may be remembered: memory must not depend on what lies about."""

_SCF_ERROR = re.compile(r"-\d+- scf: .*did not converge")
"""How xtb names the function of an error, and the error."""

_NAMING_FILES = ("--path", "--input", "-I", "--restart", "--copy")
"""Options of xtb that are followed by the name of a file that is not the geometry."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder tells of one calculation that has ended.

    `source` is the molecule as it was given, with the charge and multiplicity asked for.
    `geometry` is the one that the result belongs to. Exactly one of `result` and `failure` is
    there; `refused` is why the result does not count: its files contradict each other, its geometry
    is not there, or physics does not accept it. `notes` tell what was disregarded.
    """

    job_id: str
    sha256: str
    source: Input
    geometry: Geometry | None
    began: datetime
    ended: datetime
    method: str
    solvation_model: str | None
    optimization_level: str | None
    program: str
    program_version: str
    timeout_seconds: float
    result: Result | None = None
    failure: Failure | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()
    stderr_log: str = ""

    @property
    def charge(self) -> int:
        """In e; 0 unless told otherwise."""
        return self.source.charge or 0

    @property
    def multiplicity(self) -> int | None:
        """2S + 1, where the job tells."""
        return self.source.multiplicity


def read_job(contents: FolderContents) -> Job:
    """Return what a folder tells.

    Raises BrokenJob when a file that
    matters cannot be read or is missing, SkippedJob when there is no result to import.
    """
    metadata = _document(contents, METADATA)
    results = _document(contents, RESULTS)
    facts = read_documents(metadata or {}, results or {})
    run = _run(contents)
    if metadata is None and results is None and not _is_of_xtb(run):
        raise SkippedJob("not of xtb")
    if facts.status == "cancelled":
        raise SkippedJob("was cancelled")
    failed = facts.status == "failed" or facts.succeeded is False
    if facts.status == "open" and not failed and facts.energy is None and run.energy is None:
        raise SkippedJob("has not ended")
    why = (facts.error if failed else None) or run.failure or ("failed" if failed else None)
    is_cut = run.is_unfinished and (facts.energy is None or bool(run.stdout_log.strip()))
    if why is None and run.energy is None and is_cut:
        raise BrokenJob(
            contents.called(*contents.logs),
            "stops before it states an energy, and nothing shows that the other files are of the "
            "same run",
        )
    if why is None and run.energy is None and facts.energy is None:
        missing = metadata is not None and results is None and run.printout is None
        raise BrokenJob(
            RESULTS if missing or results is not None else contents.called(*contents.logs),
            "is missing" if missing else "states no energy",
        )
    settings = job_settings(contents, facts, run)
    moved = _moved(run, settings)
    given = _given(contents, facts, run, moved=moved)
    topology = _topology(contents, run)
    place = belonging(
        run,
        moved=moved,
        log=contents.called(*contents.logs),
        optimised=contents.called(*OPTIMISED),
        given=given.named,
        missing=given.missing,
        topology=topology,
    )
    source = _source(contents, facts, settings, given, place)
    began, ended = _times(contents, facts, run)
    version = run.version or facts.program_version or "unknown"
    notes = [f"{note.file} {note.reason}" for note in run.notes]
    job = Job(
        job_id=facts.job_id or _storable(contents.folder.name),
        sha256=contents.sha256,
        source=source,
        geometry=source.geometry if place.geometry is None else place.geometry,
        began=began,
        ended=ended,
        method=settings.method or USUAL_METHOD,
        solvation_model=settings.solvation_model,
        optimization_level=settings.optimization_level,
        program=facts.program or "xtb",
        program_version=version,
        timeout_seconds=facts.timeout_seconds
        if facts.timeout_seconds and 0 < facts.timeout_seconds < 1e9
        else USUAL_TIMEOUT,
        stderr_log=run.stderr_log,
    )
    if why is not None:
        error = EngineError(why, stdout_log=run.stdout_log, scf_iterations=0)
        failure = _failure(error, run.stdout_log + run.stderr_log)
        return replace(job, failure=failure, notes=tuple(notes))
    if job.geometry is None:
        raise BrokenJob(given.file, place.reason or given.missing)
    told = run.printout or Printout()
    if told.other_energy is not None:
        notes.append(
            f"{contents.called(*contents.logs)} ends with the energy of another species, "
            f"{told.other_energy} Eh; the molecule has {told.energy} Eh"
        )
    result = _with_right_gradient(_result(job, facts, run, notes), job, run, settings, notes)
    refused = (
        "; ".join(_contradictions(settings, place, source, job.geometry))
        or (_two_energies(facts) if run.energy is None else None)
        or place.reason
        or settings.undetermined
        or (None if moved else _without_witness(run, given, topology))
        or _of_another_energy(told)
        or _refusal(job, result)
    )
    return replace(job, result=result, refused=refused, notes=tuple(notes))


def _contradictions(
    settings: JobSettings, place: Belonging, source: Input, geometry: Geometry
) -> list[str]:
    """Each a sentence with both values."""
    found = list(settings.contradictions)
    if place.contradiction is not None:
        found.append(place.contradiction)
    given = source.geometry
    if given is not None and given.composition() != geometry.composition():
        found.append("the run began with other atoms than its result has")
    return found


def _two_energies(facts: Facts) -> str | None:
    """Two energies of the documents that differ, in a sentence; xtb's own files outweigh them."""
    for (path, one), (other_path, other) in zip(facts.energies, facts.energies[1:], strict=False):
        if abs(one - other) > ENERGY_TOLERANCE:
            return f"the energy is {one!r} Eh in {path}, and {other!r} Eh in {other_path}"
    return None


def _of_another_energy(told: Printout) -> str | None:
    """Why an energy of xtb is not that of the method at a geometry; None where it is."""
    if told.restraint is not None and abs(told.restraint) > FILE_TOLERANCE:
        return f"the energy {told.energy} Eh contains {told.restraint} Eh of a restraint"
    if told.bias is not None and told.bias != 0:
        return (
            f"the energy {told.energy} Eh contains that of the potential with which --bhess holds "
            f"the atoms (kpush {told.bias})"
        )
    if told.energy is not None and told.optimization_level and not told.has_closing_box:
        return (
            f"the log stops before the run ends, which was to optimise ({told.optimization_level})"
        )
    return None


def _refusal(job: Job, result: Result) -> str | None:
    """Why physics does not accept a result; None where it does."""
    assert job.geometry is not None
    multiplicity = 1 if job.multiplicity is None else job.multiplicity
    refused = refusal(result, job.geometry, charge=job.charge, multiplicity=multiplicity)
    if refused is not None and job.multiplicity is None:
        # Nothing states it: the lowest that the electrons allow may have been meant.
        refused = refusal(
            result, job.geometry, charge=job.charge, multiplicity=_lowest(job.geometry, job.charge)
        )
    return refused


def _document(contents: FolderContents, name: str) -> dict[str, object] | None:
    data = contents.get(name)
    if data is None:
        return None
    if not data.strip():
        raise BrokenJob(name, "is empty")
    try:
        document = decoded_json(data)
    except ValueError as error:
        raise BrokenJob(name, str(error)) from error
    if not isinstance(document, dict):
        raise BrokenJob(name, "is JSON, but not an object")
    return document


def _run(contents: FolderContents) -> XtbRun:
    """What the files of xtb say; of several logs, the one that its other files are of."""
    logs = contents.names(*contents.logs) or [STDOUT[0]]
    runs = [(log, _run_with(contents, log)) for log in logs]
    of_xtb = [(log, run) for log, run in runs if run.printout and run.printout.energy is not None]
    if len({_printed_energy(run) for _, run in of_xtb}) < 2:
        return of_xtb[0][1] if of_xtb else runs[0][1]
    # Each note is a file that is of another run than the log.
    fewest = min(len(run.notes) for _, run in of_xtb)
    best = [(log, run) for log, run in of_xtb if len(run.notes) == fewest]
    if len({_printed_energy(run) for _, run in best}) > 1:
        told = ", ".join(f"{log} ({_printed_energy(run)} Eh)" for log, run in best)
        raise BrokenJob("*", f"which of these logs is that of the result: {told}?")
    log, run = best[0]
    contents.prefer(log)
    return run


def _printed_energy(run: XtbRun) -> float | None:
    return None if run.printout is None else run.printout.energy


def _run_with(contents: FolderContents, log: str) -> XtbRun:
    engrad = _engrad(contents)
    return read_run(
        stdout=contents.get(log),
        stderr=contents.get(*STDERR),
        dump=contents.get(DUMP),
        charges=contents.get(CHARGES),
        gradient=contents.get(GRADIENT),
        energy=contents.get(ENERGY),
        engrad=None if engrad is None else contents.get(engrad),
        optimised=contents.get(*OPTIMISED),
        names={
            "optimised": contents.called(*OPTIMISED),
            **({} if engrad is None else {"engrad": engrad}),
        },
    )


def _engrad(contents: FolderContents) -> str | None:
    """The name of the engrad file; of several, none: they are of different inputs."""
    found = [name for name in contents.folder.witnesses if name.endswith(ENGRAD)]
    return found[0] if len(found) == 1 else None


def _topology(contents: FolderContents, run: XtbRun) -> Geometry | None:
    """Of xtbtopo.mol, where the log says that this run wrote it, or where no log says anything."""
    data = contents.get(TOPOLOGY)
    told = run.printout or Printout()
    if data is None or (told.energy is not None and not told.writes_topology):
        return None
    return topology_file(data.decode("latin-1"))


def _without_witness(run: XtbRun, given: "_Given", topology: Geometry | None) -> str | None:
    """Why the given geometry may not be that of the run; None where something of it shows that."""
    told = run.printout or Printout()
    if topology is not None or told.distances or run.gradient is not None or run.engrad is not None:
        return None
    if run.is_unfinished:
        return (
            f"the log stops before it states an energy, and nothing shows that {DUMP} is of "
            f"{given.file}"
        )
    if given.elsewhere:
        return (
            f"the run began with {given.elsewhere}, and nothing shows that {given.file} in the "
            "folder is the same"
        )
    return None


def _is_of_xtb(run: XtbRun) -> bool:
    printed = run.printout is not None and run.printout.version is not None
    return printed or run.dump is not None or any(note.file == DUMP for note in run.notes)


def _moved(run: XtbRun, settings: JobSettings) -> bool:
    """Whether the energy is of a geometry that the run made itself, and not of the given one.

    After its result, xtb may move atoms further (--md, --path): a log says what its energy is of.
    """
    if run.printout is not None and run.printout.energy is not None:
        return run.optimises
    if settings.options:
        return bool(MOVING & settings.options.keys())
    return settings.optimization_level is not None or run.optimised is not None


class _Given(msgspec.Struct, frozen=True, kw_only=True):
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
        if self.record is None or self.record.geometry is None:
            return None
        return NamedGeometry(self.file, self.record.geometry)


def _given(contents: FolderContents, facts: Facts, run: XtbRun, *, moved: bool) -> _Given:
    """Find the geometry that the run names, or else the documents, or else the only one there is.

    A file that the run itself wrote over (xtbopt.xyz, optimised again) is not what it began with.
    """
    told = run.printout or Printout()
    call = told.program_call or (run.dump.program_call if run.dump is not None else None)
    call = call or facts.conditions.command or ""
    there = contents.folder.geometries()
    path = told.coordinate_file or _geometry_of_call(call, contents)
    by_run = _base(path)
    overwritten = moved and by_run in OPTIMISED
    for name in (by_run, _base(facts.xyz_file)):
        if name and contents.get(name) is not None and not (overwritten and name == by_run):
            read = _read_geometry(contents, name, by_xtb=_is_of_xtb(run))
            is_elsewhere = name == by_run and _is_elsewhere(path, contents)
            return replace(read, elsewhere=path if is_elsewhere else "")
    if overwritten:
        return _Given(file=by_run, missing=f"the run wrote over {by_run}, with which it began")
    if by_run:
        return _Given(
            file=by_run, missing=f"the run began with {by_run}, which is not in the folder"
        )
    wanted = _base(facts.xyz_file)
    if wanted or len(there) != 1:
        among = f": {', '.join(there[:5])}" if there else ""
        missing = (
            f"no geometry: {wanted or '*.xyz'} is missing or not read"
            if not there or wanted
            else f"nothing says which of these is the geometry{among}"
        )
        return _Given(file=wanted or "*.xyz", missing=missing)
    return _read_geometry(contents, there[0], by_xtb=_is_of_xtb(run))


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


def _read_geometry(contents: FolderContents, name: str, *, by_xtb: bool) -> _Given:
    """Read a file as xtb does, whose comment may state more; or, `by_xtb` is false, as others do.

    Raises BrokenJob where it is not read, or where xtb and others read it differently and nothing
    says which did.
    """
    data = contents.get(name) or b""
    if not name.endswith(".xyz"):
        geometry = coord_file(data.decode("latin-1"))
        if geometry is None:
            return _Given(
                file=name, missing=f"{name} is not in a format that is read: xyz or coord"
            )
        return _Given(file=name, record=Input(number=1, source=name, geometry=geometry))
    found = _remembered(data) if len(data) <= _SMALL else _first_frame(data)
    if found is None:
        raise BrokenJob(name, "is empty")
    plain = xyz_file(data.decode("utf-8", "replace"))
    if plain is not None and by_xtb:
        isotopes = () if found.geometry is None else found.geometry.isotopes
        if len(isotopes) == len(plain):
            plain = replace(plain, isotopes=isotopes)
        return _Given(file=name, record=replace(found, geometry=plain, error=None))
    if plain is not None and found.error is None and not _are_same(found.geometry, plain):
        raise BrokenJob(
            name,
            "has positions that xtb reads in Å from the first columns, whatever the comment says; "
            "write them so",
        )
    if found.error is not None:
        raise BrokenJob(name, found.error)
    return _Given(file=name, record=found)


def _are_same(one: Geometry | None, other: Geometry) -> bool:
    return one is not None and (one.numbers, one.positions) == (other.numbers, other.positions)


def _source(
    contents: FolderContents, facts: Facts, settings: JobSettings, given: _Given, place: Belonging
) -> Input:
    """The molecule as it was given: its SMILES if there is one, and its geometry."""
    record = given.record
    if record is None:
        record = Input(number=1, source="", geometry=place.geometry)
    return replace(
        record,
        source=shown(facts.smiles or record.source or contents.folder.name),
        name=_storable(facts.name or contents.folder.relative) or None,
        smiles=facts.smiles or record.smiles,
        charge=settings.charge if settings.charge is not None else record.charge,
        multiplicity=settings.multiplicity
        if settings.multiplicity is not None
        else record.multiplicity,
    )


def _first_frame(data: bytes) -> Input | None:
    frame = next(xyz_frames(data.decode("utf-8", "replace").splitlines()), None)
    return None if frame is None else read_xyz(frame)


# The jobs of a molecule begin with one geometry, often, which is then read and hashed once.
_remembered = lru_cache(100)(_first_frame)


def _result(job: Job, facts: Facts, run: XtbRun, notes: list[str]) -> Result:
    """The result: of xtb's own files, and what only the documents tell where they agree."""
    assert job.geometry is not None
    multiplicity = job.multiplicity or 1
    if run.energy is None:
        assert facts.energy is not None
        return Result(
            method=job.method,
            solvent=job.solvation_model,
            charge=job.charge,
            multiplicity=multiplicity,
            energy=facts.energy,
            homo=facts.homo,
            lumo=facts.lumo,
            gap=facts.gap,
            dipole=facts.dipole,
            charges=facts.charges,
            gradient=facts.gradient,
            gradient_norm=facts.gradient_norm,
            scf_iterations=facts.scf_iterations,
            optimization_cycles=facts.optimization_cycles,
            is_converged=facts.is_converged is not False,
            wall_time_seconds=facts.wall_time_seconds,
            cpu_time_seconds=facts.cpu_time_seconds,
            memory_peak_mb=facts.memory_peak_mb,
            program=job.program,
            program_version=job.program_version,
        )
    result = result_of(
        run,
        job.geometry,
        charge=job.charge,
        multiplicity=multiplicity,
        method=job.method,
        solvent=job.solvation_model,
    )
    if facts.energy is not None and abs(facts.energy - result.energy) > ENERGY_TOLERANCE:
        # The first releases took the energy before the optimisation from the log.
        notes.append(f"{RESULTS} has another energy than xtb's own files: {facts.energy!r} Eh")
        return result
    return replace(
        result,
        program_version=job.program_version,
        **{
            name: value
            for name in _SUPPLEMENTED
            if getattr(result, name) is None and (value := getattr(facts, name)) is not None
        },
        is_converged=result.is_converged
        and (run.printout is not None or facts.is_converged is not False),
        wall_time_seconds=_either(result.wall_time_seconds, facts.wall_time_seconds),
        cpu_time_seconds=_either(result.cpu_time_seconds, facts.cpu_time_seconds),
        memory_peak_mb=facts.memory_peak_mb,
    )


def _with_right_gradient(
    result: Result, job: Job, run: XtbRun, settings: JobSettings, notes: list[str]
) -> Result:
    """The result without its gradient where xtb may have calculated a wrong one."""
    if result.gradient is None and result.gradient_norm is None:
        return result
    assert job.geometry is not None
    # With --cma, xtb rotates the molecule first, and only the file `gradient` has how it lay.
    is_turned = "--cma" in settings.options and run.gradient is None
    if "xtb" not in result.program.lower() or not (
        is_turned
        or is_gradient_doubtful(job.geometry, method=result.method, version=result.program_version)
    ):
        return result
    norm = "" if result.gradient_norm is None else f" (norm {result.gradient_norm:.6g} Eh/Bohr)"
    notes.append(
        f"the gradient{norm} is left out: xtb {result.program_version} can calculate a wrong one "
        "where two atoms share a coordinate (grimme-lab/xtb#986); calculate it again with "
        "tblite, or with `qforge run --engine xtb`"
    )
    return replace(result, gradient=None, gradient_norm=None)


def _either(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _failure(error: EngineError, logs: str) -> Failure:
    """The failure that a job's own words mean; it has no stack of this process.

    Where they do not say what went wrong, the error that xtb printed decides.
    """
    failure = classify(error)
    printed = _SCF_ERROR.search(logs)
    if failure.error_type is ErrorType.UNKNOWN_ERROR and printed is not None:
        failure = classify(EngineError(printed[0], stdout_log=error.stdout_log, scf_iterations=0))
    return replace(failure, stack_trace=None, message=error.reason.strip()[:4_000])


def _lowest(geometry: Geometry, charge: int) -> int:
    return 1 if (sum(geometry.numbers) - charge) % 2 == 0 else 2


def _times(contents: FolderContents, facts: Facts, run: XtbRun) -> tuple[datetime, datetime]:
    """When the job began and ended: as told, or by the log, or by the age of its files.

    The clock of the log is that of the machine, and has no zone: this machine's is taken.
    """
    printout = run.printout
    log_began = printout.started_at if printout is not None else None
    log_ended = printout.finished_at if printout is not None else None
    began = facts.began or (log_began and log_began.astimezone(UTC))
    ended = facts.ended or (log_ended and log_ended.astimezone(UTC))
    wall = facts.wall_time_seconds or (printout and printout.wall_time_seconds)
    if ended is None:
        ended = contents.modified if began is None else began + timedelta(seconds=wall or 0)
    if began is None:
        began = ended - timedelta(seconds=wall or 0)
    return min(began, ended), ended


def _storable(name: str) -> str:
    """A name without what no database stores, and without the separator of natural ids."""
    return name.replace("\0", "�").replace("\x1f", " ").encode("utf-8", "replace").decode()
