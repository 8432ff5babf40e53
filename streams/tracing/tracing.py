"""A request's place in a trace, and who makes spans of it.

Invariant: what a request needs to know of its trace is known before it is computed, as text; spans are made of its
stage times after it was answered. Without an endpoint OpenTelemetry is not even imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from muse_stream.streams.errors import SettingsError
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.records import Headers
from muse_stream.streams.settings import Settings
from muse_stream.streams.tracing.context import TraceContext


@dataclass(frozen=True, slots=True)
class Trace:
    """One request's place in a trace.

    Attributes:
        context: What its answer carries; None: it is in no trace.
        caller: What it came with, where a span of its own is made; else None.
        recorded: Whether a span of its own is made.

    """

    context: TraceContext | None = None
    caller: TraceContext | None = None
    recorded: bool = False

    @property
    def id(self) -> str | None:
        """The trace's id, for log lines."""
        return self.context.trace_id if self.context else None

    def record_headers(self) -> Headers | None:
        """Headers of the answer's record."""
        return self.context.of_record() if self.context else None

    def http_headers(self) -> dict[str, str]:
        """Headers of the HTTP answer."""
        return self.context.of_http() if self.context else {}


UNTRACED = Trace()


class Tracing:
    """Makes no spans: the context that a request brings goes into its answer as it came."""

    def begin(self, given: TraceContext | None) -> Trace:
        """Take a request that came with this context."""
        return UNTRACED if given is None else Trace(given)

    def answered(self, trace: Trace, outcome: str, stages: Mapping[str, float], about: Mapping[str, object]) -> None:
        """Take note of an answer that the client has, or the broker for it, since this moment.

        Args:
            trace: What `begin` gave.
            outcome: How the request ended.
            stages: Seconds per stage, in the order in which they followed one another.
            about: What else is known, by name; None is left out.

        """

    def ingested(self, batch: BatchStats) -> None:
        """Take note of a batch of records that has just taken effect; any thread."""

    def close(self) -> None:
        """Hand over what is left; returns within seconds."""


def open_tracing(settings: Settings, version: str) -> Tracing:
    """What the settings ask for.

    Raises:
        SettingsError: Spans are wanted and OpenTelemetry is not installed.

    """
    if settings.tracing.endpoint is None:
        return Tracing()
    try:
        from muse_stream.streams.tracing.otlp import open_spans  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = (
            f"tracing.endpoint is set and OpenTelemetry is not usable here ({error}); install the extra "
            "'muse-stream[otel]', or unset it: trace ids go through without"
        )
        raise SettingsError(message) from error
    return open_spans(settings, version)
