"""Shedding in virtual time: early where it is due, never for ever where a prediction is wrong."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from muse_stream.streams.serving.cost import CostModel, Size
from muse_stream.streams.serving.line import Claim, Line
from tests.streams.serving.virtual import PASS_MS, Job, poisson

TRUTH = CostModel(Size(passes=3.0, requests=2.0, rows=1e-9, pairs=1e-9, scored=1e-9, shown=1e-9))
ONE = Size(requests=1)


@dataclass
class Desk:
    """Admits by what is predicted, runs passes by what is true, learns from them."""

    costs: CostModel
    line: Line[Job] = field(default_factory=lambda: Line(PASS_MS, 10**6))
    shed: list[Job] = field(default_factory=list)
    expired: list[Job] = field(default_factory=list)

    def run(self, jobs: list[Job]) -> None:
        """Run all of them, in virtual milliseconds."""
        arriving, now, predicted_end = deque(jobs), 0.0, 0.0
        while arriving or len(self.line):
            now = now if len(self.line) else max(now, arriving[0].at)
            while arriving and arriving[0].at <= now:
                self._admit(arriving.popleft(), predicted_end)
            taken, expired = self.line.take(now)
            self.expired += expired
            if taken:
                now, predicted_end = self._pass(now, [job for _, job in taken], arriving)

    def _pass(self, now: float, jobs: list[Job], arriving: deque[Job]) -> tuple[float, float]:
        size = Size(passes=1, requests=len(jobs))
        predicted_end, end = now + self.costs.milliseconds(size), now + TRUTH.milliseconds(size)
        while arriving and arriving[0].at < end:
            self._admit(arriving.popleft(), predicted_end)
        for job in jobs:
            job.began, job.ended = now, end
        self.costs.learn(size, end - now)
        return end, 0.0

    def _admit(self, job: Job, predicted_end: float) -> None:
        claim = Claim(self.costs.milliseconds(ONE), 1, job.deadline)
        wait_ms = max(0.0, predicted_end - job.at) + self.line.wait_ms(claim, self.costs.coefficients.passes)
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
    desk = Desk(CostModel(Size(*(wrong * ms for ms in TRUTH.coefficients))))
    desk.run(load(200.0, 10.0, 60.0))
    assert wrong < 100 or desk.shed
    assert not [job for job in [*desk.shed, *desk.expired] if job.at > 1_000]


def test_a_third_too_much_is_shed_on_arrival_and_the_rest_is_in_time() -> None:
    desk, jobs = Desk(CostModel(TRUTH.coefficients)), load(600.0, 20.0, 200.0)
    desk.run(jobs)
    answered = [job for job in jobs if job.began is not None]
    assert len(answered) == len(jobs) - len(desk.shed) - len(desk.expired)
    assert max(job.waited_ms for job in answered) <= 200
    assert len(desk.expired) < 0.05 * len(desk.shed)
    assert 380 < len(answered) / 20 < 450
