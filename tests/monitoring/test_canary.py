"""The canary's clock: one on its way per partition, each seen or missed once, and the silence measured at scrape."""

from dataclasses import dataclass

import pytest

from muse_stream.monitoring import Canaries, Metrics
from muse_stream.monitoring.catalogue import CANARY_MISSED_REASONS
from tests.monitoring.worker import bare_metrics

INTERVAL, TIMEOUT = 5.0, 10.0


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    metrics: Metrics
    clock: Clock
    canaries: Canaries

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def next(self) -> tuple[int, int]:
        """Let time pass until a canary is due."""
        for _ in range(1_000):
            self.clock.now += 0.1
            if found := self.canaries.due():
                return found[0]
        message = "nothing is ever due"
        raise AssertionError(message)

    def missed(self) -> dict[str, float]:
        found = {reason: self.value("muse_canary_missed_total", reason=reason) for reason in CANARY_MISSED_REASONS}
        return {reason: count for reason, count in found.items() if count}


@pytest.fixture
def world() -> World:
    metrics, clock = bare_metrics(), Clock()
    canaries = Canaries(metrics.canary, interval_seconds=INTERVAL, timeout_seconds=TIMEOUT, clock=clock)
    metrics.watch_canary(canaries.unseen_seconds)
    return World(metrics, clock, canaries)


def test_all_partitions_have_one_within_an_interval_and_not_at_the_same_time(world: World) -> None:
    world.canaries.assigned(range(5))
    assert world.canaries.due() == []
    found = []
    for _ in range(5):
        world.clock.now += INTERVAL / 5
        found.append(world.canaries.due())
    assert found == [[(partition, 0)] for partition in range(5)]
    assert world.value("muse_canary_sent_total") == 5


def test_what_comes_back_counts_with_the_time_since_it_was_produced(world: World) -> None:
    world.canaries.assigned([3])
    at = world.next()
    world.clock.now += 2
    world.canaries.produced(*at)
    world.clock.now += 0.5
    assert world.canaries.seen(*at)
    assert world.value("muse_canary_seen_total") == 1
    assert world.value("muse_canary_freshness_seconds_sum") == pytest.approx(0.5)
    assert world.value("muse_canary_unseen_seconds", partition="3") == pytest.approx(0.5)


def test_each_counts_once(world: World) -> None:
    world.canaries.assigned([0])
    at = world.next()
    assert world.canaries.seen(*at)
    assert not world.canaries.seen(*at)
    assert not world.canaries.missed(*at, "absent")
    assert (world.value("muse_canary_seen_total"), world.missed()) == (1, {})


def test_the_silence_grows_while_nothing_comes_back(world: World) -> None:
    world.canaries.assigned([0])
    world.clock.now += 60
    assert world.value("muse_canary_unseen_seconds", partition="0") == 60
    world.canaries.seen(*world.next())
    world.clock.now += 7
    assert world.value("muse_canary_unseen_seconds", partition="0") == pytest.approx(7)


def test_one_on_its_way_holds_the_next_one_back_until_it_is_given_up(world: World) -> None:
    world.canaries.assigned([0])
    began = world.next()
    world.canaries.produced(*began)
    world.clock.now += TIMEOUT - 0.5
    assert world.canaries.due() == []
    world.clock.now += 0.5
    assert world.canaries.due() == [(0, began[1] + 1)]
    assert world.missed() == {"no_answer": 1}
    assert not world.canaries.seen(*began)


def test_hours_without_an_answer_leave_one_on_its_way(world: World) -> None:
    world.canaries.assigned(range(3))
    for _ in range(3_600):
        world.clock.now += 1
        world.canaries.due()
    sent = world.value("muse_canary_sent_total") or 0
    assert sent == pytest.approx(3 * 3_600 / TIMEOUT, rel=0.02)
    assert sent - world.missed()["no_answer"] <= 3


def test_every_reason_is_a_series_from_the_start(world: World) -> None:
    assert world.missed() == {}
    world.canaries.assigned([0])
    for reason in CANARY_MISSED_REASONS:
        assert world.canaries.missed(*world.next(), reason)
    assert world.missed() == dict.fromkeys(CANARY_MISSED_REASONS, 1)


def test_a_revoked_partition_takes_its_series_and_its_canary_along(world: World) -> None:
    world.canaries.assigned([0, 1])
    at = world.next()
    other = 1 - at[0]
    world.canaries.assigned([other])
    assert not world.canaries.seen(*at)
    world.clock.now += 2 * TIMEOUT
    assert world.value("muse_canary_unseen_seconds", partition=str(at[0])) is None
    assert world.value("muse_canary_unseen_seconds", partition=str(other)) is not None
    assert world.missed() == {}


def test_a_partition_that_is_kept_goes_on(world: World) -> None:
    world.canaries.assigned([0])
    at = world.next()
    world.canaries.assigned([0, 1])
    assert world.canaries.seen(*at)


def test_one_that_comes_back_to_this_worker_begins_anew(world: World) -> None:
    world.canaries.assigned([0])
    world.clock.now += 100
    world.canaries.assigned([])
    world.canaries.assigned([0])
    assert world.value("muse_canary_unseen_seconds", partition="0") == 0
    assert world.next() == (0, 0)


def test_nothing_is_sent_for_a_partition_that_is_not_ready(world: World) -> None:
    world.canaries.assigned([0])
    world.clock.now += 100
    assert world.canaries.due(lambda partition: False) == []
    assert world.value("muse_canary_sent_total") == 0
    assert world.value("muse_canary_unseen_seconds", partition="0") == 100
    assert world.next() == (0, 0)


def test_one_that_proves_nothing_is_neither(world: World) -> None:
    world.canaries.assigned([0])
    at = world.next()
    world.canaries.dropped(*at)
    assert not world.canaries.seen(*at)
    assert world.missed() == {}
    assert world.next() == (0, 1)


def test_metrics_that_are_off_count_nothing() -> None:
    metrics = Metrics(reasons=[], outcomes=[], version="1", enabled=False)
    canaries = Canaries(metrics.canary, interval_seconds=1, timeout_seconds=1)
    canaries.assigned([0])
    assert canaries.unseen_seconds().keys() == {0}
