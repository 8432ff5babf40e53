"""Batches what waits, and keeps heavy work off the event loop.

One worker thread runs `work` on a list of items; while it is busy new items queue, and the next run takes them all,
up to `weight_max` (candidates). An idle batcher starts at once: batching never delays a lone request unless `window_ms`
asks for it. Invariant: every submitted item gets exactly one result or one exception, also at `stop`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFullError(Exception):
    """More items wait than `queue_max`: the caller answers `overload`; clients back off and try again."""


class Batcher(Generic[Item, Result]):
    """Runs a batch function over whatever waits.

    Args:
        work: Called in the worker thread with 1..n items; returns one result each, in order.
        weight: What one item counts towards `weight_max`.
        weight_max: A batch stops growing at this weight; a heavier single item still runs, alone.
        queue_max: Waiting items above this are refused.
        window_ms: How long the first item may wait for company; 0 starts at once.
        on_batch: Told (items, weight) before each run.

    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        weight: Callable[[Item], int],
        weight_max: int,
        queue_max: int,
        window_ms: float = 0.0,
        on_batch: Callable[[int, int], None] = lambda items, weight: None,
    ) -> None:
        self._work = work
        self._weight = weight
        self._weight_max = weight_max
        self._queue_max = queue_max
        self._window_seconds = window_ms / 1e3
        self._on_batch = on_batch
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._arrival = asyncio.Event()
        self._executor: Executor = ThreadPoolExecutor(1, thread_name_prefix="muse-search")
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Items that wait and have not begun."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to run batches on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End after the batch in flight; what still waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._executor.shutdown(wait=False)

    async def submit(self, item: Item) -> Result:
        """Wait for the item's turn and its result.

        Raises:
            QueueFullError: `queue_max` items wait already.

        """
        if len(self._waiting) >= self._queue_max:
            message = f"{len(self._waiting)} requests wait, the most allowed is {self._queue_max}"
            raise QueueFullError(message)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrival.set()
        return await future

    async def _run(self) -> None:
        while True:
            await self._arrival.wait()
            if self._window_seconds:
                await asyncio.sleep(self._window_seconds)
            batch = self._take()
            if not self._waiting:
                self._arrival.clear()
            await self._run_one(batch)

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        weight = taken = 0
        for item, _ in self._waiting:
            weight += self._weight(item)
            if taken and weight > self._weight_max:
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return [(item, future) for item, future in batch if not future.cancelled()]

    async def _run_one(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not batch:
            return
        items = [item for item, _ in batch]
        self._on_batch(len(items), sum(map(self._weight, items)))
        loop = asyncio.get_running_loop()
        try:
            results = await asyncio.shield(loop.run_in_executor(self._executor, self._work, items))
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
