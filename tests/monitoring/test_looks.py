"""Two looks: what came between them, and nothing of what was before the first."""

import numpy as np
import pytest

from muse_stream.monitoring import Metrics
from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.looks import Looks

from .worker import Batch, bare_metrics


def test_what_came_between_two_looks_is_told_and_nothing_before() -> None:
    now, metrics = [5.0], bare_metrics()
    looks = Looks(metrics, lambda: now[0])
    metrics.requests.answered("error", 100.0)
    metrics.quality.scored(np.array([np.nan]))
    first = looks.take()
    metrics.ingest.batch(Batch(records=40, rejects={"bad_json": 3}))
    for _ in range(4):
        metrics.requests.answered("ok", 0.02, {"gsu": 0.01})
    metrics.quality.scored(np.array([np.inf, np.nan]))
    metrics.requests.stale()
    now[0] = 9.0
    found = looks.between(first, looks.take())
    assert (found.seconds, found.sum(c.INGEST_BATCH.name), found.count(c.REQUEST_DURATION.name)) == (4.0, 40.0, 4)
    assert (found.rejected, found.nonfinite, found.stale, found.outcomes()) == (3, 2, 1, {"ok": 4})
    assert found.sum("gsu") == pytest.approx(0.04)
    high = found.quantile_ms(c.REQUEST_DURATION.name, 0.99)
    assert high is not None
    assert high <= 25.0


def test_a_quantile_of_nothing_is_none() -> None:
    metrics = bare_metrics()
    metrics.requests.answered("ok", 0.02)
    looks = Looks(metrics)
    look = looks.take()
    nothing = looks.between(look, look)
    assert nothing.quantile_ms(c.REQUEST_DURATION.name, 0.5) is None
    assert nothing.seconds > 0


def test_metrics_that_are_off_cannot_be_looked_at() -> None:
    with pytest.raises(ValueError, match="metrics are off"):
        Looks(Metrics(reasons=[], outcomes=[], version="1", enabled=False))
