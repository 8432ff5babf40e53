from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from muse_stream.esu_scorer.errors import EvaluationError
from muse_stream.esu_scorer.evaluation import Interval, Report, Scores, difference, evaluate, gauc
from tests.esu_scorer.evaluation.making import SAMPLES, random_scores, scores_of

NONE = Interval(value=None, low=None, high=None)
DAY_MS = 86_400_000


@given(SAMPLES)
def test_any_scores_have_a_report_that_survives_json(samples: list[tuple[int, bool, float]]) -> None:
    report = evaluate(scores_of(samples), rounds=20)
    assert Report.from_json(report.to_json()) == report
    assert report.samples == len(samples) == sum(each.samples for each in report.reliability)
    assert report.users == len({user for user, _, _ in samples})


def test_a_report_is_saved_and_read(tmp_path: Path) -> None:
    report = evaluate(random_scores(users=20), rounds=10)
    report.save(tmp_path / "report.json")
    assert Report.from_json((tmp_path / "report.json").read_bytes()) == report


@pytest.mark.parametrize("text", [b"{}", b"{", b'{"gauc": 0.5}', b"\xff"])
def test_what_is_no_report_is_refused(text: bytes) -> None:
    with pytest.raises(EvaluationError, match="not a report"):
        Report.from_json(text)


def test_nothing_is_known_of_no_samples() -> None:
    report = evaluate(Scores.join([]))
    assert (report.gauc, report.auc, report.log_loss, report.calibration) == (NONE, NONE, NONE, NONE)
    assert (report.samples, report.users, report.clicks, report.reliability) == (0, 0, 0, ())


def test_ten_bins_are_equally_full_and_rise() -> None:
    scores = random_scores(users=500, each=10)
    bins = evaluate(scores, rounds=0).reliability
    assert [each.samples for each in bins] == [500] * 10
    assert all(low.score_high <= high.score_low for low, high in pairwise(bins))
    for each in bins:
        inside = (scores.score >= each.score_low) & (scores.score <= each.score_high)
        assert each.observed == pytest.approx(scores.label[inside].mean())
        assert each.predicted == pytest.approx(scores.score[inside].mean(), rel=1e-5)
    assert bins[-1].predicted == pytest.approx(bins[-1].observed, abs=0.08)


def test_equal_scores_share_a_bin() -> None:
    scores = scores_of([(user, user % 4 == 0, 0.25) for user in range(30)])
    (only,) = evaluate(scores, rounds=0).reliability
    assert (only.samples, only.predicted, only.score_low, only.score_high) == (30, 0.25, 0.25, 0.25)


def test_buckets_are_judged_by_themselves() -> None:
    scores = random_scores()
    report = evaluate(scores, rounds=0)
    names = [each.name for each in report.by_length]
    assert names == ["0", "1 to 49", "50 to 99", "100 to 199", "200 to 499", "500 to 999", "1,000 to 1,999"]
    inside = scores.take((scores.history >= 200) & (scores.history < 500))
    bucket = report.by_length[4]
    assert bucket.gauc.value == pytest.approx(gauc(inside.user, inside.label, inside.score))
    assert (bucket.samples, bucket.clicks) == (len(inside), inside.label.sum())
    assert sum(each.samples for each in report.by_age) == sum(each.samples for each in report.by_length) == len(scores)


@pytest.mark.parametrize(
    ("age_ms", "name"),
    [
        (-1, "unknown"),
        (0, "< 1 h"),
        (3_600_000, "1 h to 1 day"),
        (DAY_MS - 1, "1 h to 1 day"),
        (DAY_MS, "1 to 7 days"),
        (364 * DAY_MS, "180 to 365 days"),
        (365 * DAY_MS, ">= 365 days"),
    ],
)
def test_ages_fall_where_their_names_say(age_ms: int, name: str) -> None:
    column = np.array([age_ms])
    scores = Scores(np.array([1]), np.array([True]), np.array([0.5], np.float32), np.array([100_000]), column)
    report = evaluate(scores, rounds=0)
    assert [each.name for each in report.by_age] == [name]
    assert [each.name for each in report.by_length] == [">= 100,000"]


def test_a_handful_of_users_has_no_interval() -> None:
    assert evaluate(random_scores(users=9)).log_loss.low is None
    assert evaluate(random_scores(users=10)).log_loss.low is not None
    assert evaluate(random_scores(users=50), rounds=0).gauc.low is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"score": np.array([0.1, np.nan], np.float32)}, r"sample 1 \(user 7\) has score nan"),
        ({"score": np.array([1.5, 0.0], np.float32)}, "sample 0 .* has score 1.5, expected a probability"),
        ({"label": np.array([True])}, "of one length"),
        ({"history": np.array([3, -4])}, r"sample 1 \(user 7\) has history -4, expected >= 0"),
        ({"age_ms": np.array([-2, 0])}, r"sample 0 \(user 6\) has age_ms -2, expected >= -1"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(change: dict[str, np.ndarray], told: str) -> None:
    columns = {
        "user": np.array([6, 7]),
        "label": np.array([True, False]),
        "score": np.array([0.5, 0.5], np.float32),
        "history": np.array([1, 2]),
        "age_ms": np.array([-1, 5]),
    }
    with pytest.raises(EvaluationError, match=told):
        Scores(**(columns | change))


def test_only_the_same_samples_are_compared() -> None:
    scores = random_scores(users=20)
    with pytest.raises(EvaluationError, match="scores of 240 and of 239 samples"):
        difference(scores, scores.take(np.arange(239)))
    with pytest.raises(EvaluationError, match=r"sample 0 is of user 0, .* score one part in one order"):
        difference(scores, scores.take(np.arange(239, -1, -1)))


def test_pieces_join_in_order() -> None:
    scores = random_scores(users=20)
    joined = Scores.join([scores.take(np.arange(100)), scores.take(np.arange(100, 240))])
    np.testing.assert_array_equal(joined.score, scores.score)
    np.testing.assert_array_equal(joined.age_ms, scores.age_ms)
