import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.esu_scorer import Vocabulary
from muse_stream.esu_scorer.errors import VocabularyError
from muse_stream.esu_scorer.vocabulary import HashedVocabulary

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


def test_hashed_ids_have_the_documented_row() -> None:
    def mix(value: int) -> int:
        mask = 2**64 - 1
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
        return value ^ (value >> 31)

    ids = [1, -1, 2**62, -(2**63), 12345, 2**63 - 1]
    wanted = [1 + mix(i & (2**64 - 1)) % 97 for i in ids]
    assert HashedVocabulary(97).rows(np.array([ids])).tolist() == [wanted]
    assert HashedVocabulary(97).rows(np.array([0, 0])).tolist() == [0, 0]


def test_hashed_ids_share_rows_as_often_as_documented() -> None:
    lookup = HashedVocabulary(20_000)
    rows, counts = np.unique(lookup.rows(np.arange(1, 10_001)), return_counts=True)
    assert rows.min() >= 1
    assert rows.max() < lookup.row_count
    shared = counts[counts > 1].sum() / 10_000
    assert abs(shared - (1 - np.exp(-0.5))) < 0.02


def test_no_buckets_are_refused() -> None:
    with pytest.raises(VocabularyError, match="at least 1 bucket, found 0"):
        HashedVocabulary(0)
