"""Rows of requests that were answered while models were swapped, and what ends the benchmark instead."""

import json

import pytest

from muse_stream.benchmarks.serve_load import Fired, Shot
from muse_stream.benchmarks.serve_swap import Memory, Span, Swap, Turns
from muse_stream.benchmarks.serve_swap_rows import swap_rows
from muse_stream.benchmarks.serve_world import World
from muse_stream.streams.demo.requester import Asked
from muse_stream.streams.wire.answers import Answer, Model, Status

TURNS = Turns(
    quiet=[Span(0.0, 10.0), Span(13.0, 20.0)],
    swaps=[Swap("b", Span(10.0, 13.0)), Swap("a", Span(20.0, 22.0))],
    memory=Memory(before=100.0, most=150.0, after=110.0),
)


def fired(meant_seconds: float, latency_ms: float, model: str = "a", status: Status = Status.OK) -> Fired:
    answer = Answer(request_id="r", user="1", status=status, model=Model(version="1", digest=model))
    asked = Asked("r", meant_seconds, answer, read_seconds=meant_seconds + latency_ms / 1e3)
    return Fired(Shot(0.0, 1), meant_seconds, asked)


REQUESTS = [
    fired(-0.5, 900.0),
    fired(1.0, 10.0),
    fired(9.99, 20.0),
    fired(10.0, 60.0),
    fired(11.0, 40.0, "b"),
    fired(12.9, 20.0, "b"),
    fired(13.0, 30.0, "b"),
    fired(21.0, 100.0),
    fired(22.5, 900.0),
]


def test_requests_count_where_they_were_due() -> None:
    rows = {row.case.removeprefix("case: "): row for row in swap_rows("case", REQUESTS, TURNS)}
    p50 = rows["end to end p50"]
    assert (p50.ours, p50.best_peer, p50.best_peer_name) == pytest.approx((50.0, 20.0, "quiet, same run"))
    assert p50.ratio == pytest.approx(0.4)
    assert rows["end to end p99"].ours == pytest.approx(98.8)
    assert (rows["requests during swaps"].ours, rows["failed requests"].ours) == (4, 0)


def test_a_swap_takes_until_an_answer_that_names_its_model_was_read() -> None:
    rows = {row.case.removeprefix("case: "): row.ours for row in swap_rows("case", REQUESTS, TURNS)}
    assert rows["to the first answer, longest"] == pytest.approx(1100.0), "20.0 to 21.1"
    assert rows["to the first answer, median"] == pytest.approx(1070.0), "10.0 to 11.04, 20.0 to 21.1"


def test_memory_is_compared_with_what_it_was_before() -> None:
    rows = {row.case.removeprefix("case: "): row for row in swap_rows("case", REQUESTS, TURNS)}
    assert (rows["worker at most"].ours, rows["worker after"].ours) == (150.0, 110.0)
    assert rows["worker after"].ratio == pytest.approx(100 / 110)


@pytest.mark.parametrize("at_seconds", [-0.5, 1.0, 12.0, 30.0])
def test_a_request_without_a_result_ends_the_benchmark_whenever_it_was(at_seconds: float) -> None:
    lost = Fired(Shot(0.0, 1), 11.5, Asked("r", 11.5))
    requests = [*REQUESTS, fired(at_seconds, 5.0, status=Status.OVERLOAD), lost]
    with pytest.raises(RuntimeError, match=r"case: 2 of 11 requests have no result.*'overload': 1.*'no answer': 1"):
        swap_rows("case", requests, TURNS)


def test_a_model_that_nobody_was_answered_by_ends_the_benchmark() -> None:
    with pytest.raises(RuntimeError, match="no answer names model b"):
        swap_rows("case", [one for one in REQUESTS if not 10 < one.meant_seconds < 14], TURNS)


def test_items_have_other_vectors_in_the_other_space() -> None:
    world = World.of(50)
    values = [json.loads(value) for value in world.item_records(other_space=True).values]
    own = [value["vector_int8"] for value in values]
    assert [value["more_int8"]["v2"] for value in values] == own[::-1]
    assert [json.loads(value)["vector_int8"] for value in world.item_records().values] == own
    assert len(world.item_records()) == 50
