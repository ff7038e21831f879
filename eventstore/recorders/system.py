"""What the machinery tells of itself."""

from pathlib import Path

from eventstore.envelope import Placed
from eventstore.ids import natural_id
from eventstore.recorders.domain import Domain
from eventstore.spool_state import spool_state
from schema.events.system import SpoolReported


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
