"""Dry run of a campaign: what it would compute, and what is there already; nothing is recorded."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

import msgspec

from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.runner.campaign.identification import Identification
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.tally import KEPT, Problem
from quantum_forge.runner.campaign.triage import (
    CalculationState,
    Candidate,
    triage,
    with_statements,
)
from quantum_forge.runner.errors import CampaignInterrupted
from quantum_forge.runner.inputs.files import MoleculeFile
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.runner.workers.stopping import ATTENTION_SECONDS, StopRequest


class Preview(msgspec.Struct, kw_only=True):
    """What a run would do with the inputs of a file; the counts add up to the inputs read.

    to_compute: those that a run would compute. completed_before: those that have a result.
    not_repeated: those that ended without a result and would end so again. unreadable: those that
    are not molecules. running_elsewhere: those that another process computes now. problems: the
    first of those that are unreadable or not repeated.
    """

    to_compute: int = 0
    completed_before: int = 0
    not_repeated: int = 0
    unreadable: int = 0
    duplicates: int = 0
    running_elsewhere: int = 0
    problems: list[Problem] = []

    @property
    def inputs(self) -> int:
        """Every input accounted for so far."""
        ended = self.completed_before + self.not_repeated + self.unreadable
        return self.to_compute + ended + self.duplicates + self.running_elsewhere

    def add(self, candidate: Candidate) -> None:
        """Count an input that no earlier one repeats."""
        failure, reason = candidate.unreadable, candidate.reason or ""
        if failure is not None:
            self.unreadable += 1
            self._add_problem(candidate, "unreadable", failure.message, failure.error_type)
            return
        match candidate.state:
            case CalculationState.TO_RUN | CalculationState.ABANDONED:
                self.to_compute += 1
            case CalculationState.COMPLETED:
                self.completed_before += 1
            case CalculationState.RUNNING:
                self.running_elsewhere += 1
            case CalculationState.FAILED | CalculationState.INVALIDATED:
                self.not_repeated += 1
                kind = candidate.state.name.lower()
                self._add_problem(candidate, kind, reason, candidate.error_type)

    def _add_problem(
        self, candidate: Candidate, kind: str, reason: str, error_type: str | None
    ) -> None:
        if len(self.problems) < KEPT:
            source = candidate.source
            self.problems.append(
                Problem(
                    number=source.number,
                    name=source.name or source.source,
                    kind=kind,
                    error_type=error_type,
                    reason=reason,
                )
            )


def preview(
    reading: Callable[[], AbstractContextManager[LogReader]],
    tenant_id: UUID,
    plan: Plan,
    file: MoleculeFile,
    *,
    jobs: int,
    seen: set[UUID] | None = None,
    on_input: Callable[[bool], None] = lambda _: None,
) -> Preview:
    """Identify the molecules of a file in worker processes, and look their calculations up.

    Args:
        reading: returns a reader of the log for the length of a `with`.
        tenant_id: whose molecules they are.
        plan: what a run would compute.
        file: of molecules; its records are taken.
        jobs: how many worker processes.
        seen: calculations of other files of the same run, to which those of this one are added.
        on_input: called for each input that is accounted for, with whether it is a molecule.

    Raises:
        CampaignInterrupted: on Ctrl-C or SIGTERM.
    """
    found = Preview()
    seen = set() if seen is None else seen
    with reading() as log:
        began = log.last_assigned()
    with StopRequest() as stop, WorkerPool(jobs) as pool:
        identification = Identification(pool, file.records(), tenant_id, plan)
        identification.look_ahead()
        while not stop and identification.is_under_way:
            for outcome in pool.wait(timeout=ATTENTION_SECONDS):
                identification.heed(outcome)
            chunk = with_statements(identification.taken())
            identification.look_ahead()
            if not chunk:
                continue
            with reading() as log:
                candidates = triage(log, chunk, began=began)
            for candidate in candidates:
                if candidate.calculation_id in seen:
                    found.duplicates += 1
                else:
                    seen.add(candidate.calculation_id)
                    found.add(candidate)
                on_input(candidate.unreadable is None)
        if stop.signal is not None:
            raise CampaignInterrupted(found.inputs, file.total, signal=stop.signal)
    return found
