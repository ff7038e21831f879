"""Classification of failures by the error types of the catalogue."""

import errno
import re
import traceback

import msgspec

from quantum_forge.runner.errors import EngineError, InputError
from quantum_forge.schema.domains.calculations import ErrorSeverity, ErrorType


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed attempt, described for a person (`message`) and for a program (the rest).

    `user_action_required` is true where a retry of the same thing must fail again. `stdout_log` and
    `scf_iterations` are what the engine had done until then.
    """

    error_type: ErrorType
    error_severity: ErrorSeverity
    error_code: str
    message: str
    user_action_required: bool
    stack_trace: str | None = None
    stdout_log: str = ""
    scf_iterations: int | None = None


class _Kind(msgspec.Struct, frozen=True):
    error_type: ErrorType
    severity: ErrorSeverity
    code: str
    user_action_required: bool


_NO_MEMORY = _Kind(ErrorType.RESOURCE_ERROR, ErrorSeverity.CRITICAL, "OUT_OF_MEMORY", True)

# tblite raises one class for everything, xtb prints reasons, and neither has codes: their texts are
# all there is. Quoted from tblite 0.8 and xtb 6.5; the tests provoke those that can be provoked.
_MESSAGES: tuple[tuple[str, _Kind], ...] = (
    (
        r"SCF not converged|self consistent charge iterator did not converge",
        _Kind(ErrorType.CONVERGENCE_ERROR, ErrorSeverity.ERROR, "SCF_NOT_CONVERGED", False),
    ),
    (
        r"failed to solve eigenvalue problem|\(sy[a-z]+\)|dsytr[fis] failed|singular",
        _Kind(ErrorType.CONVERGENCE_ERROR, ErrorSeverity.ERROR, "EIGENSOLVER_FAILED", False),
    ),
    (
        r"geometry optimi[sz]ation",
        _Kind(ErrorType.CONVERGENCE_ERROR, ErrorSeverity.ERROR, "GEOMETRY_NOT_CONVERGED", False),
    ),
    (
        r"did not converge|failed to converge",
        _Kind(ErrorType.CONVERGENCE_ERROR, ErrorSeverity.ERROR, "SOLVER_NOT_CONVERGED", False),
    ),
    (
        r"No support for elements|Cannot map symbol to atomic number",
        _Kind(ErrorType.INPUT_ERROR, ErrorSeverity.ERROR, "UNSUPPORTED_ELEMENT", True),
    ),
    (
        r"number unpaired electrons .* is not compatible",
        _Kind(ErrorType.INPUT_ERROR, ErrorSeverity.ERROR, "IMPOSSIBLE_MULTIPLICITY", True),
    ),
    (
        r"Too close interatomic distances|\*very\* (close|short)",
        _Kind(ErrorType.INPUT_ERROR, ErrorSeverity.ERROR, "ATOMS_TOO_CLOSE", True),
    ),
    (
        r"database of solvents|Unknown solvent|parameters found for the method/solvent"
        r"|solvent: .* is not parametrized",
        _Kind(ErrorType.INPUT_ERROR, ErrorSeverity.ERROR, "UNKNOWN_SOLVENT", True),
    ),
    (r"amount of memory|allocat|out of memory|bad_alloc", _NO_MEMORY),
)

_NO_ROOM = {errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EFBIG}


def classify(error: BaseException) -> Failure:
    """Return the failure that an exception means; one that nobody foresaw is an `unknown_error`."""
    kind = _kind(error)
    foreseen = isinstance(error, InputError)
    return Failure(
        error_type=kind.error_type,
        error_severity=kind.severity,
        error_code=kind.code,
        message=" ".join(str(error).split()) or type(error).__name__,
        user_action_required=kind.user_action_required,
        stack_trace=None if foreseen else "".join(traceback.format_exception(error)),
        stdout_log=error.stdout_log if isinstance(error, EngineError) else "",
        scf_iterations=error.scf_iterations if isinstance(error, EngineError) else None,
    )


def timed_out(seconds: float) -> Failure:
    """Return the failure of a calculation that was killed because it took longer than it may."""
    return Failure(
        error_type=ErrorType.TIMEOUT,
        error_severity=ErrorSeverity.ERROR,
        error_code="TIMEOUT",
        message=f"killed after {seconds:g} s",
        user_action_required=False,
    )


def lost(reason: str, *, code: str = "WORKER_DIED", stack_trace: str | None = None) -> Failure:
    """Return the failure of a calculation whose process went away.

    What the process said last decides between `compute_lost` and a lack of memory.
    """
    starved = any(
        kind is _NO_MEMORY and re.search(pattern, stack_trace or "", re.IGNORECASE)
        for pattern, kind in _MESSAGES
    )
    return Failure(
        error_type=ErrorType.RESOURCE_ERROR if starved else ErrorType.COMPUTE_LOST,
        error_severity=ErrorSeverity.CRITICAL if starved else ErrorSeverity.ERROR,
        error_code=_NO_MEMORY.code if starved else code,
        message=reason,
        user_action_required=starved,
        stack_trace=stack_trace,
    )


def _kind(error: BaseException) -> _Kind:
    if isinstance(error, InputError):
        return _Kind(ErrorType.INPUT_ERROR, ErrorSeverity.ERROR, error.code, True)
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, TimeoutError):
        return _Kind(ErrorType.TIMEOUT, ErrorSeverity.ERROR, "TIMEOUT", False)
    if isinstance(error, (ConnectionError, BlockingIOError, InterruptedError)):
        return _Kind(ErrorType.RANDOM_ERROR, ErrorSeverity.WARNING, "INTERRUPTED", False)
    if isinstance(error, OSError):
        if error.errno in _NO_ROOM:
            return _Kind(
                ErrorType.RESOURCE_ERROR, ErrorSeverity.CRITICAL, errno.errorcode[error.errno], True
            )
        return _Kind(
            ErrorType.UNKNOWN_ERROR,
            ErrorSeverity.ERROR,
            errno.errorcode.get(error.errno or 0, "OS_ERROR"),
            True,
        )
    if isinstance(error, RuntimeError | EngineError):
        for pattern, kind in _MESSAGES:
            if re.search(pattern, str(error), re.IGNORECASE):
                return kind
    return _Kind(ErrorType.UNKNOWN_ERROR, ErrorSeverity.ERROR, type(error).__name__, True)
