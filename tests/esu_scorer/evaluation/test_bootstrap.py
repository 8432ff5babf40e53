import numpy as np
import pytest
import sklearn.metrics

from muse_stream.esu_scorer.evaluation import Interval, Scores, auc, bootstrap, difference, evaluate, gauc
from muse_stream.esu_scorer.evaluation.sums import METRICS, Column, Metric, metric_of, user_sums
from tests.esu_scorer.evaluation.making import random_scores


def by_hand(scores: Scores, rounds: int, metric: Metric) -> np.ndarray:
    """The metric of users drawn with repeats, sample by sample; a user drawn twice is two users."""
    rng = np.random.default_rng(77)
    users = np.unique(scores.user)
    rows_of = [np.flatnonzero(scores.user == user) for user in users]
    draws = []
    for _ in range(rounds):
        drawn = rng.integers(len(users), size=len(users))
        rows = np.concatenate([rows_of[each] for each in drawn])
        twins = np.repeat(np.arange(len(drawn)), [len(rows_of[each]) for each in drawn])
        label, score = scores.label[rows], scores.score[rows]
        draws.append(gauc(twins, label, score) if metric == "gauc" else auc(label, score))
    return np.array(draws)


def test_sums_of_all_users_are_the_metrics_of_the_whole() -> None:
    scores = random_scores(users=40)
    sums = user_sums(scores)
    whole = sums.sum(0)
    label, score = scores.label, scores.score.astype(np.float64)
    found = {metric: float(metric_of(metric, whole, whole)) for metric in METRICS}
    assert found["gauc"] == pytest.approx(gauc(scores.user, label, score))
    assert found["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(label, score))
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(label, score))
    assert found["calibration"] == pytest.approx(score.sum() / label.sum())


def test_resamples_are_weighted_sums_of_users() -> None:
    sums = np.stack([np.arange(5.0), np.ones(5)], axis=1)
    drawn = bootstrap.resamples(sums, 2000, seed=3)
    assert (drawn[:, 1] == 5).all()
    assert set(drawn[:, 0]) <= set(np.arange(21.0))
    assert drawn[:, 0].mean() == pytest.approx(10, abs=0.3)
    assert drawn[:, 0].var() == pytest.approx(5 * np.arange(5).var(), rel=0.1)


@pytest.mark.parametrize("metric", ["gauc", "auc"])
def test_draws_spread_as_those_made_by_hand(metric: Metric) -> None:
    scores = random_scores(users=150)
    sums = user_sums(scores)
    fast = metric_of(metric, bootstrap.resamples(sums, 2000, seed=1), sums.sum(0))
    slow = by_hand(scores, 600, metric)
    assert fast.std() == pytest.approx(slow.std(), rel=0.12)
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.15 * slow.std())


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = gauc_of(random_scores(999, users=20_000))
    found = [gauc_interval(random_scores(seed, users=120)) for seed in range(200)]
    assert 180 <= sum(low <= truth <= high for low, high in found) <= 198


def test_many_users_are_drawn_in_groups_with_the_same_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = user_sums(random_scores(users=2000, each=6))
    spread = bootstrap.resamples(sums, 1000, seed=1)[:, Column.CLICKS].std()
    monkeypatch.setattr(bootstrap, "USERS_MAX", 500)
    grouped = bootstrap.resamples(sums, 1000, seed=1)
    assert grouped[:, Column.CLICKS].mean() == pytest.approx(sums[:, Column.CLICKS].sum(), rel=0.01)
    assert grouped[:, Column.CLICKS].std() == pytest.approx(spread, rel=0.15)


def test_rounds_made_in_parts_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = user_sums(random_scores(users=50))
    at_once = bootstrap.resamples(sums, 64, seed=5)
    monkeypatch.setattr(bootstrap, "_CELLS", 170)
    np.testing.assert_allclose(bootstrap.resamples(sums, 64, seed=5), at_once, rtol=1e-12)


def test_a_difference_is_narrower_than_either_interval() -> None:
    good, slightly_worse = random_scores(skill=1.0), random_scores(skill=0.7)
    found = difference(good, slightly_worse)
    alone = evaluate(good).gauc
    assert found.value == pytest.approx(gauc_of(good) - gauc_of(slightly_worse))
    assert found.above_zero
    assert width(found) < 0.7 * width(alone)


def test_a_model_differs_from_itself_by_exactly_nothing() -> None:
    scores = random_scores(users=30)
    for metric in METRICS:
        assert difference(scores, scores, metric=metric) == Interval(value=0.0, low=0.0, high=0.0)


def test_equal_seeds_give_equal_intervals() -> None:
    scores = random_scores(users=30)
    assert evaluate(scores, seed=4) == evaluate(scores, seed=4)
    assert evaluate(scores, seed=4).gauc != evaluate(scores, seed=5).gauc


def gauc_of(scores: Scores) -> float:
    return gauc(scores.user, scores.label, scores.score)


def gauc_interval(scores: Scores) -> tuple[float, float]:
    sums = user_sums(scores)
    drawn = metric_of("gauc", bootstrap.resamples(sums, 300, seed=1), sums.sum(0))
    found = bootstrap.interval(gauc_of(scores), drawn, users=len(sums))
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def width(found: Interval) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low
