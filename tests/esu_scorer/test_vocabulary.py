import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.esu_scorer import Vocabulary
from muse_stream.esu_scorer.errors import VocabularyError

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64, max_size=30), st.lists(INT64, max_size=30))
def test_rows_equal_a_dictionary(known: list[int], asked: list[int]) -> None:
    vocabulary = Vocabulary.of(np.array(known, np.int64))
    rows = {key: row for row, key in enumerate(sorted(set(known) - {0}), start=1)}
    wanted = [rows.get(key, 0) for key in asked + known]
    assert vocabulary.rows(np.array(asked + known, np.int64)).tolist() == wanted
    assert vocabulary.row_count == len(rows) + 1


def test_missing_and_unknown_share_row_zero_in_every_shape() -> None:
    vocabulary = Vocabulary.of([5, -3, 5, 0])
    assert vocabulary.ids.tolist() == [-3, 5]
    assert vocabulary.rows(np.array([[0, 5], [7, -3]])).tolist() == [[0, 2], [0, 1]]
    assert vocabulary.rows(np.empty((0, 4), np.int64)).shape == (0, 4)
    assert Vocabulary.of([]).rows(np.array([0, 9])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (np.array([1, 1]), "found 1 then 1 at index 0"),
        (np.array([1, 3, 2]), "found 3 then 2 at index 1"),
        (np.array([-1, 0, 1]), "holds id 0"),
        (np.array([1, 2], np.int32), "one-dimensional int64, found int32"),
        (np.array([[1, 2]]), "one-dimensional int64"),
    ],
)
def test_what_is_no_vocabulary_is_refused(ids: np.ndarray, told: str) -> None:
    with pytest.raises(VocabularyError, match=told):
        Vocabulary(ids)


def test_text_is_refused() -> None:
    with pytest.raises(VocabularyError, match="must be integers"):
        Vocabulary.of(["17850"])
