"""The cost model learns what passes take, whatever it began with, and stays within its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.serving.cost import DRIFT_MAX, RATIO_MAX, SEED, CostModel, HistoryLengths, Size

TRUTH = Size(passes=2.0, requests=0.2, rows=2e-5, pairs=5e-7, scored=0.015, shown=2e-4)


def drawn(rng: np.random.Generator) -> Size:
    """A pass of a few requests of all sizes."""
    requests = []
    for _ in range(rng.integers(1, 6)):
        rows, candidates = 10 ** rng.uniform(1, 5), 10 ** rng.uniform(0, 3)
        shown = candidates * 50 * rng.integers(0, 2)
        requests.append(Size(0, 1, rows, rows * candidates, candidates, shown))
    return Size.total([Size(passes=1), *requests])


def taught(costs: CostModel, passes: int, *, noise: float = 0.0) -> CostModel:
    rng, truth = np.random.default_rng(5), CostModel(TRUTH)
    for _ in range(passes):
        size = drawn(rng)
        costs.learn(size, truth.milliseconds(size) * float(np.exp(rng.normal(0, noise))))
    return costs


def errors(costs: CostModel, rng: np.random.Generator) -> list[float]:
    """Predicted over true, of passes that it has not seen."""
    truth = CostModel(TRUTH)
    return [costs.milliseconds(size) / truth.milliseconds(size) for size in (drawn(rng) for _ in range(200))]


@pytest.mark.parametrize("wrong", [0.02, 0.5, 1, 30])
def test_it_learns_a_machine_of_another_speed(wrong: float) -> None:
    costs = taught(CostModel(Size(*(wrong * ms for ms in SEED))), 300, noise=0.2)
    found = errors(costs, np.random.default_rng(6))
    assert 0.8 < np.median(found) < 1.25
    assert max(found) / min(found) < 4


def test_one_pass_moves_no_prediction_by_more_than_the_bound() -> None:
    costs, size = CostModel(), Size(passes=1, requests=3, rows=1e5, pairs=1e7, scored=600)
    before = costs.milliseconds(size)
    costs.learn(size, 1e9)
    assert before < costs.milliseconds(size) <= RATIO_MAX * before
    costs.learn(size, 0.0)
    assert costs.milliseconds(size) < RATIO_MAX * before


@given(st.lists(st.tuples(st.integers(1, 2_000), st.floats(0, 1e12)), max_size=60), st.floats(0, 1e5))
def test_coefficients_stay_within_their_bounds(passes: list[tuple[int, float]], rows: float) -> None:
    costs = CostModel()
    for candidates, ms in passes:
        costs.learn(Size(1, 1, rows, rows * candidates, candidates, 0), ms)
    for ms, seed in zip(costs.coefficients, SEED, strict=True):
        assert seed / DRIFT_MAX <= ms <= seed * DRIFT_MAX * (1 + 1e-9)


def test_a_term_that_a_pass_does_not_have_is_not_touched() -> None:
    costs = CostModel()
    costs.learn(Size(passes=1, requests=1), 50.0)
    assert costs.coefficients[2:] == SEED[2:]
    costs.learn(Size(), 50.0)
    assert costs.coefficients[2:] == SEED[2:]


def test_it_begins_with_what_was_measured() -> None:
    costs = CostModel()
    costs.begin(passes=1.5, pairs=1e-6)
    assert costs.coefficients == SEED._replace(passes=1.5, pairs=1e-6)
    for _ in range(200):
        costs.learn(Size(passes=1), 1e9)
    assert costs.coefficients.passes == pytest.approx(1.5 * DRIFT_MAX)


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
