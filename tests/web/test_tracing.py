"""Traces: from a request over the events that it appends to the batch that folds them."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from quantum_forge.eventstore.base import tracing
from tests.web.conftest import Served

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Keep the spans of a test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)
    provider.shutdown()


def trace_of(span: ReadableSpan) -> str:
    """The trace that a span is of."""
    return f"{span.context.trace_id:032x}"


def linked(spans: InMemorySpanExporter) -> set[str]:
    """The traces that batches of projectors link to."""
    batches = [each for each in spans.get_finished_spans() if each.name == "project"]
    return {f"{link.context.trace_id:032x}" for each in batches for link in each.links}


def test_a_trace_goes_from_the_request_to_the_event_and_the_batch_links_to_it(
    served: Served, spans: InMemorySpanExporter
) -> None:
    """Whoever sees a slow page finds what was appended for it, and when that was folded."""
    sent = f"00-{TRACE}-00f067aa0ba902b7-01"
    with served.client("bob") as client:
        created = client.post(
            "/rest/v1/projects", json={"name": "Traced"}, headers={"traceparent": sent}
        )
        assert created.status_code == 201, created.text
        assert "total;dur=" in created.headers["Server-Timing"]
        denied = client.get("/rest/v1/event_logs?select=id", headers={"traceparent": "nonsense"})
    with served.engine.connect() as connection:
        traceparent = connection.scalar(
            text("SELECT metadata->>'traceparent' FROM event_logs WHERE data->>'name' = 'Traced'")
        )

    deadline = time.monotonic() + 20  # the server projects by itself
    while TRACE not in linked(spans):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = list(spans.get_finished_spans())
    requests = [each for each in found if each.name == "POST /rest/v1/{table}"]
    assert [trace_of(each) for each in requests] == [TRACE]
    assert requests[0].parent is not None
    assert requests[0].attributes["http.response.status_code"] == 201
    assert TRACE in {trace_of(each) for each in found if each.name == "append"}
    assert traceparent is not None
    assert traceparent.split("-")[1] == TRACE
    (refused,) = (each for each in found if each.name == "GET /rest/v1/{table}")
    assert denied.status_code == refused.attributes["http.response.status_code"] == 403
    assert refused.parent is None
    assert not [each for each in found if "Traced" in str(dict(each.attributes or {}))]


@pytest.mark.parametrize(
    ("environ", "is_on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_variables_of_opentelemetry_decide(environ: dict[str, str], is_on: bool) -> None:
    """Whether there are traces at all."""
    assert tracing.is_asked_for(environ) is is_on


def test_without_traces_nothing_of_opentelemetry_is_imported() -> None:
    """Who does not ask for them does not pay for them; who asks gets them on stderr or by OTLP."""
    program = (
        "import sys\n"
        "from quantum_forge.eventstore.base import tracing\n"
        "import quantum_forge.eventstore.log.appender, quantum_forge.projections.follow.following\n"
        "tracing.begin({})\n"
        "with tracing.span('x'): assert tracing.traceparent() is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "tracing.begin({'OTEL_TRACES_EXPORTER': 'console'})\n"
        "with tracing.span('x'): print(tracing.traceparent())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("00-")
    assert '"name": "x"' in done.stderr
