"""Notes on stderr before a run: of retracted results, and of other batches with its name."""

import socket
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from quantum_forge.cli.show import console
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.projections.queries import lookup
from quantum_forge.runner.campaign.plan import Plan

NAMESAKES_SHOWN = 3


def note_retracted(log: LogReader, method: str, version: str) -> None:
    """Warn on stderr of a run by a method or program version whose results were retracted."""
    for each in log.repeated_retractions(
        method=method, program_version=version, host=socket.gethostname()
    ):
        console.note(
            f"Warning: this run computes with {each.what} again, whose results were retracted "
            f"on {each.decided_at:%Y-%m-%d}: {' '.join(each.reason.split())}"
        )


def note_namesakes(others: Sequence[dict[str, Any]], plan: Plan, its_id: UUID) -> None:
    """Say in one line on stderr that a run makes a new batch beside others of its name.

    Args:
        others: the batches of its name, as rows of `batch_jobs`.
        plan: of the run.
        its_id: of the batch that it makes or goes on with.
    """
    if others and all(str(other["id"]) != str(its_id) for other in others):
        listed = ", ".join(map(lookup.described, others[:NAMESAKES_SHOWN]))
        more = len(others) - NAMESAKES_SHOWN
        console.note(
            f"New batch {plan.batch} {str(its_id)[:8]}; other batches with this name: {listed}"
            + (f", and {more} more" if more > 0 else "")
        )
