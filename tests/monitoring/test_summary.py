"""The summary line: what came since the line before, and quiet while nothing comes."""

import logging

import numpy as np
import pytest

from muse_stream.monitoring import Metrics, Summary

from .worker import Batch, bare_metrics


def test_it_tells_rates_and_delays_since_the_line_before() -> None:
    now, metrics = [0.0], bare_metrics()
    metrics.ingest.batch(Batch(records=999))
    summary = Summary(metrics, clock=lambda: now[0])
    times = np.full(50, 960, np.int64)
    metrics.ingest.batch(
        Batch(records=50, rejects={"bad_json": 2}, event_time_ms=times, broker_time_ms=times, visible_at_ms=1000)
    )
    for _ in range(20):
        metrics.requests.answered("ok", 0.019)
    now[0] = 10.0
    line = summary.line()
    assert line.text.startswith(
        "5 records/s in, 2.0 answers/s, retrievable after p50 42 p99 50 ms, answered after p50 "
    )
    assert line.text.endswith(", 2 rejected")
    assert line.level == logging.INFO


def test_an_idle_line_is_for_debugging() -> None:
    now, metrics = [0.0], bare_metrics()
    metrics.requests.answered("ok", 0.019)
    summary = Summary(metrics, clock=lambda: now[0])
    now[0] = 10.0
    line = summary.line()
    assert line.text == "0 records/s in, 0.0 answers/s"
    assert line.level == logging.DEBUG


def test_metrics_that_are_off_cannot_be_summed_up() -> None:
    with pytest.raises(ValueError, match="metrics are off"):
        Summary(Metrics(reasons=[], outcomes=[], version="1", enabled=False))
