"""Report of a machine's spool, which other machines then see in the database."""

from pathlib import Path

from quantum_forge.eventstore.recording.recorder import Receipt, Recorder
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.schema.domains.system import SpoolReported
from quantum_forge.schema.language.identity import natural_id


def report_spool(recorder: Recorder, *, host: str, directory: Path) -> Receipt:
    """Record how much waits in a spool now."""
    state = spool_state(directory)
    reported = SpoolReported(
        host=host,
        events=state.events,
        bytes=state.bytes,
        rejected=len(state.rejected),
        oldest_at=state.oldest,
    )
    return recorder.record(reported, of=natural_id("spool", recorder.tenant_id, host))
