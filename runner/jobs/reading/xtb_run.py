"""The files that xtb left in a folder, read as one run."""

from quantum_forge.runner.engines.xtb.belonging import MOVING
from quantum_forge.runner.engines.xtb.printed_geometry import topology_file
from quantum_forge.runner.engines.xtb.printout import Printout
from quantum_forge.runner.engines.xtb.reading import XtbRun, read_run
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents
from quantum_forge.runner.jobs.reading.folders import (
    CHARGES,
    DUMP,
    ENERGY,
    ENGRAD,
    GRADIENT,
    OPTIMISED,
    STDERR,
    STDOUT,
    TOPOLOGY,
)
from quantum_forge.runner.jobs.reading.settings import JobSettings
from quantum_forge.runner.molecules.geometry import Geometry


def read_xtb_files(contents: FolderContents) -> XtbRun:
    """What the files of xtb say; of several logs, the one that its other files are of."""
    logs = contents.names(*contents.logs) or [STDOUT[0]]
    runs = [(log, _run_with(contents, log)) for log in logs]
    of_xtb = [(log, run) for log, run in runs if run.printout and run.printout.energy is not None]
    if len({_printed_energy(run) for _, run in of_xtb}) < 2:
        return of_xtb[0][1] if of_xtb else runs[0][1]
    # Each note is a file that belongs to another run than the log.
    fewest = min(len(run.notes) for _, run in of_xtb)
    best = [(log, run) for log, run in of_xtb if len(run.notes) == fewest]
    if len({_printed_energy(run) for _, run in best}) > 1:
        candidates = ", ".join(f"{log} ({_printed_energy(run)} Eh)" for log, run in best)
        raise BrokenJob(
            "*", f"it is unclear which of these logs belongs to the result: {candidates}"
        )
    log, run = best[0]
    contents.prefer(log)
    return run


def is_of_xtb(run: XtbRun) -> bool:
    """Whether any of the files was written by xtb."""
    printed = run.printout is not None and run.printout.version is not None
    return printed or run.dump is not None or any(note.file == DUMP for note in run.notes)


def is_moved(run: XtbRun, settings: JobSettings) -> bool:
    """Whether the energy is of a geometry that the run made itself, and not of the given one.

    After its result, xtb may move atoms further (--md, --path): a log says what its energy is of.
    """
    if run.printout is not None and run.printout.energy is not None:
        return run.optimises
    if settings.options:
        return bool(MOVING & settings.options.keys())
    return settings.optimization_level is not None or run.optimised is not None


def read_topology(contents: FolderContents, run: XtbRun) -> Geometry | None:
    """Of xtbtopo.mol, where the log says that this run wrote it, or where no log says anything."""
    data = contents.get(TOPOLOGY)
    printed = run.printout or Printout()
    if data is None or (printed.energy is not None and not printed.writes_topology):
        return None
    return topology_file(data.decode("latin-1"))


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
