"""Spans of OpenTelemetry, where the environment asks for them by its standard variables.

Until `begin` finds that it does, nothing is imported, and a span costs a look at one variable.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

MOST_LINKS = 100
"""Links of one span; OpenTelemetry's own limit is 128."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""https://www.w3.org/TR/trace-context/#traceparent-header"""

_OFF: AbstractContextManager[None] = nullcontext()


class _Tracing:
    """Whether spans are made: by which tracer."""

    tracer: "Tracer | None" = None


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces: it names an exporter, or where to export to."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    return any(environ.get(name) for name in _ENDPOINTS)


def begin(environ: Mapping[str, str] | None = None) -> None:
    """Export spans from now on, if the environment asks for them and the extra `otel` is there.

    What is exported where, which spans are sampled and what the service is called follow from the
    variables of OpenTelemetry: OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, ….
    """
    environ = os.environ if environ is None else environ
    if _Tracing.tracer is not None or not is_asked_for(environ):
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    except ImportError:
        return  # a variable of the whole machine does not break a program without the extra
    given = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": "qforge"}
    provider = TracerProvider(resource=Resource.create(given))
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "console":
        import sys

        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
    else:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            return
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: "TracerProvider | None") -> None:
    """Make spans by a provider from now on: by that of the program around; None: make none."""
    _Tracing.tracer = None if provider is None else provider.get_tracer("quantum_forge")


def is_on() -> bool:
    """Whether spans are made."""
    return _Tracing.tracer is not None


def span(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    links: Iterable[str] = (),
) -> AbstractContextManager[object]:
    """Return a span for the length of a `with`; without tracing, nothing.

    Args:
        name: of the kind of work, without ids.
        attributes: of this one.
        links: the traceparents of what led to it.
    """
    return _OFF if _Tracing.tracer is None else _span(_Tracing.tracer, name, attributes, links)


@contextmanager
def _span(
    tracer: "Tracer", name: str, attributes: Mapping[str, Any] | None, links: Iterable[str]
) -> "Iterator[Span]":
    from opentelemetry.trace import Link

    linked = [Link(context) for context in map(_context_of, links) if context is not None]
    with (
        tracer.start_as_current_span(
            name, attributes=attributes, links=linked, record_exception=False
        ) as made,
        _failing(made),
    ):
        yield made


@contextmanager
def request_span(name: str, headers: Mapping[str, str]) -> "Iterator[Span | None]":
    """Make a span of a request, which continues the trace that its headers name."""
    if (tracer := _Tracing.tracer) is None:
        yield None
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    wanted = {key: headers[key] for key in ("traceparent", "tracestate") if key in headers}
    with (
        tracer.start_as_current_span(
            name,
            context=TraceContextTextMapPropagator().extract(wanted),
            kind=SpanKind.SERVER,
            record_exception=False,
        ) as made,
        _failing(made),
    ):
        yield made


@contextmanager
def _failing(made: "Span") -> Iterator[None]:
    """Mark a span as failed by the type of the error: its text may have what nobody shall read."""
    from opentelemetry.trace import StatusCode

    try:
        yield
    except Exception as error:
        made.set_attribute("error.type", type(error).__name__)
        made.set_status(StatusCode.ERROR, type(error).__name__)
        raise


def traceparent() -> str | None:
    """Return the traceparent of the present span; None where there is none."""
    if _Tracing.tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context_of(written: str) -> Any:
    """The context of a span that another process made; None for a text that names none."""
    from opentelemetry.trace import SpanContext, TraceFlags

    match = _TRACEPARENT.fullmatch(written)
    if match is None:
        return None
    context = SpanContext(
        int(match[1], 16),
        int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )
    return context if context.is_valid else None
