"""The cost model learns what passes take, whatever it began with, and stays within its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.serving.cost import (
    FACTOR_MAX,
    RATE,
    RATIO_MAX,
    SEED,
    STRETCH_MAX,
    Coefficients,
    CostModel,
    HistoryLengths,
    Size,
    Stages,
)

ONE = Size(passes=1, requests=3, rows=1e5, pairs=1e7, scored=600, shown=100)


def stages_of(coefficients: Coefficients, size: Size) -> Stages:
    """What a pass takes where these are the truth."""
    return Stages(*(float(np.dot(one, size)) for one in coefficients))


def scaled(find: float, score: float, rest: float) -> Coefficients:
    factors = (find, score, rest)
    return Coefficients(*(Size(*(factor * ms for ms in one)) for factor, one in zip(factors, SEED, strict=True)))


def drawn(rng: np.random.Generator) -> Size:
    """A pass of a few requests of all sizes."""
    requests = []
    for _ in range(rng.integers(1, 6)):
        rows, candidates = 10 ** rng.uniform(1, 5), 10 ** rng.uniform(0, 3)
        shown = candidates * 50 * float(rng.integers(0, 2))
        requests.append(Size(0, 1, rows, rows * candidates, candidates, shown))
    return Size.total([Size(passes=1), *requests])


@pytest.mark.parametrize("wrong", [(0.15, 0.15, 0.15), (1, 1, 1), (7, 0.5, 1), (0.3, 6, 2)])
def test_it_learns_stages_of_another_speed(wrong: tuple[float, float, float]) -> None:
    costs, truth, rng = CostModel(), scaled(*wrong), np.random.default_rng(5)
    for _ in range(200):
        size = drawn(rng)
        noise = np.exp(rng.normal(0, 0.2, 3))
        costs.learn(size, Stages(*(noise * stages_of(truth, size))))
    unseen = [drawn(rng) for _ in range(200)]
    errors = [costs.stretch * costs.work_ms(size) / sum(stages_of(truth, size)) for size in unseen]
    assert min(errors) > 0.7
    assert max(errors) < 1.4
    assert 0.7 < costs.stretch < 1.4


def test_a_stall_stretches_time_and_leaves_work_within_its_bound() -> None:
    costs = CostModel()
    before = costs.work_ms(ONE)
    for _ in range(300):
        costs.learn(ONE, Stages(5.0, 5_000.0, 1.0))
    assert costs.work_ms(ONE) <= FACTOR_MAX * before
    assert costs.stretch * costs.work_ms(ONE) == pytest.approx(5_006, rel=0.01)


def test_one_pass_moves_no_prediction_far() -> None:
    costs, most = CostModel(), RATIO_MAX ** (2 * RATE)
    before = costs.stretch * costs.work_ms(ONE)
    costs.learn(ONE, Stages(1e9, 1e9, 1e9))
    after = costs.stretch * costs.work_ms(ONE)
    assert before < after <= most * before * (1 + 1e-9)
    costs.learn(ONE, Stages(1e-9, 1e-9, 1e-9))
    assert costs.stretch * costs.work_ms(ONE) < after


@given(st.lists(st.tuples(*[st.floats(0, 1e12)] * 3, st.integers(0, 2_000)), max_size=60), st.floats(0, 1e5))
def test_factors_stay_within_their_bounds(passes: list[tuple[float, float, float, int]], rows: float) -> None:
    costs = CostModel()
    for find, score, rest, candidates in passes:
        costs.learn(Size(1, 1, rows, rows * candidates, candidates, 0), Stages(find, score, rest))
    assert all(1 / FACTOR_MAX <= factor <= FACTOR_MAX for factor in costs.factors)
    assert 1 / STRETCH_MAX <= costs.stretch <= STRETCH_MAX


def test_a_stage_that_did_not_run_teaches_nothing() -> None:
    costs = CostModel()
    costs.learn(Size(passes=1, requests=1, rows=100), Stages(2.0, 0.0, 1.0))
    assert costs.factors.score == 1
    assert costs.factors.find > 1


def test_it_begins_anew_with_what_was_measured() -> None:
    costs = CostModel()
    costs.learn(ONE, Stages(1.0, 100.0, 1.0))
    costs.begin(SEED._replace(find=SEED.find._replace(pairs=1e-6)))
    assert costs.work_ms(Size(pairs=1e6)) == pytest.approx(1.0)
    assert (costs.factors, costs.stretch) == (Stages(1, 1, 1), 1)


def test_lengths_are_those_of_the_last_answer_and_strangers_are_like_the_others() -> None:
    lengths = HistoryLengths(users_max=2)
    for _ in range(100):
        lengths.learn(1, 20_000)
    lengths.learn(2, 50)
    assert (lengths.of(1), lengths.of(2)) == (20_000, 50)
    assert 10_000 < lengths.of(3) < 20_000
    lengths.learn(1, 20_001)
    lengths.learn(4, 70)
    assert (lengths.of(1), lengths.of(4)) == (20_001, 70)
    assert lengths.of(2) == lengths.of(3)
