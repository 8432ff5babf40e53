"""The world lives: workers answer, Prometheus has scraped them, and says so."""

import pytest

from tests.live.prometheus import needs_prometheus
from tests.live.query import QueryError
from tests.live.world import LiveWorld
from tests.streams.worker.installation import until

pytestmark = [pytest.mark.kafka, needs_prometheus]


def test_every_worker_is_scraped_and_answers(world: LiveWorld) -> None:
    until(lambda: world.query.value("sum(up)") == len(world.workers), "all workers are scraped", *world.workers)
    assert {target.health for target in world.query.targets()} == {"up"}
    answered = 'sum(rate(muse_requests_total{outcome="ok"}[10s])) > 0'
    until(lambda: world.query.query(answered), "requests are answered", *world.workers)
    consumed = "count(sum by (instance) (rate(muse_ingest_rows_applied_total[10s])) > 0)"
    until(lambda: world.query.value(consumed) == len(world.workers), "every worker stores behaviours", *world.workers)
    until(lambda: world.load.counts["http 200"] > 0, "requests over HTTP are answered", *world.workers)
    assert world.load.failure is None


def test_what_cannot_be_asked_is_an_error_with_the_servers_words(world: LiveWorld) -> None:
    with pytest.raises(QueryError, match="parse error"):
        world.query.query("sum(")
    with pytest.raises(QueryError, match="2 series"):
        world.query.value("up")
