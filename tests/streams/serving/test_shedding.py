"""Shedding in virtual time: early where it is due, never for ever where a prediction is wrong."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from muse_stream.streams.serving.cost import Coefficients, CostModel, Size, Stages
from muse_stream.streams.serving.line import Claim, Line
from tests.streams.serving.virtual import PASS_MS, Job, poisson

SEED = Coefficients(Size(), Size(), Size(passes=3.0, requests=2.0))
ONE = Size(requests=1)


@dataclass
class Desk:
    """Admits by what is predicted, runs passes by what is true, learns from them.

    Attributes:
        costs: What is predicted.
        truth: What a pass, and a request in it, takes.

    """

    costs: CostModel = field(default_factory=lambda: CostModel(SEED))
    truth: tuple[float, float] = (3.0, 2.0)
    shed: list[Job] = field(default_factory=list)
    expired: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.line: Line[Job] = Line(PASS_MS, 10**6, lambda: self.costs.overhead_ms)

    def run(self, jobs: list[Job]) -> None:
        """Run all of them, in virtual milliseconds."""
        arriving, now = deque(jobs), 0.0
        while arriving or len(self.line):
            now = now if len(self.line) else max(now, arriving[0].at)
            self._arrive(arriving, now, 0.0)
            taken, expired = self.line.take(now)
            self.expired += expired
            if taken:
                now = self._pass(now, [job for _, job in taken], arriving)

    def _pass(self, now: float, jobs: list[Job], arriving: deque[Job]) -> float:
        size = Size(passes=1, requests=len(jobs))
        took_ms = self.truth[0] + self.truth[1] * len(jobs)
        self._arrive(arriving, now + took_ms, now + self.costs.stretch * self.costs.work_ms(size))
        for job in jobs:
            job.began, job.ended = now, now + took_ms
        self.costs.learn(size, Stages(0.0, 0.0, took_ms))
        return now + took_ms

    def _arrive(self, arriving: deque[Job], until: float, predicted_end: float) -> None:
        while arriving and arriving[0].at <= until:
            job = arriving.popleft()
            claim = Claim(self.costs.work_ms(ONE), 1, job.deadline)
            wait_ms = max(0.0, predicted_end - job.at) + self.costs.stretch * self.line.wait_ms(claim)
            if wait_ms > max(0.0, job.deadline - job.at):
                self.shed.append(job)
            else:
                self.line.put(claim, job)


def load(per_second: float, seconds: float, patience_ms: float) -> list[Job]:
    jobs = poisson(np.random.default_rng(3), per_second, seconds, lambda: 2.0)
    for job in jobs:
        job.deadline = job.at + patience_ms
    return jobs


@pytest.mark.parametrize("wrong", [100.0, 10.0, 0.1])
def test_a_wrong_prediction_is_measured_again_and_sheds_nobody_for_long(wrong: float) -> None:
    desk = Desk()
    desk.costs.stretch = wrong
    desk.run(load(200.0, 10.0, 60.0))
    assert wrong < 100 or desk.shed
    assert not [job for job in [*desk.shed, *desk.expired] if job.at > 1_000]


def test_a_third_too_much_is_shed_on_arrival_and_the_rest_is_in_time() -> None:
    desk, jobs = Desk(), load(700.0, 20.0, 200.0)
    desk.run(jobs)
    answered = [job for job in jobs if job.began is not None]
    assert len(answered) == len(jobs) - len(desk.shed) - len(desk.expired)
    assert max(job.waited_ms for job in answered) <= 200
    assert len(desk.expired) < 0.05 * len(desk.shed)
    assert 440 < len(answered) / 20 < 500


@pytest.mark.parametrize("slow", [(900.0, 2.0), (60.0, 3.0)])
def test_where_passes_have_become_dear_by_themselves_small_requests_share_longer_ones(
    slow: tuple[float, float],
) -> None:
    desk, jobs = Desk(truth=slow), load(150.0, 60.0, 10_000.0)
    desk.run(jobs)
    late = [job for job in jobs if job.at > 10_000]
    assert len([job for job in late if job.began is not None]) > 0.95 * len(late)
