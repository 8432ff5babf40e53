"""Rates and costs of bursts, from made-up answers."""

import pytest

from muse_stream.benchmarks.burst import PASS_SECONDS, PASSES, _per_second, _rows
from muse_stream.benchmarks.serve_page import CPU, Between, Page
from muse_stream.streams.demo.requester import Asked
from muse_stream.streams.wire.answers import Answer, Status


def answered(at: float, status: Status = Status.OK) -> Asked:
    return Asked("r", 0.0, Answer(request_id="r", user="1", status=status), read_seconds=at)


def test_the_rate_is_that_of_the_middle() -> None:
    steady = [answered(1 + number / 100) for number in range(101)]
    assert _per_second(steady) == pytest.approx(100)
    assert _per_second([answered(0.0), *steady[1:-1], answered(60.0)]) == pytest.approx(100)


def test_costs_are_per_request_and_shed_requests_are_told() -> None:
    before, after = Page(0.0), Page(9.0, {(CPU, ""): 0.4, (PASSES, ""): 2.0, (PASS_SECONDS, ""): 0.1})
    burst = [*(answered(number / 50) for number in range(90)), *(answered(0.1, Status.OVERLOAD) for _ in range(10))]
    found = {row.case: row.ours for row in _rows("tiny", [burst, burst], Between(before, after))}
    assert found["tiny: answered"] == pytest.approx(50)
    assert found["tiny: without a result"] == pytest.approx(10)
    assert found["tiny: CPU of the worker"] == pytest.approx(2)
    assert found["tiny: passes"] == pytest.approx(0.5)
    assert found["tiny: pass"] == 100
