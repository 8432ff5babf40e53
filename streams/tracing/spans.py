"""Spans of requests and of batches of behaviours, made by a thread of their own when all is over.

Invariant: an answer's `traceparent` names the request's span, so that span has the id that `begin` chose. What cannot
be made as fast as it comes is dropped and told in the log: tracing never holds up an answer or a batch.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from muse_stream.monitoring.logs import fields
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.tracing import context
from muse_stream.streams.tracing.context import SAMPLED, TraceContext
from muse_stream.streams.tracing.tracing import Trace, Tracing

log = logging.getLogger(__name__)

WAITING_MAX = 4_096
"""Requests and batches whose spans are still to be made: about a second of a busy worker's, in some megabytes."""
LINKS_MAX = 4
"""Contexts of records that a batch's span is linked to: enough to find the batch from a record's trace and back."""
CLOSE_SECONDS = 2.0
"""For each step of the end: a collector that is there takes what is left in milliseconds."""
FAULTS = frozenset({"error", "not_ready", "overload", "expired"})
"""Outcomes that are not the client's doing: the span's status is an error."""


class SpanTracing(Tracing):
    """Makes a span of every request whose caller records its trace, and of a share of those that came without one.

    Args:
        processor: Takes the spans.
        resource: Who makes them.
        share: Of the requests without a context, 0 to 1.

    """

    def __init__(self, processor: SpanProcessor, resource: Resource, share: float) -> None:
        self._share = share
        self._ids = _ChosenIds()
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("muse_stream")
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING_MAX)
        self._dropped = 0
        self._thread = threading.Thread(target=self._make, name="muse-spans", daemon=True)
        self._thread.start()

    def begin(self, given: TraceContext | None) -> Trace:
        """Choose the id of the request's span, where it gets one."""
        if not (random.random() < self._share if given is None else given.sampled):
            return super().begin(given)
        trace_id = given.trace_id if given else _hexadecimal(128)
        flags, state = (given.flags, given.state) if given else (SAMPLED, "")
        return Trace(TraceContext(trace_id, _hexadecimal(64), flags, state), given, recorded=True)

    def answered(self, trace: Trace, outcome: str, stages: Mapping[str, float], about: Mapping[str, object]) -> None:
        """Have the request's spans made."""
        if trace.recorded:
            self._later(partial(self._request, trace, outcome, dict(stages), about, time.time_ns()))

    def ingested(self, batch: BatchStats) -> None:
        """Have the batch's spans made, where one of the first contexts of its records is recorded by its writer."""
        if batch.serving and batch.live and batch.headers:
            contexts = map(context.from_record, islice(filter(None, batch.headers), LINKS_MAX))
            links = [found for found in contexts if found and found.sampled]
            if links:
                self._later(partial(self._batch, batch, links))

    def close(self) -> None:
        """Make what waits, hand it over, and end."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)
        handing_over = threading.Thread(target=self._provider.shutdown, name="muse-spans-end", daemon=True)
        handing_over.start()  # where nobody listens, OpenTelemetry goes on for a quarter of a minute
        handing_over.join(CLOSE_SECONDS)

    def _later(self, make: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(make)
        except queue.Full:
            self._dropped += 1
            log.warning("spans are not made as fast as requests are answered", extra=fields(dropped=self._dropped))

    def _make(self) -> None:
        while (make := self._waiting.get()) is not None:
            try:
                make()
            except Exception:
                log.exception("spans were not made")

    def _request(
        self, trace: Trace, outcome: str, stages: Mapping[str, float], about: Mapping[str, object], ended_ns: int
    ) -> None:
        if trace.context is None:
            return
        self._ids.choose(trace.context)
        parent = Context() if trace.caller is None else _remote(trace.caller)
        began_ns = ended_ns - int(sum(stages.values()) * 1e9)
        root = self._tracer.start_span("muse.request", parent, SpanKind.SERVER, start_time=began_ns)
        root.set_attributes(_attributes({"outcome": outcome, **about}))
        if outcome in FAULTS:
            root.set_status(Status(StatusCode.ERROR, outcome))
        root.end(self._stages(root, began_ns, stages))

    def _batch(self, batch: BatchStats, contexts: list[TraceContext]) -> None:
        stages = {"decode": batch.decode_seconds, "store": batch.store_seconds, "engine": batch.engine_seconds}
        began_ns = batch.visible_at_ms * 1_000_000 - int(sum(stages.values()) * 1e9)
        links = [Link(_span_context(one)) for one in contexts]
        root = self._tracer.start_span("muse.ingest", Context(), SpanKind.CONSUMER, links=links, start_time=began_ns)
        about = {"topic": batch.topic, "partition": batch.partition, "records": batch.records, "rows": batch.rows}
        root.set_attributes(_attributes(about))
        root.end(self._stages(root, began_ns, stages))

    def _stages(self, root: Span, began_ns: int, stages: Mapping[str, float]) -> int:
        """A span per stage, one after the other; returns when the last one ended."""
        within, ended_ns, seconds = set_span_in_context(root, Context()), began_ns, 0.0
        for stage, part in stages.items():
            span = self._tracer.start_span(f"muse.{stage}", within, start_time=ended_ns)
            seconds += part
            ended_ns = began_ns + int(seconds * 1e9)
            span.end(ended_ns)
        return ended_ns


class _ChosenIds(IdGenerator):
    """Gives the next span the ids that were chosen for it, others random ones. Used by one thread."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._span: int | None = None
        self._trace: int | None = None

    def choose(self, chosen: TraceContext) -> None:
        """For the next span."""
        self._span, self._trace = int(chosen.span_id, 16), int(chosen.trace_id, 16)

    def generate_span_id(self) -> int:
        """Return the chosen id once; then the trace's is not wanted any more either."""
        found, self._span, self._trace = self._span, None, None
        return self._random.generate_span_id() if found is None else found

    def generate_trace_id(self) -> int:
        """Return the chosen id while its span has not begun."""
        return self._random.generate_trace_id() if self._trace is None else self._trace


def _attributes(values: Mapping[str, object]) -> dict[str, str | int | float]:
    return {f"muse.{name}": value for name, value in values.items() if isinstance(value, str | int | float)}


def _remote(caller: TraceContext) -> Context:
    return set_span_in_context(NonRecordingSpan(_span_context(caller)), Context())


def _span_context(of: TraceContext) -> SpanContext:
    state = TraceState.from_header([of.state]) if of.state else None
    return SpanContext(int(of.trace_id, 16), int(of.span_id, 16), True, TraceFlags(of.flags), state)


def _hexadecimal(bits: int) -> str:
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
