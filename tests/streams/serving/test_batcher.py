"""The batcher: one result each, batches of what waits, bounds kept."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from muse_stream.streams.serving.batcher import Batcher, QueueFullError


class Recorder:
    """Doubles numbers; a gate holds a batch in flight so that others have to wait."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def work(self, items: Sequence[int]) -> list[int]:
        self.gate.wait(10)
        self.batches.append(list(items))
        self.threads.add(threading.current_thread().name)
        if 13 in items:
            message = "unlucky"
            raise ValueError(message)
        return [2 * item for item in items]


def batcher(recorder: Recorder, *, weight_max: int = 10, queue_max: int = 100) -> Batcher[int, int]:
    return Batcher(recorder.work, weight=lambda item: item, weight_max=weight_max, queue_max=queue_max)


async def blocked(subject: Batcher[int, int], recorder: Recorder) -> asyncio.Task[int]:
    """A first request, in flight and held by the gate."""
    recorder.gate.clear()
    first = asyncio.create_task(subject.submit(1))
    await asyncio.sleep(0)
    while subject.depth:
        await asyncio.sleep(0)
    return first


def test_what_waits_shares_the_next_pass_up_to_the_weight() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder)
        subject.start()
        first = await blocked(subject, recorder)
        others = [asyncio.create_task(subject.submit(item)) for item in (4, 5, 2, 30, 3)]
        await asyncio.sleep(0)
        recorder.gate.set()
        assert await asyncio.gather(first, *others) == [2, 8, 10, 4, 60, 6]
        assert recorder.batches == [[1], [4, 5], [2], [30], [3]]
        assert all(name.startswith("muse-search") for name in recorder.threads)
        await subject.stop()

    asyncio.run(scenario())


def test_a_failing_pass_fails_its_own_items_and_no_others() -> None:
    async def scenario() -> None:
        subject = batcher(Recorder())
        subject.start()
        with pytest.raises(ValueError, match="unlucky"):
            await subject.submit(13)
        assert await subject.submit(4) == 8
        await subject.stop()

    asyncio.run(scenario())


def test_a_full_queue_refuses() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder, queue_max=2)
        subject.start()
        first = await blocked(subject, recorder)
        waiting = [asyncio.create_task(subject.submit(item)) for item in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="2 requests wait"):
            await subject.submit(4)
        recorder.gate.set()
        assert await asyncio.gather(first, *waiting) == [2, 4, 6]
        await subject.stop()

    asyncio.run(scenario())


def test_stop_cancels_what_waits() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder)
        subject.start()
        first = await blocked(subject, recorder)
        waiting = asyncio.create_task(subject.submit(2))
        await asyncio.sleep(0)
        await subject.stop()
        recorder.gate.set()
        results = await asyncio.gather(first, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2

    asyncio.run(scenario())
