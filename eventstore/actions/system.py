"""Actions of the program itself, such as the report of a spool."""

from pathlib import Path

from quantum_forge.eventstore.base.envelope import Placed
from quantum_forge.eventstore.recording.domain import Domain
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.schema.domains.system import SpoolReported
from quantum_forge.schema.language.identity import natural_id


class Spools(Domain):
    """The spool of each machine."""

    def report(self, *, host: str, directory: Path) -> Placed:
        """Record how much waits in a spool now."""
        state = spool_state(directory)
        reported = SpoolReported(
            host=host,
            events=state.events,
            bytes=state.bytes,
            rejected=len(state.rejected),
            oldest_at=state.oldest,
        )
        (placed,) = self.record((natural_id("spool", self.author.tenant_id, host), reported))
        return placed
