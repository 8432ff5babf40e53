"""Callers that wait until a partition's store has passed an offset ("not before").

Invariant: every future handed out gets exactly one answer: True once the store's position is above the offset, False at
the deadline, or when the partition is given up.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from math import inf


def _answer(future: "Future[bool]", *, reached: bool) -> None:
    """Set the result unless the caller has cancelled meanwhile."""
    try:
        future.set_result(reached)
    except InvalidStateError:
        return


Waiter = tuple[int, int, float, "Future[bool]"]
"""Offset to pass, tie-breaker, deadline on the monotonic clock, answer."""


class OffsetWaiters:
    """Waiters of all partitions. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._heaps: dict[int, list[Waiter]] = {}
        self._serial = itertools.count()

    def wait(
        self, partition: int, offset: int, deadline: float | None, position: Callable[[], int | None]
    ) -> "Future[bool]":
        """Answer True once `position() > offset`, False at once where it is None (the partition is not here).

        `position` is read under the lock that `advance` and `give_up` take, so no wake-up is missed.
        """
        future: Future[bool] = Future()
        with self._lock:
            now = position()
            if now is None or now > offset:
                future.set_result(now is not None)
            else:
                waiter = (offset, next(self._serial), inf if deadline is None else deadline, future)
                heapq.heappush(self._heaps.setdefault(partition, []), waiter)
        return future

    def advance(self, partition: int, position: int) -> None:
        """Wake who waited for less than `position`. Call after `position` is visible to readers."""
        if partition not in self._heaps:
            return
        woken = []
        with self._lock:
            heap = self._heaps.get(partition, [])
            while heap and heap[0][0] < position:
                woken.append(heapq.heappop(heap)[3])
            if not heap:
                self._heaps.pop(partition, None)
        for future in woken:
            _answer(future, reached=True)

    def give_up(self, partition: int | None = None) -> None:
        """Answer False to all who wait for `partition` (None: for any)."""
        with self._lock:
            gone = list(self._heaps) if partition is None else [partition]
            waiters = [waiter for key in gone for waiter in self._heaps.pop(key, [])]
        for waiter in waiters:
            _answer(waiter[3], reached=False)

    def expire(self) -> None:
        """Answer False to those whose deadline has passed or who have cancelled."""
        if not self._heaps:
            return
        now, expired = self._clock(), []
        with self._lock:
            for partition, heap in list(self._heaps.items()):
                kept = [waiter for waiter in heap if waiter[2] > now and not waiter[3].cancelled()]
                expired += [waiter for waiter in heap if waiter[2] <= now]
                heapq.heapify(kept)
                self._heaps[partition] = kept
                if not kept:
                    del self._heaps[partition]
        for waiter in expired:
            _answer(waiter[3], reached=False)

    def next_deadline(self) -> float:
        """Nearest deadline on the monotonic clock; infinity without one."""
        with self._lock:
            return min((waiter[2] for heap in self._heaps.values() for waiter in heap), default=inf)
