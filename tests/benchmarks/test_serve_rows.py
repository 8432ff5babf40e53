import pytest

from muse_stream.benchmarks.report import Row
from muse_stream.benchmarks.serve_load import LIMIT_MS, Case, Fired, Shot, State
from muse_stream.benchmarks.serve_page import Between, Page, parse
from muse_stream.benchmarks.serve_rows import AROUND, Watched, highest_rates, latency_rows, p99_ms, worker_rows
from muse_stream.streams.demo.requester import Asked
from muse_stream.streams.wire.answers import Answer, Status

PAGE = """
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {cpu}
# TYPE muse_ingest_rows_applied_total counter
muse_ingest_rows_applied_total{{topic="behaviours",role="serving"}} {rows}
muse_ingest_rows_applied_total{{topic="behaviours",role="standby"}} 1
muse_ingest_rows_applied_total{{topic="items",role="serving"}} 50
# TYPE muse_engine_pool_misses_total counter
muse_engine_pool_misses_total {misses}
# TYPE muse_freshness_broker_visible_seconds histogram
muse_freshness_broker_visible_seconds_bucket{{le="0.01"}} {fast}
muse_freshness_broker_visible_seconds_bucket{{le="0.025"}} {slow}
muse_freshness_broker_visible_seconds_bucket{{le="+Inf"}} {slow}
muse_freshness_broker_visible_seconds_count {slow}
muse_freshness_broker_visible_seconds_sum 1
# TYPE muse_request_stage_duration_seconds histogram
muse_request_stage_duration_seconds_bucket{{stage="produce",le="0.002"}} {fast}
muse_request_stage_duration_seconds_bucket{{stage="produce",le="+Inf"}} {fast}
"""


def page(at: float, *, cpu: float, rows: int, misses: int, fast: int, slow: int) -> Page:
    return parse(PAGE.format(cpu=cpu, rows=rows, misses=misses, fast=fast, slow=slow), at)


@pytest.fixture
def between() -> Between:
    before = page(10.0, cpu=1.0, rows=100, misses=5, fast=1000, slow=1000)
    return Between(before, page(14.0, cpu=3.0, rows=40_100, misses=25, fast=1050, slow=1100))


def test_counters_are_summed_over_other_labels_and_told_apart_by_topic(between: Between) -> None:
    assert between.after.values["muse_ingest_rows_applied_total", "behaviours"] == 40_101
    assert between.grown("muse_ingest_rows_applied_total", "items") == 0
    assert between.grown("no_such_metric") == 0


def test_quantiles_are_of_what_came_in_between(between: Between) -> None:
    freshness = "muse_freshness_broker_visible_seconds"
    assert between.quantile_ms(freshness, 0.5) == pytest.approx(10.0)
    assert between.quantile_ms(freshness, 0.75) == pytest.approx(17.5)
    assert between.quantile_ms("no_such_metric", 0.5) is None
    assert Between(between.after, between.after).quantile_ms(freshness, 0.5) is None


def figures(rows: list[Row]) -> dict[str, float]:
    return {row.case.removeprefix("case: "): row.ours for row in rows}


def test_the_workers_rows_are_per_second_and_per_request(between: Between) -> None:
    found = figures(worker_rows("case", Watched(between, machine_percent=70.0), requests=10))
    assert found["CPU of the worker"] == pytest.approx(50.0)
    assert found["CPU of the machine"] == 70.0
    assert found["behaviours stored"] == pytest.approx(10_000)
    assert found["histories loaded"] == pytest.approx(2.0)
    assert found["produce p99"] == pytest.approx(1.98)


def answered(latency_ms: float, stages_ms: dict[str, float]) -> Fired:
    answer = Answer(request_id="a", user="1", status=Status.OK, stages_ms=stages_ms)
    asked = Asked("a", sent_seconds=1.0, answer=answer, read_seconds=1.0 + latency_ms / 1e3)
    return Fired(Shot(0.0, 1), meant_seconds=1.0, asked=asked)


def test_stages_and_what_is_left_over_add_up() -> None:
    found = figures(latency_rows("case", [answered(20.0, {"decode": 1.0, "gsu": 6.0, "esu": 8.0})]))
    assert found["end to end p50"] == pytest.approx(20.0)
    assert (found["gsu p50"], found["esu p99"]) == (6.0, 8.0)
    assert found[f"{AROUND} p50"] == pytest.approx(5.0)
    assert found["without a result"] == 0


def test_a_refused_request_is_in_the_quantiles_and_counted() -> None:
    refused = Fired(Shot(0.0, 1), 1.0, Asked("b", 1.0, Answer(request_id="b", user="1", status=Status.OVERLOAD)))
    found = figures(latency_rows("case", [answered(20.0, {"gsu": 6.0}), refused, refused]))
    assert found["end to end p50"] == LIMIT_MS
    assert found["gsu p99"] == 6.0
    assert found["without a result"] == pytest.approx(200 / 3)


def test_the_highest_rate_is_that_before_the_first_miss() -> None:
    assert p99_ms([answered(20.0, {}), answered(10.0, {})]) == pytest.approx(19.9)
    p99s = {(10_000, 5.0): 20.0, (10_000, 20.0): 24.0, (10_000, 10.0): 25.1, (100_000, 5.0): 56.0, (7, 5.0): 1.0}
    found = {Case(length, State.RESIDENT, rate): p99 for (length, rate), p99 in p99s.items()}
    assert [row.ours for row in highest_rates(found)] == [5.0, 0.0]
