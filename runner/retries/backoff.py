"""Backoff of failed attempts: number of retries and delay by type of error."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.schema.domains.calculations import ErrorType

RETRIES: Mapping[ErrorType, int] = {
    ErrorType.INPUT_ERROR: 0,
    ErrorType.CONVERGENCE_ERROR: 1,
    ErrorType.UNKNOWN_ERROR: 1,
    ErrorType.TIMEOUT: 3,
    ErrorType.RESOURCE_ERROR: 3,
    ErrorType.RANDOM_ERROR: 5,
    ErrorType.COMPUTE_LOST: 5,
}
"""Retries after errors of a type, unless a limit is given. The same input fails the same way."""

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
"""The delay before the first retry, and the one that doubling ends at, without jitter."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How failures are retried.

    limit: retries after errors of one type, for all types but input errors; None: RETRIES.
    first_seconds, longest_seconds: in s.
    """

    limit: int | None = None
    first_seconds: float = FIRST_SECONDS
    longest_seconds: float = LONGEST_SECONDS

    def allowed(self, error_type: ErrorType) -> int:
        """Return the number of retries after errors of this type."""
        if self.limit is None or error_type is ErrorType.INPUT_ERROR:
            return RETRIES[error_type]
        return self.limit

    def delay(self, failures: int, draw: float) -> timedelta:
        """Return the delay between the last failure of a calculation and its next attempt.

        Args:
            failures: so far, at least 1; each one doubles the delay.
            draw: a random number from 0 to 1.
        """
        seconds = pause_after(
            failures, first=self.first_seconds, longest=self.longest_seconds, draw=draw
        )
        return timedelta(seconds=seconds)
