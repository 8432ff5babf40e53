"""What is told now and counted later, many at a time.

Invariant: nothing is lost, and whoever collects the registry or asks for a figure has everything that was told before.

Between two batches, or two requests, caches are filled with other things: to count one at once takes three times as
long as to count it beside others (`muse-stream bench monitoring`).
"""

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from prometheus_client import Metric
from prometheus_client.registry import Collector, CollectorRegistry

Told = TypeVar("Told")

WEIGHT_MAX = 8_192
"""Values that wait: an array of them stays in a cache near the core."""
WEIGHT_MIN = 512
"""Of one thing, so that at most 16 wait: to count them takes a third of a millisecond, and somebody waits for that."""


class Later(Generic[Told]):
    """Things that wait to be counted; any thread.

    Args:
        count: Counts one.

    """

    def __init__(self, count: Callable[[Told], None]) -> None:
        self._count = count
        self._waiting: list[Told] = []
        self._weight = 0
        self._lock = threading.Lock()

    def add(self, told: Told, values: int = 0) -> None:
        """Keep it, with the arrays in it: do not write to them any more. `values`: how many it has."""
        with self._lock:
            self._waiting.append(told)
            self._weight += WEIGHT_MIN + values
            if self._weight > WEIGHT_MAX:
                self._fold()

    def fold(self) -> None:
        """Count what waits."""
        with self._lock:
            self._fold()

    def _fold(self) -> None:
        waiting, self._waiting, self._weight = self._waiting, [], 0
        for told in waiting:
            self._count(told)


class Folds(Collector):
    """Counts everything that waits before a registry is read: it must be the first one in it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._folds: list[Callable[[], None]] = []
        registry.register(self)

    def later(self, count: Callable[[Told], None]) -> Later[Told]:
        """Make a place where things wait."""
        made = Later(count)
        self._folds.append(made.fold)
        return made

    def fold(self) -> None:
        """Count what waits, for who reads a part of the registry."""
        for fold in self._folds:
            fold()

    def describe(self) -> Iterator[Metric]:
        """There are no families of its own."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Count what waits."""
        self.fold()
        return iter(())
