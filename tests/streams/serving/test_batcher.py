"""The batcher: one result each, passes as its line says, shedding on arrival; its clock is the tests' own."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from muse_stream.streams.serving.batcher import Batcher, Bounds, Passed
from muse_stream.streams.serving.line import Claim
from muse_stream.streams.serving.shed import ExpiredError, LateError, QueueFullError

BOUNDS = Bounds(pass_ms_max=10.0, weight_max=1_000, queue_max=100)


@dataclass
class Recorder:
    """Doubles numbers, each of which costs as many milliseconds; a gate holds a pass in flight."""

    passes: list[list[int]] = field(default_factory=list)
    told: list[tuple[float, float]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.gate.set()

    def work(self, items: Sequence[int]) -> list[int]:
        self.gate.wait(10)
        self.passes.append(list(items))
        self.threads.add(threading.current_thread().name)
        self.now += sum(items) / 1e3
        if 13 in items:
            message = "unlucky"
            raise ValueError(message)
        return [2 * item for item in items]

    def on_pass(self, passed: Passed[int, int]) -> None:
        assert passed.results == [2 * item for item in passed.items]
        self.told.append((round(passed.predicted_ms, 6), round(passed.ms, 6)))


def batcher(recorder: Recorder, bounds: Bounds = BOUNDS, overhead_ms: float = 0.0) -> Batcher[int, int]:
    return Batcher(
        recorder.work,
        bounds,
        overhead_ms=lambda: overhead_ms,
        on_pass=recorder.on_pass,
        clock=lambda: recorder.now,
    )


def submit(subject: Batcher[int, int], item: int, deadline: float = 1e9) -> asyncio.Task[int]:
    return asyncio.create_task(subject.submit(item, Claim(float(item), 1, deadline)))


async def blocked(subject: Batcher[int, int], recorder: Recorder, item: int = 1) -> asyncio.Task[int]:
    """A first request, in flight and held by the gate."""
    recorder.gate.clear()
    first = submit(subject, item)
    await asyncio.sleep(0)
    while subject.depth:
        await asyncio.sleep(0)
    return first


def test_what_waits_shares_the_next_pass_up_to_its_milliseconds() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder, overhead_ms=2.0)
        subject.start()
        first = await blocked(subject, recorder)
        others = [submit(subject, item) for item in (4, 5, 2, 30, 3)]
        await asyncio.sleep(0)
        recorder.gate.set()
        assert await asyncio.gather(first, *others) == [2, 8, 10, 4, 60, 6]
        assert recorder.passes == [[1], [4, 5], [2, 3], [30]]
        assert recorder.told == [(3, 1), (11, 9), (7, 5), (32, 30)]
        assert all(name.startswith("muse-search") for name in recorder.threads)
        await subject.stop()

    asyncio.run(scenario())


def test_a_failing_pass_fails_its_own_items_and_no_others() -> None:
    async def scenario() -> None:
        subject = batcher(Recorder())
        subject.start()
        with pytest.raises(ValueError, match="unlucky"):
            await submit(subject, 13)
        assert await submit(subject, 4) == 8
        await subject.stop()

    asyncio.run(scenario())


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder, Bounds(10.0, 1_000, queue_max=2))
        subject.start()
        first = await blocked(subject, recorder)
        waiting = [submit(subject, item) for item in (8, 9)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="2 requests wait") as caught:
            await submit(subject, 4)
        assert caught.value.retry_after_ms == pytest.approx(1 + 17)
        recorder.gate.set()
        assert await asyncio.gather(first, *waiting) == [2, 16, 18]
        await subject.stop()

    asyncio.run(scenario())


def test_who_would_begin_too_late_is_told_on_arrival() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder)
        subject.start()
        first = await blocked(subject, recorder, 40)
        recorder.now += 0.010
        waiting = submit(subject, 5, deadline=0.1)
        await asyncio.sleep(0)
        with pytest.raises(LateError, match="would come in 30 ms, its deadline in 25 ms") as caught:
            await submit(subject, 5, deadline=0.035)
        assert caught.value.retry_after_ms == pytest.approx(5)
        recorder.gate.set()
        assert (await first, await waiting) == (80, 10)
        await subject.stop()

    asyncio.run(scenario())


def test_who_did_begin_too_late_is_told_then_and_costs_no_pass() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder)
        subject.start()
        first = await blocked(subject, recorder)
        late, in_time = submit(subject, 2, deadline=0.5), submit(subject, 3)
        await asyncio.sleep(0)
        recorder.now = 0.6
        recorder.gate.set()
        with pytest.raises(ExpiredError):
            await late
        assert (await first, await in_time) == (2, 6)
        assert recorder.passes == [[1], [3]]
        await subject.stop()

    asyncio.run(scenario())


def test_an_idle_batcher_sheds_nobody_whatever_is_predicted() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder, overhead_ms=1e6)
        subject.start()
        for _ in range(3):
            assert await submit(subject, 4, deadline=recorder.now + 1e-3) == 8
        await subject.stop()

    asyncio.run(scenario())


def test_stop_cancels_what_waits() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        subject = batcher(recorder)
        subject.start()
        first = await blocked(subject, recorder)
        waiting = submit(subject, 2)
        await asyncio.sleep(0)
        await subject.stop()
        recorder.gate.set()
        results = await asyncio.gather(first, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2

    asyncio.run(scenario())
