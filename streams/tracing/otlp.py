"""Spans by OTLP over HTTP, to a collector or whatever else understands it.

Headers, certificates and compression are OpenTelemetry's own business: its environment variables
(`OTEL_EXPORTER_OTLP_HEADERS` and so on) count, and so do `OTEL_RESOURCE_ATTRIBUTES`.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from muse_stream.streams.settings import Settings
from muse_stream.streams.tracing.spans import SpanTracing

SEND_SECONDS = 5.0
"""For one request to the collector, further attempts included."""


def open_spans(settings: Settings, version: str) -> SpanTracing:
    """Spans to `tracing.endpoint`; nobody is asked before the first one."""
    about = {"service.name": settings.app.name, "service.version": version}
    if settings.app.instance_id is not None:
        about["service.instance.id"] = settings.app.instance_id
    exporter = OTLPSpanExporter(endpoint=settings.tracing.endpoint, timeout=SEND_SECONDS)
    return SpanTracing(BatchSpanProcessor(exporter), Resource.create(about), settings.tracing.sample_share)
