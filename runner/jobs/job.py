"""One job from its files: which molecule, which settings, and how it ended."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from runner.errors import EngineError
from runner.failures import Failure, classify
from runner.geometry import Geometry
from runner.jobs.contents import BrokenJob, Contents, SkippedJob
from runner.jobs.discovery import (
    CHARGES,
    DUMP,
    GRADIENT,
    METADATA,
    OPTIMISED,
    RESULTS,
    STDERR,
    STDOUT,
)
from runner.jobs.documents import Facts, method_name, read_documents, solvation
from runner.physics import refusal
from runner.records import Input, shown
from runner.result import Result
from runner.xtb.dump import decoded_json
from runner.xtb.reading import ENERGY_TOLERANCE, XtbRun, read_run, result_of
from runner.xyz_files import read_xyz, xyz_frames

USUAL_METHOD = "GFN2-xTB"
"""What xtb runs unless told otherwise."""

USUAL_TIMEOUT = 3600.0
"""Seconds; an event must have one, and an ended job does not need it."""

_SMALL = 2**16
"""Bytes of a geometry that may be remembered: memory must not depend on what lies about."""

_USUAL_NAMES = ("molecule.xyz", "input.xyz", "coord.xyz", "struc.xyz", "start.xyz", "initial.xyz")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder tells of one calculation that has ended.

    `source` is the molecule as it was given, with the charge and multiplicity asked for.
    `geometry` is the one that the result belongs to. Exactly one of `result` and `failure` is
    there; `refused` is why physics does not accept the result. `notes` tell what was disregarded.
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


def read_job(contents: Contents) -> Job:
    """Return what a folder tells.

    xtb's own files outweigh the documents of whoever ran it. Raises BrokenJob when a file that
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
    asked = _Asked(facts, run)
    source = _source(contents, facts, asked, run)
    why = (facts.error if failed else None) or run.failure or ("failed" if failed else None)
    if why is None and run.energy is None and facts.energy is None:
        missing = metadata is not None and results is None and run.printout is None
        raise BrokenJob(
            RESULTS if missing or results is not None else contents.called(*STDOUT),
            "is missing" if missing else "tells no energy",
        )
    began, ended = _times(contents, facts, run)
    version = run.version or facts.program_version or "unknown"
    optimised = run.optimised.geometry if run.optimised else None
    notes = [f"{note.file} {note.reason}" for note in run.notes]
    job = Job(
        job_id=facts.job_id or _storable(contents.folder.name),
        sha256=contents.sha256,
        source=source,
        geometry=source.geometry if optimised is None else optimised,
        began=began,
        ended=ended,
        method=run.method or facts.method or asked.method or USUAL_METHOD,
        solvation_model=asked.solvation_model,
        optimization_level=asked.level,
        program=facts.program or "xtb",
        program_version=version,
        timeout_seconds=facts.timeout_seconds
        if facts.timeout_seconds and 0 < facts.timeout_seconds < 1e9
        else USUAL_TIMEOUT,
        stderr_log=run.stderr_log,
    )
    if why is not None:
        error = EngineError(why, stdout_log=run.stdout_log, scf_iterations=0)
        return replace(job, failure=_failure(error), notes=tuple(notes))
    if job.geometry is None:
        name = (facts.xyz_file or "*.xyz").rpartition("/")[2]
        raise BrokenJob(name, "no geometry: the file is missing or not read")
    result = _result(job, facts, run, notes)
    if asked.level and optimised is None:
        notes.append("the optimised geometry was not kept: positions are those of the input")
    multiplicity = 1 if job.multiplicity is None else job.multiplicity
    refused = refusal(result, job.geometry, charge=job.charge, multiplicity=multiplicity)
    if refused is not None and job.multiplicity is None:
        # Nobody said which: the lowest that the electrons allow may have been meant.
        refused = refusal(
            result, job.geometry, charge=job.charge, multiplicity=_lowest(job.geometry, job.charge)
        )
    return replace(job, result=result, refused=refused, notes=tuple(notes))


def _document(contents: Contents, name: str) -> dict[str, object] | None:
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
        raise BrokenJob(name, "is JSON, but no object")
    return document


def _run(contents: Contents) -> XtbRun:
    return read_run(
        stdout=contents.get(*STDOUT),
        stderr=contents.get(*STDERR),
        dump=contents.get(DUMP),
        charges=contents.get(CHARGES),
        gradient=contents.get(GRADIENT),
        optimised=contents.get(*OPTIMISED),
        names={"optimised": contents.called(*OPTIMISED)},
    )


def _is_of_xtb(run: XtbRun) -> bool:
    printed = run.printout is not None and run.printout.version is not None
    return printed or run.dump is not None or any(note.file == DUMP for note in run.notes)


