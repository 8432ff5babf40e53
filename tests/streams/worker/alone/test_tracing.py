"""A caller's trace goes through Kafka and HTTP: into the spans of its request, and into its answer."""

import json
import urllib.request
from typing import Any

import pytest

from muse_stream.streams.tracing.context import from_record, parse
from muse_stream.streams.wire.encode import encode_behaviour, encode_request
from muse_stream.streams.wire.requests import RequestValue
from tests.streams.worker.alone.world import World
from tests.streams.worker.client import TIME_MS, Client
from tests.streams.worker.collector import Collector
from tests.streams.worker.installation import Worker, until
from tests.streams.worker.log import read_topic

pytestmark = pytest.mark.kafka

STAGES = {f"muse.{stage}" for stage in ("decode", "queue", "state_read", "gsu", "features", "esu", "encode", "produce")}


def ask(client: Client, name: str, parent: str) -> Any:
    """Ask by Kafka with a trace context; the answer's record."""
    key, value = encode_request(3, RequestValue(request_id=name, candidates=[3, 14]))
    client.put(client.topics.requests, key, value, headers=[("traceparent", parent.encode())])
    client.answer(name)
    records = read_topic(client.installation, client.topics.scores)
    return next(record for record in records if json.loads(record.value)["request_id"] == name)


@pytest.mark.usefixtures("world")
def test_a_request_by_kafka_continues_its_callers_trace(client: Client, collector: Collector, worker: Worker) -> None:
    trace_id, caller = "a1" * 16, "b2" * 8
    record = ask(client, "traced", f"00-{trace_id}-{caller}-01")
    context = from_record(record.headers)
    assert context is not None
    assert (context.trace_id, context.sampled) == (trace_id, True)
    assert context.span_id != caller
    until(lambda: collector.of_trace(trace_id).keys() > STAGES, "spans", worker)
    found = collector.of_trace(trace_id)
    root = found.pop("muse.request")
    assert (root.span_id, root.parent_id) == (context.span_id, caller)
    assert root.service == client.installation.settings.app.name
    assert (root.attributes["muse.outcome"], root.attributes["muse.request_id"]) == ("ok", "traced")
    assert {span.parent_id for span in found.values()} == {root.span_id}
    assert root.ended_ns - root.began_ns == sum(span.ended_ns - span.began_ns for span in found.values())


@pytest.mark.usefixtures("world")
def test_who_does_not_record_has_its_trace_in_the_answer_and_no_spans(client: Client, collector: Collector) -> None:
    parent = f"00-{'a3' * 16}-{'b4' * 8}-00"
    record = ask(client, "not-recorded", parent)
    assert from_record(record.headers) == parse(parent)
    without = client.answer(client.send(3, [3]))
    assert without.status == "ok"
    assert collector.of_trace("a3" * 16) == {}


def test_a_request_over_http_the_same(worker: Worker, world: World, collector: Collector) -> None:
    trace_id = "a5" * 16
    request = urllib.request.Request(  # noqa: S310
        f"{worker.url}/v1/score",
        json.dumps({"user": next(iter(world.rows)), "request_id": "h", "candidates": [3]}).encode(),
        {"traceparent": f"00-{trace_id}-{'b6' * 8}-01", "tracestate": "rojo=1"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        context = parse(response.headers["traceparent"], response.headers["tracestate"])
    assert context is not None
    assert (context.trace_id, context.state) == (trace_id, "rojo=1")
    until(lambda: "muse.request" in collector.of_trace(trace_id), "spans", worker)
    root = collector.of_trace(trace_id)["muse.request"]
    assert (root.span_id, root.parent_id) == (context.span_id, "b6" * 8)


@pytest.mark.usefixtures("world")
def test_a_batch_of_behaviours_is_linked_to_who_wrote_them(
    client: Client, collector: Collector, worker: Worker
) -> None:
    trace_id, writer = "a7" * 16, "b8" * 8
    key, value = encode_behaviour(7_002, 5, TIME_MS, "click")
    client.put(client.topics.behaviours, key, value, headers=[("traceparent", f"00-{trace_id}-{writer}-01".encode())])

    def linked() -> list[int]:
        return [
            span.attributes["muse.records"]
            for span in list(collector.seen)
            if span.name == "muse.ingest" and (trace_id, writer) in span.links
        ]

    until(linked, "a batch's span", worker)
    assert linked() == [1]
