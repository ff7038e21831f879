"""Usage of the server: a line in the access log for each request, and rows of `api_usage_logs`.

The rows are events that are appended together every few seconds, so that no request waits for an
append of its own. Requests of anonymous callers have a line only.
"""

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from quantum_forge.eventstore.actions.telemetry import request_served
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.availability.outage import REFUSALS
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.web.middleware import Answered

FLUSH_SECONDS = 2.0
MOST_WAITING = 5_000
"""Requests that wait to be recorded; more are recorded at once, or counted as lost when the
database is away."""

_UNRECORDED = ("/live", "/ready", "/metrics")
"""Paths that machines ask for all the time."""


class Usage:
    """Writes the access log, and records requests in the background.

    Args:
        recorder: returns the recorder of a tenant.
        prints: whether each request is a line on stdout.
    """

    def __init__(self, recorder: Callable[[UUID], Recorder], *, prints: bool) -> None:
        self._recorder = recorder
        self._prints = prints
        self._server_id = uuid7()
        self._waiting: list[NewEvent] = []
        self._lost = 0
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="qforge-usage", daemon=True)

    def start(self) -> None:
        """Begin to record in the background."""
        self._thread.start()

    def close(self) -> None:
        """Record what waits, and stop."""
        self._stop.set()
        self._news.set()
        self._thread.join(timeout=5)

    def served(self, answered: Answered) -> None:
        """Note a request that was answered."""
        if self._prints:
            sys.stdout.write(_line(answered))
            sys.stdout.flush()
        caller = answered.caller
        if caller is None or caller.tenant_id is None or caller.is_anonymous:
            return  # nobody without an account writes to the log
        if not answered.is_use or answered.path in _UNRECORDED:
            return
        event = request_served(
            url=f"{answered.path}?{answered.query}" if answered.query else answered.path,
            method=answered.method,
            status_code=answered.status,
            response_time_ms=answered.milliseconds,
            request_size_bytes=answered.request_bytes,
            response_size_bytes=answered.response_bytes,
            error_message=answered.error,
        )
        author = Author(
            tenant_id=caller.tenant_id,
            user_id=caller.user_id,
            ip_address=answered.address,
            correlation_id=answered.id,
        )
        new = msgspec.structs.replace(
            author.new(self._server_id, event),
            occurred_at=datetime.fromtimestamp(answered.at, UTC),
        )
        with self._lock:
            if len(self._waiting) >= 2 * MOST_WAITING:
                self._lost += 1
                return
            self._waiting.append(new)
            if len(self._waiting) >= MOST_WAITING:
                self._news.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(FLUSH_SECONDS)
            self._news.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            lost, self._lost = self._lost, 0
        if lost:
            print(f"usage of {lost} requests was not recorded", file=sys.stderr, flush=True)
        by_tenant: dict[UUID, list[NewEvent]] = {}
        for event in waiting:
            by_tenant.setdefault(event.tenant_id, []).append(event)
        for tenant_id, events in by_tenant.items():
            self._record(tenant_id, events)

    def _record(self, tenant_id: UUID, events: list[NewEvent]) -> None:
        """Append them together; what is refused, alone, so that the others are recorded."""
        try:
            self._recorder(tenant_id).record_all(*events)
        except REFUSALS as error:
            if len(events) == 1:
                print(f"usage was not recorded: {error}", file=sys.stderr, flush=True)
                return
            for event in events:
                self._record(tenant_id, [event])
        except (QuantumForgeError, SQLAlchemyError) as error:
            if self._stop.is_set():
                print(
                    f"usage of {len(events)} requests was not recorded: {error}",
                    file=sys.stderr,
                    flush=True,
                )
                return
            with self._lock:
                self._waiting = [*events, *self._waiting]


def _line(answered: Answered) -> str:
    """A request as a line of JSON; its query is left out, for it may hold what is looked for."""
    line = {
        "at": datetime.fromtimestamp(answered.at, UTC),
        "id": answered.id,
        "address": answered.address,
        "caller": None if answered.caller is None else answered.caller.name,
        "method": answered.method,
        "path": answered.path,
        "status": answered.status,
        "ms": round(answered.milliseconds, 1),
        "bytes": answered.response_bytes,
    }
    return msgspec.json.encode(line).decode() + "\n"
