from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from muse_stream.esu_scorer import BatchError, ScoreBatch
from muse_stream.esu_scorer.batch import LAYOUT

from .making import score_batch


def test_every_column_is_laid_out() -> None:
    assert list(LAYOUT) == [field.name for field in fields(ScoreBatch)]


def test_split_and_join_are_each_others_inverse() -> None:
    batch = score_batch(1, (2, 0, 3))
    joined = ScoreBatch.join(list(batch.split()))
    for field in fields(ScoreBatch):
        assert np.array_equal(getattr(joined, field.name), getattr(batch, field.name)), field.name


def test_join_pads_to_the_longest() -> None:
    short, long = score_batch(1, (2,), recent=2, retrieved=3), score_batch(2, (1,), recent=4, retrieved=1)
    joined = ScoreBatch.join([short, long])
    assert joined.recent_item.shape == (2, 4)
    assert joined.retrieved_item.shape == (3, 3)
    assert not joined.recent_mask[0, 2:].any()
    assert not joined.retrieved_mask[2, 1:].any()
    assert joined.owners().tolist() == [0, 0, 1]


def test_join_refuses_nothing_and_other_features() -> None:
    batch = score_batch(1, (1,))
    with pytest.raises(BatchError, match="join no batches"):
        ScoreBatch.join([])
    other = replace(batch, user_features=batch.user_features[:, :1])
    with pytest.raises(BatchError, match="different user_features"):
        ScoreBatch.join([batch, other])


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("user_features", np.zeros((3, 2), np.int32), "user_features must be a int64 array"),
        ("user_features", np.zeros((2, 2), np.int64), "recent_item has P = 3, but user_features has P = 2"),
        ("recent_mask", np.zeros((3, 5), np.bool_), "recent_mask has R = 5, but recent_item has R = 6"),
        ("recent_cosine", np.zeros((7, 6)), "recent_cosine must be a float32 array"),
        ("retrieved_mask", [[True]], "found list"),
        ("candidate_features", np.zeros(7, np.int64), "candidate_features must be a int64 array"),
        ("bounds", np.array([0, 7]), "P . 1 = 4 entries, found 2"),
        ("bounds", np.array([0, 3, 3, 6]), "rise from 0 to T = 7"),
        ("bounds", np.array([1, 3, 3, 7]), "rise from 0 to T = 7"),
        ("bounds", np.array([0, 5, 3, 7]), "rise from 0 to T = 7"),
    ],
)
def test_what_does_not_fit_is_told(column: str, value: Any, told: str) -> None:
    with pytest.raises(BatchError, match=told):
        replace(score_batch(1, (3, 0, 4)), **{column: value})


def test_a_cosine_must_be_finite_only_where_it_is_present() -> None:
    batch = score_batch(1)
    cosines = np.where(batch.retrieved_mask, batch.retrieved_cosine, np.float32(np.nan))
    replace(batch, retrieved_cosine=cosines)
    row, place = (int(index) for index in np.argwhere(batch.retrieved_mask)[0])
    cosines[row, place] = np.inf
    with pytest.raises(BatchError, match=rf"retrieved_cosine\[{row}, {place}\] is inf"):
        replace(batch, retrieved_cosine=cosines)
