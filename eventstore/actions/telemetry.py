"""Actions of services: metrics, API usage, errors; one stream for each recorder."""

import re
import traceback
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from quantum_forge.eventstore.base.envelope import Placed
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.recording.attempt import storable
from quantum_forge.eventstore.recording.domain import Domain
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.calculations import ErrorSeverity
from quantum_forge.schema.domains.telemetry import ApiRequestServed, Error, PerformanceMetric
from quantum_forge.schema.language.fields import LONGEST_INDEXED

HIDDEN = "***"
CUT = "…"
"""The end of a text that was cut; as the name of a parameter, how many were left out."""

LONGEST_QUERY = 2_000
"""Characters of the parameters of a request that are recorded: they stay in the log for ever."""

_SECRET_NAME = re.compile(
    r"pass(wor[dt]|wd|phrase)|secret|token|credential|signature|cookie|jwt|bearer|api.?key"
    r"|(^|[_.-])(pass|pwd|key|auth|authorization|sig|session|sid|otp|pin)([_.-]|$)|^code$",
    re.IGNORECASE,
)
"""Names of parameters whose values nobody but their owner may see: better one too many."""


class Telemetry(Domain):
    """Metrics, requests and errors of one running service.

    Args:
        recorder: on whose behalf; of a request, its user. Its spool is not used.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.source_id = uuid7()

    def record_metrics(self, *metrics: PerformanceMetric) -> list[Placed]:
        """Record measurements, all or none, in one append."""
        return self.record(*((self.source_id, metric) for metric in metrics))

    def report_exception(
        self,
        error: BaseException,
        *,
        service: str,
        severity: ErrorSeverity = ErrorSeverity.ERROR,
        context: dict[str, object] | None = None,
    ) -> Placed:
        """Record an exception with where it was raised; never the values of variables."""
        reported = Error(
            service=service,
            severity=severity,
            error_type=type(error).__name__[:LONGEST_INDEXED],
            message=storable(str(error)),
            stack_trace=storable("".join(traceback.format_exception(error))),
            context=context,
        )
        return self.record((self.source_id, reported))[0]

    def record_request(
        self,
        *,
        url: str,
        method: str,
        status_code: int,
        response_time_ms: float,
        request_size_bytes: int | None = None,
        response_size_bytes: int | None = None,
        error_message: str | None = None,
    ) -> Placed:
        """Record a request that was answered: see `request_served`."""
        event = request_served(
            url=url,
            method=method,
            status_code=status_code,
            response_time_ms=response_time_ms,
            request_size_bytes=request_size_bytes,
            response_size_bytes=response_size_bytes,
            error_message=error_message,
        )
        return self.record((self.source_id, event))[0]


def request_served(
    *,
    url: str,
    method: str,
    status_code: int,
    response_time_ms: float,
    request_size_bytes: int | None = None,
    response_size_bytes: int | None = None,
    error_message: str | None = None,
) -> ApiRequestServed:
    """Return the event of a request, without what in its URL may be a secret.

    Args:
        url: path and query, as requested; a longer path is cut to 500 characters, and the names
            and values of the query to `LONGEST_QUERY` in all.
        method: GET, POST, …
        status_code: of HTTP.
        response_time_ms: time until the answer, in ms.
        request_size_bytes: of the body.
        response_size_bytes: of the body.
        error_message: what went wrong; cut to `LONGEST_QUERY` characters.
    """
    parts = urlsplit(url)
    query = {
        storable(name): storable(value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    }
    return ApiRequestServed(
        endpoint=storable(parts.path)[:LONGEST_INDEXED] or "/",
        method=method.upper(),
        status_code=status_code,
        response_time_ms=response_time_ms,
        request_size_bytes=request_size_bytes,
        response_size_bytes=response_size_bytes,
        error_message=None if error_message is None else _cut(storable(error_message)),
        query_parameters=_bounded(sanitised(query)) if query else None,
    )


def sanitised(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without the values of those whose names sound like a secret."""
    return {
        name: HIDDEN if _SECRET_NAME.search(name) else value for name, value in parameters.items()
    }


def _bounded(parameters: Mapping[str, str]) -> dict[str, object]:
    """The first parameters, as far as they have `LONGEST_QUERY` characters in all."""
    kept: dict[str, object] = {}
    left = LONGEST_QUERY
    for number, (name, value) in enumerate(parameters.items()):
        if len(name) >= left:
            return {**kept, CUT: len(parameters) - number}
        left -= len(name)
        kept[name] = _cut(value, left)
        left -= min(left, len(value))
    return kept


def _cut(text: str, most: int = LONGEST_QUERY) -> str:
    return text if len(text) <= most else text[:most] + CUT
