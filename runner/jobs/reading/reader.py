"""Reader of one job: which molecule, which settings, which geometry, and how it ended.

Geometry, charge, spin, method and solvent are those of what the run itself wrote. Where two of its
files contradict each other, or whoever ran it, the job is there and does not count: `refused` has
both values.
"""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from quantum_forge.runner.engines.xtb.belonging import Belonging, belonging
from quantum_forge.runner.engines.xtb.dump import decoded_json
from quantum_forge.runner.engines.xtb.printout import Printout
from quantum_forge.runner.engines.xtb.reading import XtbRun
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents, SkippedJob
from quantum_forge.runner.jobs.reading.documents import Facts, read_documents
from quantum_forge.runner.jobs.reading.folders import METADATA, OPTIMISED, RESULTS
from quantum_forge.runner.jobs.reading.initial_geometry import (
    InitialGeometry,
    find_initial_geometry,
)
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.jobs.reading.job_result import (
    job_failure,
    job_result,
    without_doubtful_gradient,
)
from quantum_forge.runner.jobs.reading.refusals import (
    contradictions,
    of_another_energy,
    physical_refusal,
    two_energies,
    without_witness,
)
from quantum_forge.runner.jobs.reading.settings import USUAL_METHOD, JobSettings, job_settings
from quantum_forge.runner.jobs.reading.xtb_run import (
    is_moved,
    is_of_xtb,
    read_topology,
    read_xtb_files,
)
from quantum_forge.runner.molecules.records import Input, shown, tidy_name

USUAL_TIMEOUT = 3600.0
"""Seconds; an event must have one, and an ended job does not need it."""


def read_job(contents: FolderContents) -> Job:
    """Return what a folder tells.

    Raises BrokenJob when a file that
    matters cannot be read or is missing, SkippedJob when there is no result to import.
    """
    metadata = _document(contents, METADATA)
    results = _document(contents, RESULTS)
    facts = read_documents(metadata or {}, results or {})
    run = read_xtb_files(contents)
    if metadata is None and results is None and not is_of_xtb(run):
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
            "ends before it states an energy, and nothing shows that the other files belong to "
            "the same run",
        )
    if why is None and run.energy is None and facts.energy is None:
        missing = metadata is not None and results is None and run.printout is None
        raise BrokenJob(
            RESULTS if missing or results is not None else contents.called(*contents.logs),
            "is missing" if missing else "states no energy",
        )
    settings = job_settings(contents, facts, run)
    moved = is_moved(run, settings)
    given = find_initial_geometry(contents, facts, run, moved=moved)
    topology = read_topology(contents, run)
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
        failure = job_failure(error, run.stdout_log + run.stderr_log)
        return replace(job, failure=failure, notes=tuple(notes))
    if job.geometry is None:
        raise BrokenJob(given.file, place.reason or given.missing)
    printed = run.printout or Printout()
    if printed.other_energy is not None:
        notes.append(
            f"{contents.called(*contents.logs)} ends with the energy of another species, "
            f"{printed.other_energy} Eh; the molecule has {printed.energy} Eh"
        )
    result = without_doubtful_gradient(
        job_result(job, facts, run, notes), job, run, settings, notes
    )
    refused = (
        "; ".join(contradictions(settings, place, source, job.geometry))
        or (two_energies(facts) if run.energy is None else None)
        or place.reason
        or settings.undetermined
        or (None if moved else without_witness(run, given, topology))
        or of_another_energy(printed)
        or physical_refusal(job, result)
    )
    return replace(job, result=result, refused=refused, notes=tuple(notes))


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


def _source(
    contents: FolderContents,
    facts: Facts,
    settings: JobSettings,
    given: InitialGeometry,
    place: Belonging,
) -> Input:
    """The molecule as it was given: its SMILES if there is one, and its geometry."""
    record = given.record
    if record is None:
        record = Input(number=1, source="", geometry=place.geometry)
    return replace(
        record,
        source=shown(facts.smiles or record.source or contents.folder.name),
        name=tidy_name(_storable(facts.name or contents.folder.relative)),
        smiles=facts.smiles or record.smiles,
        charge=settings.charge if settings.charge is not None else record.charge,
        multiplicity=settings.multiplicity
        if settings.multiplicity is not None
        else record.multiplicity,
    )


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
