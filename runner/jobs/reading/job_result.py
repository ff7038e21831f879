"""The result or the failure of a job, from xtb's own files and what only documents state."""

import re

from msgspec.structs import replace

from quantum_forge.runner.engines.failures import Failure, classify
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.xtb.axes import is_gradient_doubtful
from quantum_forge.runner.engines.xtb.reading import ENERGY_TOLERANCE, XtbRun, result_of
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.jobs.reading.documents import Facts
from quantum_forge.runner.jobs.reading.folders import RESULTS
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.jobs.reading.settings import JobSettings
from quantum_forge.schema.domains.calculations import ErrorType

_SUPPLEMENTED = (
    *("homo", "lumo", "gap", "dipole", "charges", "gradient", "gradient_norm"),
    *("scf_iterations", "optimization_cycles"),
)
"""Fields that documents add where the files of xtb lack them and the energy is the same."""


_SCF_ERROR = re.compile(r"-\d+- scf: .*did not converge")
"""Pattern of xtb's error messages: the function, and the error."""


def job_result(job: Job, facts: Facts, run: XtbRun, notes: list[str]) -> Result:
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
        notes.append(
            f"{RESULTS} states an energy that differs from xtb's own files: {facts.energy!r} Eh"
        )
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


def without_doubtful_gradient(
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


def job_failure(error: EngineError, logs: str) -> Failure:
    """The failure that a job's own words mean; it has no stack of this process.

    Where they do not say what went wrong, the error that xtb printed decides.
    """
    failure = classify(error)
    printed = _SCF_ERROR.search(logs)
    if failure.error_type is ErrorType.UNKNOWN_ERROR and printed is not None:
        failure = classify(EngineError(printed[0], stdout_log=error.stdout_log, scf_iterations=0))
    return replace(failure, stack_trace=None, message=error.reason.strip()[:4_000])


def _either(one: float | None, other: float | None) -> float | None:
    return other if one is None else one
