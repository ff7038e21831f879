"""What a batch took, told by the events of its calculations."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.schema.domains.batches import BatchCompleted, BatchStarted, batch_id
from quantum_forge.schema.domains.calculations import CalculationFailed, ErrorSeverity, ErrorType
from tests.support.campaigns import rows
from tests.support.chemical_history import NOON, completed, created, happened, record, started

DRUGS = batch_id(DEFAULT_TENANT_ID, "drugs")
ONE, TWO, THREE = (UUID(int=n, version=4) for n in (1, 2, 3))


def test_a_batch_tells_what_its_jobs_took(engine: Engine) -> None:
    """Times over all attempts that have one, errors by type, and how busy the workers were."""
    # Given: two workers, ten seconds; two results of 0.5 s, a timeout of 9 s, an unreadable input
    timed_out = CalculationFailed(
        molecule_id=None,
        batch_id=DRUGS,
        attempt=1,
        error_type=ErrorType.TIMEOUT,
        error_severity=ErrorSeverity.ERROR,
        error_message="stopped",
        wall_time_seconds=9.0,
    )
    unreadable = msgspec.structs.replace(
        timed_out, error_type=ErrorType.INPUT_ERROR, wall_time_seconds=None
    )
    record(
        engine,
        created("O"),
        happened(BatchStarted(name="drugs", parameters={}, total_count=4, workers=2), DRUGS),
        *(started(id_, "O", batch_id=DRUGS) for id_ in (ONE, TWO)),
        *(completed(id_, "O", batch_id=DRUGS) for id_ in (ONE, TWO)),
        happened(timed_out, THREE),
        happened(unreadable, THREE),
        happened(
            BatchCompleted(total_count=4, successful_count=2, failed_count=2),
            DRUGS,
            at=NOON + timedelta(seconds=10),
        ),
    )

    # When
    (row,) = rows(engine, "batch_job_performance")

    # Then
    assert (row["successful_jobs"], row["failed_jobs"]) == (2, 2)
    assert (row["timeout_jobs"], row["convergence_failure_jobs"]) == (1, 0)
    assert row["error_breakdown"] == {"timeout": 1, "input_error": 1}
    assert (row["min_job_time"], row["max_job_time"]) == (0.5, 9.0)
    assert row["average_job_time"] == pytest.approx(10 / 3)
    assert row["parallelization_efficiency"] == pytest.approx(0.5)
    assert row["total_cpu_time_hours"] == pytest.approx(0.8 / 3600)
    assert row["average_memory_mb"] is None
