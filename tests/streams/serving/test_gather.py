"""From positions to the network's columns."""

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.serving.gather import rows_at, user_features, with_categories


class OneCategory:
    def features_of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        return items

    def categories_of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        return items * 10


def test_the_first_source_that_has_a_feature_wins() -> None:
    features = user_features(("a", "b", "c"), {"a": 1}, {"a": 2, "b": 3})
    assert features.tolist() == [1, 3, 0]


def test_rows_count_from_the_sequences_start_and_absent_ones_are_masked() -> None:
    rows, mask = rows_at(np.array([[12, 10, -1]]), 10)
    assert rows.tolist() == [[2, 0, 0]]
    assert mask.tolist() == [[True, True, False]]


def test_categories_that_were_not_sent_come_from_the_catalogue() -> None:
    items, sent = np.array([[1, 2, 0]]), np.array([[7, 0, 0]])
    assert with_categories(items, sent, OneCategory()).tolist() == [[7, 20, 0]]
    assert sent.tolist() == [[7, 0, 0]], "the source is left as it was"
