"""The ordering that the planted data promise, shown by scorers that learn nothing."""

from functools import cache

import numpy as np
import pytest

from muse_stream.esu_scorer.data.planted import Planted
from muse_stream.esu_scorer.evaluation import Interval, Scores, difference, gauc
from tests.esu_scorer.data.simple_scorers import simple_scores


@cache
def scores(dial: float) -> dict[str, Scores]:
    return simple_scores(Planted(users=300, length=600, samples=12_000, dial=dial))


def gaucs(dial: float) -> dict[str, float]:
    return {name: gauc(each.user, each.label, each.score) for name, each in scores(dial).items()}


def gap(dial: float, better: str, worse: str) -> Interval:
    return difference(scores(dial)[better], scores(dial)[worse])


@pytest.mark.parametrize("dial", [0.9, 1.0])
def test_the_whole_history_by_vector_beats_category_beats_the_recent_window(dial: float) -> None:
    for worse in ("category", "recent category", "nearest recent"):
        found = gap(dial, "nearest", worse)
        assert found.low is not None
        assert found.low > 0.08, worse
    assert gap(dial, "category", "recent category").above_zero
    assert gap(dial, "oracle", "nearest").above_zero


def test_at_one_the_recent_window_tells_nothing() -> None:
    found = gaucs(1.0)
    assert found["recent category"] == pytest.approx(0.5, abs=0.02)
    assert found["nearest recent"] == pytest.approx(0.5, abs=0.02)


def test_at_zero_the_recent_window_tells_all() -> None:
    for other in ("nearest", "category", "nearest recent"):
        found = gap(0.0, "recent category", other)
        assert found.low is not None
        assert found.low > 0.1, other
    assert abs(gap(0.0, "oracle", "recent category").value or 0.0) < 0.01


def test_what_the_recent_window_tells_falls_as_the_dial_rises() -> None:
    recent = [gaucs(dial)["recent category"] for dial in (0.0, 0.5, 0.9, 1.0)]
    nearest = [gaucs(dial)["nearest"] for dial in (0.0, 0.5, 0.9, 1.0)]
    assert recent == sorted(recent, reverse=True)
    assert nearest == sorted(nearest)


@pytest.mark.parametrize("dial", [0.0, 0.5, 0.9, 1.0])
def test_nothing_beats_the_oracle(dial: float) -> None:
    found = gaucs(dial)
    assert max(found.values()) <= found["oracle"] + 0.005
    assert 0.7 < found["oracle"] < 0.85
    assert 0.15 < np.mean(scores(dial)["oracle"].label) < 0.35
