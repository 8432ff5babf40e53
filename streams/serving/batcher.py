"""Batches what waits, and keeps heavy work off the event loop.

One worker thread runs `work` on a list of items; while it is busy new items wait in a `Line`, which says who is next.
An idle batcher starts at once: batching never delays a lone request unless `window_ms` asks for it. Invariant: every
submitted item gets exactly one result or one exception, also at `stop`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from muse_stream.streams.serving.busy import Busy
from muse_stream.streams.serving.line import Claim, Line
from muse_stream.streams.serving.shed import ExpiredError, LateError, QueueFullError

Item = TypeVar("Item")
Result = TypeVar("Result")
Taken = list[tuple[Claim, tuple[Item, asyncio.Future[Result]]]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of passes and of the queue.

    Attributes:
        pass_ms_max: Work of the items of a pass, in milliseconds; see `line`.
        weight_max: The weight that they may have; a heavier single item still runs, alone.
        queue_max: Waiting items above this are refused.
        window_ms: How long the first item may wait for company; 0 starts at once.

    """

    pass_ms_max: float
    weight_max: int
    queue_max: int
    window_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Passed(Generic[Item, Result]):
    """A pass that is over: its items and results, what it was to take and what it took."""

    items: Sequence[Item]
    results: Sequence[Result]
    predicted_ms: float
    ms: float


class Batcher(Generic[Item, Result]):
    """Runs a batch function over whatever waits.

    Args:
        work: Called in the worker thread with 1..n items; returns one result each, in order.
        bounds: Of passes and of the queue.
        overhead_ms: Work of a pass by itself, as predicted now.
        stretch: Time that a millisecond of work takes, as predicted now.
        on_pass: Told of every pass that gave results, before they are given; on the event loop.
        clock: Seconds, rising; deadlines are on it.

    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        bounds: Bounds,
        *,
        overhead_ms: Callable[[], float] = lambda: 0.0,
        stretch: Callable[[], float] = lambda: 1.0,
        on_pass: Callable[[Passed[Item, Result]], None] = lambda passed: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._work, self._bounds = work, bounds
        self._overhead_ms, self._stretch, self._on_pass, self._clock = overhead_ms, stretch, on_pass, clock
        self._line: Line[tuple[Item, asyncio.Future[Result]]] = Line(bounds.pass_ms_max, bounds.weight_max, overhead_ms)
        self._arrival = asyncio.Event()
        self._executor: Executor = ThreadPoolExecutor(1, thread_name_prefix="muse-search")
        self._task: asyncio.Task[None] | None = None
        self._ends: float | None = None  # the pass in flight, as predicted
        self._busy = Busy(clock)

    @property
    def depth(self) -> int:
        """Items that wait and have not begun."""
        return len(self._line)

    @property
    def saturation(self) -> float:
        """Share of the last seconds in which a batch was under way."""
        return self._busy.share()

    @property
    def fault(self) -> str | None:
        """What has ended the running of batches; None before `start`, after `stop`, and while all is well."""
        task = self._task
        return repr(task.exception()) if task is not None and task.done() and not task.cancelled() else None

    def start(self) -> None:
        """Begin to run batches on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End after the batch in flight; what still waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for _, future in self._line.clear():
            future.cancel()
        self._executor.shutdown(wait=False)

    def wait_ms(self, claim: Claim) -> float:
        """How long an item that came now would wait for its pass, as predicted; 0 while nobody waits or runs."""
        rest_ms = 0.0 if self._ends is None else max(0.0, self._ends - self._clock()) * 1e3
        return rest_ms + self._stretch() * self._line.wait_ms(claim)

    async def submit(self, item: Item, claim: Claim) -> Result:
        """Wait for the item's turn and its result.

        Raises:
            QueueFullError: `queue_max` items wait already.
            LateError: Its turn would come after its deadline.
            ExpiredError: Its turn came after its deadline.

        """
        self._admit(claim)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._line.put(claim, (item, future))
        self._arrival.set()
        return await future

    def _admit(self, claim: Claim) -> None:
        wait_ms = self.wait_ms(claim)
        if len(self._line) >= self._bounds.queue_max:
            message = f"{len(self._line)} requests wait, the most allowed is {self._bounds.queue_max}"
            raise QueueFullError(message, wait_ms)
        left_ms = (claim.deadline - self._clock()) * 1e3
        if wait_ms > max(0.0, left_ms):
            message = f"its turn would come in {wait_ms:.0f} ms, its deadline in {left_ms:.0f} ms"
            raise LateError(message, wait_ms - left_ms)

    async def _run(self) -> None:
        while True:
            await self._arrival.wait()
            if self._bounds.window_ms:
                await asyncio.sleep(self._bounds.window_ms / 1e3)
            taken, expired = self._line.take(self._clock())
            for _, future in expired:
                if not future.done():
                    future.set_exception(ExpiredError("the deadline passed while the request waited"))
            if not self._line:
                self._arrival.clear()
            await self._run_one([one for one in taken if not one[1][1].cancelled()])

    async def _run_one(self, taken: "Taken[Item, Result]") -> None:
        if not taken:
            return
        items = [item for _, (item, _) in taken]
        futures = [future for _, (_, future) in taken]
        predicted_ms = self._stretch() * (self._overhead_ms() + sum(claim.ms for claim, _ in taken))
        self._ends = self._clock() + predicted_ms / 1e3
        loop = asyncio.get_running_loop()
        self._busy.begin()
        try:
            results, seconds = await asyncio.shield(loop.run_in_executor(self._executor, self._timed, items))
            self._on_pass(Passed(items, results, predicted_ms, seconds * 1e3))
        except asyncio.CancelledError:
            for future in futures:
                future.cancel()
            raise
        except Exception as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        finally:
            self._ends = None
            self._busy.end()
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)

    def _timed(self, items: Sequence[Item]) -> tuple[Sequence[Result], float]:
        """In the worker thread."""
        began = self._clock()
        results = self._work(items)
        return results, self._clock() - began
