"""Reading and identification of a file's records by worker processes, ahead of the campaign."""

from collections import deque
from collections.abc import Iterator
from uuid import UUID

import msgspec

from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.triage import Identified, identified
from quantum_forge.runner.inputs.files import Record, interpret, refused, text_of
from quantum_forge.runner.workers.isolation import Isolation
from quantum_forge.runner.workers.pool import WorkerPool

AHEAD = 100
"""Records that are identified before the campaign asks for them."""

CHARACTERS_AHEAD = 64 * 2**20
"""Characters of these records together: memory must not depend on the largest."""

FUNCTION = "quantum_forge.runner.campaign.identification:identify_record"

TIMEOUT_SECONDS = 60.0
"""Seconds for a record that is tried alone. The largest molecules that `runner.molecules.limits`
allows take 5 s."""


class Unidentified(msgspec.Struct, frozen=True):
    """A record of a file, on whose behalf and for which plan it is to be identified."""

    record: Record
    tenant_id: UUID
    plan: Plan


def identify_record(item: Unidentified) -> Identified:
    """What workers run: a record becomes an input, and that a molecule, or a reason why not."""
    return identified(item.tenant_id, item.plan, interpret(item.record))


def _blamed(item: Unidentified, reason: str) -> Identified:
    why = f"cannot be read as a molecule: {reason}"
    return identified(item.tenant_id, item.plan, refused(item.record, why))


class Identification:
    """The records of a file as identified inputs, in order.

    The workers of the campaign's own pool do it, between calculations: a record over which RDKit
    crashes or never ends costs that record, not the campaign.
    """

    def __init__(
        self, pool: WorkerPool, records: Iterator[Record], tenant_id: UUID, plan: Plan
    ) -> None:
        self._records = records
        self._sizes: deque[int] = deque()
        self._tenant_id = tenant_id
        self._plan = plan
        self._isolation = Isolation[Unidentified, Identified](
            pool, FUNCTION, _blamed, timeout_s=TIMEOUT_SECONDS
        )

    def look_ahead(self) -> None:
        """Give the workers records until AHEAD of them, or CHARACTERS_AHEAD, are under way."""
        self._isolation.give(self._next_ones())

    def _next_ones(self) -> Iterator[Unidentified]:
        while len(self._sizes) < AHEAD and sum(self._sizes) < CHARACTERS_AHEAD:
            record = next(self._records, None)
            if record is None:
                return
            self._sizes.append(len(text_of(record)))
            yield Unidentified(record, self._tenant_id, self._plan)

    def heed(self, outcome: object) -> bool:
        """Take note of an outcome of the pool; False where it is of a calculation."""
        return self._isolation.heed(outcome)

    def taken(self) -> list[Identified]:
        """Remove and return what is identified."""
        found = self._isolation.taken(AHEAD)
        for _ in found:
            self._sizes.popleft()
        return found

    @property
    def is_under_way(self) -> bool:
        """Whether there is something that is not taken yet."""
        return len(self._isolation) > 0
