"""Records one attempt at a calculation, so that however it is left, the log says how it ended."""

import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import NewEvent, Placed
from quantum_forge.eventstore.base.errors import (
    CalculationEnded,
    EventRefused,
    RuleBroken,
    VersionConflict,
)
from quantum_forge.eventstore.recording.attempt import (
    Attempt,
    Cause,
    Classified,
    failed,
    invalidated,
    lost,
)
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationEvent,
    CalculationStarted,
    ErrorSeverity,
    ErrorType,
)
from quantum_forge.schema.language.event import Event

Classify = Callable[[BaseException], Classified]


class Records(Protocol):
    """What an attempt needs of a recorder."""

    def new(self, entity_id: UUID, event: Event, *, expected_version: int | None) -> NewEvent:
        """Make an event of the author, now."""

    def record_all(self, *events: NewEvent) -> list[Placed] | None:
        """Record events, all or none; None while they are in the spool."""


class CalculationRecording:
    """An attempt that is being recorded; `Recorder.calculation` makes it.

    `version` is that of its stream after what was recorded last, or None if any was expected.
    """

    def __init__(
        self,
        recorder: Records,
        calculation_id: UUID,
        started: CalculationStarted,
        *,
        expected_version: int | None,
        classify: Classify | None,
    ) -> None:
        self.id = calculation_id
        self.version = expected_version
        self.attempt = started.attempt
        self._attempt = Attempt(
            calculation_id=calculation_id,
            molecule_id=started.molecule_id,
            batch_id=started.batch_id,
            number=started.attempt,
        )
        self._recorder = recorder
        self._started = started
        self._classify = classify
        self._ended: str | None = None
        self._ending = threading.Lock()
        self._began = 0.0

    def __enter__(self) -> Self:
        self._record(self._started)
        self._began = time.perf_counter()
        return self

    def complete(self, result: object) -> None:
        """Record the result.

        Args:
            result: the fields of `CalculationCompleted`, as a mapping, dataclass or Struct, in the
                units that it names. What the attempt knows by itself may be left out: ids, program,
                and the wall time since it began.

        Raises:
            EventRefused: when a field is missing or wrong; it is named, and nothing was recorded.
            CalculationEnded: when it has ended before.
            VersionConflict, RuleBroken: when somebody else has recorded its end.
        """
        self._end(self._completed(result))

    def fail(
        self,
        message: str,
        *,
        error_type: ErrorType = ErrorType.UNKNOWN_ERROR,
        error_severity: ErrorSeverity = ErrorSeverity.ERROR,
        error_code: str | None = None,
        stack_trace: str | None = None,
        user_action_required: bool = False,
    ) -> None:
        """Record that there is no result, and why; raises as `complete` does."""
        cause = Cause(
            message=message,
            error_type=error_type,
            error_severity=error_severity,
            error_code=error_code,
            stack_trace=stack_trace,
            user_action_required=user_action_required,
        )
        self._end(failed(self._attempt, cause, self._seconds()))

    def invalidate(self, reason: str) -> None:
        """Record a result that physics or a person refuses; raises as `complete` does."""
        self._end(invalidated(self._attempt, reason, self._seconds()))

    def lose(self, reason: str) -> None:
        """Record that what computed went away; raises as `complete` does."""
        self._end(lost(self._attempt, reason, self._seconds()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ended is not None:
            return
        if error is None:
            self.lose("the block that computed it ended without a result")
            return
        try:
            if isinstance(error, Exception):
                self._fail_by(error)
            else:
                self.lose(f"interrupted ({type(error).__name__})")
        except (VersionConflict, RuleBroken) as conflict:
            # The caller's exception goes on; that the end was recorded already is a remark on it.
            error.add_note(f"Its failure was not recorded: {conflict}")

    def _fail_by(self, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        if self._classify is None:
            text = " ".join(str(error).split()) or type(error).__name__
            self.fail(text, error_code=type(error).__name__, stack_trace=trace)
            return
        self._end(failed(self._attempt, self._classify(error), self._seconds()))

    def _completed(self, result: object) -> CalculationCompleted:
        name = CalculationCompleted.event_type
        try:
            fields = msgspec.to_builtins(result)
            if not isinstance(fields, dict):
                raise EventRefused(name, f"{type(result).__name__} has no named fields")
            known: dict[str, Any] = {
                "program": self._started.program,
                "program_version": self._started.program_version,
                "wall_time_seconds": self._seconds(),
                **fields,
                "molecule_id": self._started.molecule_id,
                "batch_id": self._started.batch_id,
            }
            return msgspec.convert(known, CalculationCompleted)
        except (msgspec.MsgspecError, TypeError) as error:
            raise EventRefused(name, str(error)) from error

    def _end(self, event: CalculationEvent) -> None:
        # Of two threads that end it, the second waits for the first.
        with self._ending:
            if self._ended is not None:
                raise CalculationEnded(str(self.id), self._ended, event.event_type)
            self._record(event)
            self._ended = event.event_type

    def _record(self, event: CalculationEvent) -> None:
        new = self._recorder.new(self.id, event, expected_version=self.version)
        placed = self._recorder.record_all(new)
        if placed is not None:
            self.version = placed[0].version
        elif self.version is not None and self.version >= 0:
            self.version += 1

    def _seconds(self) -> float:
        return time.perf_counter() - self._began
