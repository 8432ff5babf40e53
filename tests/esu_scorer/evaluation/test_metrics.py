import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given

from muse_stream.esu_scorer.evaluation import auc, calibration, gauc, log_loss, user_aucs
from tests.esu_scorer.evaluation import brute
from tests.esu_scorer.evaluation.making import SAMPLES, random_scores, scores_of

Samples = list[tuple[int, bool, float]]


@given(SAMPLES)
def test_auc_and_gauc_equal_their_definitions(samples: Samples) -> None:
    scores = scores_of(samples)
    users, labels, values = scores.user.tolist(), scores.label.tolist(), scores.score.tolist()
    assert auc(scores.label, scores.score) == pytest.approx(brute.auc(labels, values), nan_ok=True)
    assert gauc(scores.user, scores.label, scores.score) == pytest.approx(
        brute.gauc(users, labels, values), nan_ok=True
    )


@given(SAMPLES.filter(lambda samples: len({label for _, label, _ in samples}) == 2))
def test_they_equal_scikit_learn(samples: Samples) -> None:
    scores = scores_of(samples)
    assert auc(scores.label, scores.score) == pytest.approx(sklearn.metrics.roc_auc_score(scores.label, scores.score))
    clipped = np.clip(scores.score.astype(np.float64), 1e-7, 1 - 1e-7)
    assert log_loss(scores.label, scores.score) == pytest.approx(sklearn.metrics.log_loss(scores.label, clipped))


@given(SAMPLES)
def test_the_order_of_samples_does_not_matter(samples: Samples) -> None:
    one, other = scores_of(samples), scores_of(samples[::-1])
    assert gauc(one.user, one.label, one.score) == pytest.approx(
        gauc(other.user, other.label, other.score), nan_ok=True
    )


def test_users_of_one_class_are_known_but_not_counted() -> None:
    user = np.array([5, 5, 5, 2, 2, 9], np.int64)
    label = np.array([True, False, False, True, True, False])
    each = user_aucs(user, label, np.array([0.5, 0.5, 0.1, 0.9, 0.3, 0.2]))
    assert each.user.tolist() == [2, 5, 9]
    assert each.samples.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(each.auc, [math.nan, 0.75, math.nan])
    assert each.mean() == 0.75


def test_users_weigh_as_their_samples() -> None:
    user = np.array([1, 1, 2, 2, 2, 2], np.int64)
    label = np.array([True, False, True, False, False, False])
    score = np.array([0.9, 0.1, 0.1, 0.2, 0.3, 0.4])
    assert gauc(user, label, score) == pytest.approx(2 / 6)


def test_scores_of_two_users_are_never_compared() -> None:
    user, label = np.array([1, 1, 2, 2], np.int64), np.array([True, False, True, False])
    score = np.array([0.2, 0.1, 0.9, 0.8])
    assert gauc(user, label, score) == 1.0
    assert auc(label, score) == 0.75


def test_calibration_is_predicted_over_observed() -> None:
    scores = random_scores()
    assert calibration(scores.label, scores.score) == pytest.approx(scores.score.mean() / scores.label.mean(), rel=1e-5)
    assert math.isnan(calibration(np.array([False]), np.array([0.5])))


def test_certain_and_wrong_costs_a_finite_loss() -> None:
    assert log_loss(np.array([True, False]), np.array([0.0, 1.0])) == pytest.approx(-math.log(1e-7))
    assert math.isnan(log_loss(np.empty(0, bool), np.empty(0)))
