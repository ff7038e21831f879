"""An attempt at a calculation, and the events of how it ended without a result that counts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.schema.domains.calculations import (
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    ErrorSeverity,
    ErrorType,
)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a calculation.

    number counts from 1. earlier: what is known of the attempts before it.
    molecule_id: None where the input is no molecule.
    """

    calculation_id: UUID
    molecule_id: UUID | None
    batch_id: UUID | None
    number: int
    earlier: tuple[dict[str, Any], ...] = ()

    @property
    def retries(self) -> int:
        """How many attempts came before it, whether anything is known of them or not."""
        return max(self.number - 1, len(self.earlier))


class Classified(Protocol):
    """What an exception means, for a person (`message`) and for a program (the rest)."""

    @property
    def error_type(self) -> ErrorType:
        """Of the catalogue."""

    @property
    def error_severity(self) -> ErrorSeverity:
        """How bad it is."""

    @property
    def error_code(self) -> str | None:
        """Of the error itself, in capitals."""

    @property
    def message(self) -> str:
        """One line."""

    @property
    def user_action_required(self) -> bool:
        """Whether another try of the same must fail again."""

    @property
    def stack_trace(self) -> str | None:
        """Where it was raised."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a failure; see `Classified`."""

    message: str
    error_type: ErrorType = ErrorType.UNKNOWN_ERROR
    error_severity: ErrorSeverity = ErrorSeverity.ERROR
    error_code: str | None = None
    stack_trace: str | None = None
    user_action_required: bool = False


def failed(
    attempt: Attempt, failure: Classified, seconds: float | None = None
) -> CalculationFailed:
    """The event of an attempt without a result, for a reason that is known."""
    return CalculationFailed(
        molecule_id=attempt.molecule_id,
        batch_id=attempt.batch_id,
        attempt=attempt.number,
        error_type=failure.error_type,
        error_severity=failure.error_severity,
        error_message=storable(failure.message),
        error_code=failure.error_code,
        stack_trace=failure.stack_trace and storable(failure.stack_trace),
        retry_count=attempt.retries,
        retry_attempts=list(attempt.earlier) or None,
        user_action_required=failure.user_action_required,
        wall_time_seconds=seconds,
    )


def invalidated(attempt: Attempt, reason: str, seconds: float | None) -> CalculationInvalidated:
    """The event of a result that physics or a person refuses."""
    return CalculationInvalidated(
        molecule_id=attempt.molecule_id,
        batch_id=attempt.batch_id,
        reason=storable(reason),
        attempt=attempt.number,
        wall_time_seconds=seconds,
    )


def lost(
    attempt: Attempt, reason: str, seconds: float | None = None, *, code: str | None = None
) -> CalculationLost:
    """The event of an attempt whose process went away."""
    return CalculationLost(
        molecule_id=attempt.molecule_id,
        batch_id=attempt.batch_id,
        attempt=attempt.number,
        error_message=storable(reason),
        error_code=code,
        retry_count=attempt.retries,
        wall_time_seconds=seconds,
    )


FAILED = (CalculationFailed.event_type, CalculationLost.event_type)
"""The events of attempts without a result."""


def earlier_in(history: Iterable[RecordedEvent]) -> tuple[dict[str, Any], ...]:
    """What the next attempt shall know of those in a calculation's history that failed."""
    return tuple(
        as_earlier(
            event.data["attempt"],
            event.data["error_type"],
            event.data["error_message"],
            event.occurred_at,
        )
        for event in history
        if event.event_type in FAILED
    )


def as_earlier(number: int, error_type: str, message: str, at: datetime) -> dict[str, Any]:
    """A failed attempt, as the next one knows it."""
    return {
        "attempt": number,
        "error_type": error_type,
        "error_message": message,
        "at": at.isoformat(),
    }


def storable(text: str) -> str:
    """Text without the two things that no UTF-8 database stores: NUL and lone surrogates."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")
