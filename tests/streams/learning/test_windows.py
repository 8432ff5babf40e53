import numpy as np
import pytest

from muse_stream.streams.learning import windows
from muse_stream.streams.learning.windows import BEFORE, OWN, SHARED, Pairs, cut


def _pieces(samples: list[tuple[int, int, int]], recent: int = 2) -> list[tuple[int, int, int, int]]:
    owner, start, stop = np.array(samples, np.int64).T
    found = cut(owner, start, stop, recent)
    columns = (found.sample, found.part, found.start, found.stop)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SHARED_FROM", 10)


def test_windows_that_end_apart_share_their_beginning() -> None:
    assert _pieces([(0, 0, 40), (0, 0, 42)]) == [
        (0, OWN, 38, 40),
        (0, SHARED, 0, 38),
        (1, OWN, 38, 42),
        (1, SHARED, 0, 38),
    ]


def test_windows_of_one_length_that_slide_have_a_part_before() -> None:
    assert _pieces([(0, 10, 50), (0, 13, 53)]) == [
        (0, OWN, 48, 50),
        (0, SHARED, 13, 48),
        (0, BEFORE, 10, 13),
        (1, OWN, 48, 53),
        (1, SHARED, 13, 48),
    ]


@pytest.mark.parametrize(
    "samples",
    [
        [(0, 0, 40), (1, 0, 42)],
        [(0, 0, 40), (0, 0, 40)],
        [(0, 0, 40), (0, 0, 80)],
        [(0, 0, 9), (0, 0, 10)],
        [(0, 0, 40), (0, 35, 42)],
    ],
    ids=["other users", "one window", "far apart", "short", "little in common"],
)
def test_windows_that_are_asked_about_whole(samples: list[tuple[int, int, int]]) -> None:
    assert _pieces(samples) == [(number, OWN, start, stop) for number, (_, start, stop) in enumerate(samples)]


def test_pairs_are_the_distinct_windows_of_a_user() -> None:
    pairs = Pairs.of(np.array([1, 0, 1, 1]), np.array([0, 0, 0, 1]), np.array([5, 5, 5, 5]))
    assert list(zip(pairs.owner.tolist(), pairs.start.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1)]
    assert pairs.order.tolist() == [1, 0, 2, 3]
    assert pairs.bounds.tolist() == [0, 1, 3, 4]


def test_runs_count_a_history_once_and_never_stop() -> None:
    pairs = Pairs.of(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5, 5, 5]))
    assert list(pairs.runs(np.array([100, 100, 100]), 110)) == [slice(0, 2), slice(2, 3)]
    assert list(pairs.runs(np.array([100, 100, 100]), 1)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
