"""What waits to be counted: not for long, and never longer than until somebody reads."""

import threading

from prometheus_client import CollectorRegistry, Counter, generate_latest

from muse_stream.monitoring.later import WEIGHT_MAX, WEIGHT_MIN, Folds, Later


def test_few_things_wait_and_are_counted_together_in_order() -> None:
    counted: list[int] = []
    later = Later(counted.append)
    most = WEIGHT_MAX // WEIGHT_MIN
    for number in range(most):
        later.add(number)
    assert counted == []
    later.add(most)
    assert counted == list(range(most + 1))


def test_a_large_thing_is_counted_at_once() -> None:
    counted: list[str] = []
    later = Later(counted.append)
    later.add("small")
    later.add("large", WEIGHT_MAX)
    assert counted == ["small", "large"]


def test_who_reads_the_registry_reads_everything() -> None:
    registry = CollectorRegistry()
    folds = Folds(registry)
    counter = Counter("muse_test_total", "A test.", registry=registry)
    later = folds.later(counter.inc)
    later.add(5)
    assert registry.get_sample_value("muse_test_total") == 5
    later.add(2)
    assert b"muse_test_total 7.0" in generate_latest(registry)


def test_nothing_is_lost_between_threads() -> None:
    counted: list[int] = []
    later = Later(counted.append)

    def tell() -> None:
        for _ in range(2_000):
            later.add(1, 40)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        later.fold()
    for thread in threads:
        thread.join()
    later.fold()
    assert len(counted) == 8_000