class _Asked:
    """The settings that a run was started with: of the documents, the command line, the log."""

    def __init__(self, facts: Facts, run: XtbRun) -> None:
        call = (run.printout and run.printout.program_call) or (run.dump and run.dump.program_call)
        options = _options(call or "")
        charge = _int(options.get("--chrg") or options.get("-c"))
        unpaired = _int(options.get("--uhf") or options.get("-u"))
        if charge is None and run.printout is not None and run.printout.charge is not None:
            charge = _rounded(run.printout.charge)
        if unpaired is None:
            unpaired = run.unpaired_count
        self.charge = charge if facts.charge is None else facts.charge
        self.multiplicity = facts.multiplicity
        if self.multiplicity is None and unpaired is not None:
            self.multiplicity = unpaired + 1
        self.method = method_name(options.get("--gfn"))
        self.solvation_model = facts.solvation_model
        if run.printout is not None and run.printout.energy is not None:
            self.solvation_model = run.printout.solvation_model
        elif self.solvation_model is None:
            for option, model in (("--alpb", "ALPB"), ("--gbsa", "GBSA"), ("-g", "GBSA")):
                if solvent := options.get(option):
                    self.solvation_model = solvation(solvent, model)
        told = run.printout.optimization_level if run.printout is not None else None
        self.level = told or facts.optimization_level
        if run.printout is not None and run.printout.energy is not None:
            self.level = told  # a log that says nothing of an optimisation had none


def _options(call: str) -> dict[str, str]:
    words = call.split()
    following = [*words[1:], ""]
    return {word: next_ for word, next_ in zip(words, following, strict=False) if word[0:1] == "-"}


def _int(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"[-+]?\d{1,4}", value) else None


def _rounded(value: float) -> int | None:
    return round(value) if abs(value) < 1_000 else None


def _source(contents: Contents, facts: Facts, asked: _Asked, run: XtbRun) -> Input:
    """The molecule as it was given: its SMILES if there is one, and its geometry."""
    name = _geometry_file(contents, facts, run)
    record = Input(number=1, source="")
    if name is not None:
        data = contents.get(name) or b""
        found = _remembered(data) if len(data) <= _SMALL else _first_frame(data)
        if found is None:
            raise BrokenJob(name, "is empty")
        record = found
        if record.error is not None:
            raise BrokenJob(name, record.error)
    elif run.optimised is not None:
        record = replace(record, geometry=run.optimised.geometry)
    return replace(
        record,
        source=shown(facts.smiles or record.source or contents.folder.name),
        name=_storable(facts.name or "") or None,
        smiles=facts.smiles or record.smiles,
        charge=asked.charge if asked.charge is not None else record.charge,
        multiplicity=asked.multiplicity if asked.multiplicity is not None else record.multiplicity,
    )


def _first_frame(data: bytes) -> Input | None:
    frame = next(xyz_frames(data.decode("utf-8", "replace").splitlines()), None)
    return None if frame is None else read_xyz(frame)


# The jobs of a molecule begin with one geometry, often, which is then read and hashed once.
_remembered = lru_cache(100)(_first_frame)


def _geometry_file(contents: Contents, facts: Facts, run: XtbRun) -> str | None:
    there = contents.folder.geometries()
    said = run.printout.program_call if run.printout is not None else None
    words = (said or "").split()
    for wanted in (facts.xyz_file, f"{facts.name}.xyz", *words[1:2], *_USUAL_NAMES):
        name = (wanted or "").rpartition("/")[2]
        if name in there:
            return name
    if len(there) > 1:
        raise BrokenJob("*.xyz", f"which of these is the geometry: {', '.join(there[:5])}?")
    return there[0] if there else None


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
        notes.append(f"{RESULTS} has another energy than xtb's own files: {facts.energy!r} Eh")
        return result
    return replace(
        result,
        **{
            name: value
            for name in ("homo", "lumo", "gap", "dipole", "charges", "gradient", "gradient_norm")
            if getattr(result, name) is None and (value := getattr(facts, name)) is not None
        },
        wall_time_seconds=_either(result.wall_time_seconds, facts.wall_time_seconds),
        cpu_time_seconds=_either(result.cpu_time_seconds, facts.cpu_time_seconds),
        memory_peak_mb=facts.memory_peak_mb,
    )


def _either(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _failure(error: EngineError) -> Failure:
    """The failure that a job's own words mean; it has no stack of this process."""
    return replace(classify(error), stack_trace=None, message=error.reason.strip()[:4_000])


def _lowest(geometry: Geometry, charge: int) -> int:
    return 1 if (sum(geometry.numbers) - charge) % 2 == 0 else 2


def _times(contents: Contents, facts: Facts, run: XtbRun) -> tuple[datetime, datetime]:
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
