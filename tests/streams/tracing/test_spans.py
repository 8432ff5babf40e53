"""Spans of requests and batches, as an exporter gets them."""

import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.records import Headers
from muse_stream.streams.tracing import spans
from muse_stream.streams.tracing.context import TraceContext, parse
from muse_stream.streams.tracing.spans import LINKS_MAX, SpanTracing
from muse_stream.streams.tracing.tracing import UNTRACED

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORDED, UNRECORDED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
STAGES = {"decode": 0.001, "queue": 0.002, "gsu": 0.004, "encode": 0.0005, "produce": 0.003}


class Recorded:
    """Tracing into memory."""

    def __init__(self, share: float) -> None:
        self._exporter = InMemorySpanExporter()
        resource = Resource.create({"service.name": "muse"})
        self.tracing = SpanTracing(SimpleSpanProcessor(self._exporter), resource, share)

    def spans(self) -> dict[str, ReadableSpan]:
        """What was made, by name; nothing more can be made then."""
        self.tracing.close()
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded(share=0.0)
    yield made
    made.tracing.close()


def hexadecimal(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def test_a_request_continues_its_callers_trace_and_its_answer_names_its_span(recorded: Recorded) -> None:
    trace = recorded.tracing.begin(parse(RECORDED, "rojo=1"))
    assert trace.id == TRACE
    assert trace.context is not None
    assert trace.context.sampled
    assert trace.context.span_id != SPAN
    assert trace.context.state == "rojo=1"
    recorded.tracing.answered(trace, "ok", STAGES, {"request_id": "r1", "candidates": 20, "history": None})
    made = recorded.spans()
    root = made.pop("muse.request")
    assert hexadecimal(root) == (TRACE, trace.context.span_id)
    assert root.parent is not None
    assert (f"{root.parent.span_id:016x}", root.parent.is_remote) == (SPAN, True)
    assert root.kind is SpanKind.SERVER
    assert root.attributes == {"muse.outcome": "ok", "muse.request_id": "r1", "muse.candidates": 20}
    assert root.status.status_code is StatusCode.UNSET
    assert list(made) == [f"muse.{stage}" for stage in STAGES]
    assert {hexadecimal(span)[0] for span in made.values()} == {TRACE}
    assert {span.parent.span_id for span in made.values() if span.parent} == {int(trace.context.span_id, 16)}


def test_stages_follow_one_another_and_fill_the_request(recorded: Recorded) -> None:
    before = time.time_ns()
    recorded.tracing.answered(recorded.tracing.begin(parse(RECORDED)), "ok", STAGES, {})
    made = recorded.spans()
    root = made.pop("muse.request")
    assert root.start_time is not None
    assert before <= root.start_time + int(sum(STAGES.values()) * 1e9) <= time.time_ns()
    at = root.start_time
    for stage in made.values():
        assert stage.start_time == at
        assert stage.end_time is not None
        assert (stage.end_time - at) / 1e9 == pytest.approx(STAGES[stage.name.removeprefix("muse.")], abs=1e-8)
        at = stage.end_time
    assert root.end_time == at


def test_a_fault_of_ours_is_one_of_the_span(recorded: Recorded) -> None:
    recorded.tracing.answered(recorded.tracing.begin(parse(RECORDED)), "overload", STAGES, {})
    status = recorded.spans()["muse.request"].status
    assert (status.status_code, status.description) == (StatusCode.ERROR, "overload")


def test_who_does_not_record_gets_no_spans_and_its_context_back(recorded: Recorded) -> None:
    given = parse(UNRECORDED, "rojo=1")
    trace = recorded.tracing.begin(given)
    assert trace.context == given
    recorded.tracing.answered(trace, "ok", STAGES, {})
    recorded.tracing.answered(recorded.tracing.begin(None), "ok", STAGES, {})
    assert recorded.tracing.begin(None) is UNTRACED
    assert recorded.spans() == {}


def test_a_share_of_those_without_a_context_begins_a_trace() -> None:
    recorded = Recorded(share=1.0)
    trace = recorded.tracing.begin(None)
    assert trace.context is not None
    assert parse(trace.context.parent) == trace.context
    recorded.tracing.answered(trace, "ok", STAGES, {})
    root = recorded.spans()["muse.request"]
    assert hexadecimal(root) == (trace.id, trace.context.span_id)
    assert root.parent is None


def test_ids_differ(recorded: Recorded) -> None:
    contexts = [recorded.tracing.begin(parse(RECORDED)).context for _ in range(1_000)]
    assert len({context.span_id for context in contexts if context}) == 1_000


def batch(headers: list[Headers | None]) -> BatchStats:
    none = np.empty(0, np.int64)
    return BatchStats(
        *("behaviours", 3),
        serving=True,
        records=len(headers),
        rows=len(headers),
        applied=len(headers),
        duplicates=0,
        erased=0,
        rejects={},
        dead_letters=0,
        event_time_ms=none,
        broker_time_ms=none,
        visible_at_ms=1_700_000_000_000,
        live=True,
        decode_seconds=0.001,
        store_seconds=0.002,
        engine_seconds=0.0005,
        headers=headers,
    )


def with_span(number: int, flags: str = "01") -> Headers:
    return [("traceparent", f"00-{TRACE}-{number:016x}-{flags}".encode())]


def test_a_batch_is_linked_to_the_first_contexts_of_its_records(recorded: Recorded) -> None:
    recorded.tracing.ingested(batch([None, *(with_span(number) for number in range(1, 10)), None]))
    made = recorded.spans()
    root = made["muse.ingest"]
    assert [f"{link.context.span_id:x}" for link in root.links] == [str(n) for n in range(1, LINKS_MAX + 1)]
    assert hexadecimal(root)[0] != TRACE
    assert root.parent is None
    assert root.attributes == {"muse.topic": "behaviours", "muse.partition": 3, "muse.records": 11, "muse.rows": 11}
    assert root.end_time == 1_700_000_000_000_000_000
    assert list(made) == ["muse.decode", "muse.store", "muse.engine", "muse.ingest"]


def test_batches_that_nobody_records_or_that_are_replayed_have_no_span(recorded: Recorded) -> None:
    recorded.tracing.ingested(batch([]))
    recorded.tracing.ingested(batch([None, None]))
    recorded.tracing.ingested(batch([with_span(1, "00"), [("format", b"frame")]]))
    recorded.tracing.ingested(replace(batch([with_span(1)]), live=False))
    recorded.tracing.ingested(replace(batch([with_span(1)]), serving=False))
    assert recorded.spans() == {}


def test_a_flood_is_dropped_and_told_and_the_last_requests_still_come(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorded.tracing, "_waiting", queue.Queue(2))
    trace = recorded.tracing.begin(TraceContext(TRACE, SPAN, 1))
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            recorded.tracing.answered(trace, "ok", STAGES, {})
    assert [record.__dict__["fields"] for record in caplog.records] == [{"dropped": n} for n in (1, 2, 3)]


def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "CLOSE_SECONDS", 0.01)
    back = threading.Event()

    class Away(SpanProcessor):
        def shutdown(self) -> None:
            back.wait()

    tracing = SpanTracing(Away(), Resource.create({}), 0.0)
    tracing.close()
    (waiting,) = [thread for thread in threading.enumerate() if thread.name == "muse-spans-end"]
    back.set()
    waiting.join()
