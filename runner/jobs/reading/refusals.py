"""Reasons why the result of a job does not count: its files contradict each other, or physics."""

from quantum_forge.runner.engines.physics import refusal
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.xtb.belonging import Belonging
from quantum_forge.runner.engines.xtb.printout import Printout
from quantum_forge.runner.engines.xtb.reading import ENERGY_TOLERANCE, FILE_TOLERANCE, XtbRun
from quantum_forge.runner.jobs.reading.documents import Facts
from quantum_forge.runner.jobs.reading.folders import DUMP
from quantum_forge.runner.jobs.reading.initial_geometry import InitialGeometry
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.jobs.reading.settings import JobSettings
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.records import Input


def contradictions(
    settings: JobSettings, place: Belonging, source: Input, geometry: Geometry
) -> list[str]:
    """The contradictions between the files of a job; each a sentence with both values."""
    found = list(settings.contradictions)
    if place.contradiction is not None:
        found.append(place.contradiction)
    given = source.geometry
    if given is not None and given.composition() != geometry.composition():
        found.append("the run began with atoms that differ from those of its result")
    return found


def two_energies(facts: Facts) -> str | None:
    """Two energies of the documents that differ, in a sentence; xtb's own files outweigh them."""
    for (path, one), (other_path, other) in zip(facts.energies, facts.energies[1:], strict=False):
        if abs(one - other) > ENERGY_TOLERANCE:
            return f"the energy is {one!r} Eh in {path}, and {other!r} Eh in {other_path}"
    return None


def of_another_energy(printed: Printout) -> str | None:
    """Why an energy of xtb is not that of the method at a geometry; None where it is."""
    if printed.restraint is not None and abs(printed.restraint) > FILE_TOLERANCE:
        return f"the energy {printed.energy} Eh contains {printed.restraint} Eh of a restraint"
    if printed.bias is not None and printed.bias != 0:
        return (
            f"the energy {printed.energy} Eh contains that of the potential with which --bhess "
            f"holds the atoms (kpush {printed.bias})"
        )
    if printed.energy is not None and printed.optimization_level and not printed.has_closing_box:
        return f"the log ends before the optimisation does ({printed.optimization_level})"
    return None


def physical_refusal(job: Job, result: Result) -> str | None:
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


def without_witness(run: XtbRun, given: "InitialGeometry", topology: Geometry | None) -> str | None:
    """Why the given geometry may not be that of the run; None where something of it shows that."""
    printed = run.printout or Printout()
    if (
        topology is not None
        or printed.distances
        or run.gradient is not None
        or run.engrad is not None
    ):
        return None
    if run.is_unfinished:
        return (
            f"the log ends before it states an energy, and nothing shows that {DUMP} belongs to "
            f"{given.file}"
        )
    if given.elsewhere:
        return (
            f"the run began with {given.elsewhere}, and nothing shows that {given.file} in the "
            "folder is the same"
        )
    return None


def _lowest(geometry: Geometry, charge: int) -> int:
    return 1 if (sum(geometry.numbers) - charge) % 2 == 0 else 2
