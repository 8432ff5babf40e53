import numpy as np
import pytest

from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.vectors import check_dense, check_items, rows_of

ITEMS = np.array([30, 10, 20])


def test_sound_features_become_float32() -> None:
    features = np.arange(6, dtype=np.float64).reshape(3, 2)
    assert check_dense(features, ITEMS).dtype == np.float32


@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (np.inf, "inf"), (1e300, r"1e\+300")])
def test_a_number_that_float32_cannot_hold_is_told_by_row_and_item(value: float, said: str) -> None:
    features = np.zeros((3, 4))
    features[2, 1] = value
    with pytest.raises(DataError, match=rf"feature, row 2 \(item 20\): value 1 is {said}"):
        check_dense(features, ITEMS)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (3, 2, 2)])
def test_another_shape_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="expected \\[items, width\\]"):
        check_dense(np.zeros(shape))


def test_an_item_that_comes_twice_or_is_missing_is_told_by_row() -> None:
    check_items(ITEMS)
    with pytest.raises(DataError, match="item, row 3: item 10 was already in row 1"):
        check_items(np.array([30, 10, 20, 10, 30]))
    with pytest.raises(DataError, match="item, row 1: 0 means missing"):
        check_items(np.array([30, 0, 20]))


def test_rows_of_items() -> None:
    assert rows_of(ITEMS, np.array([10, 30, 30, 20])).tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize("items", [ITEMS, ITEMS[:0]])
def test_an_item_of_the_purchases_that_has_no_features_is_told_by_row(items: np.ndarray) -> None:
    wanted = np.concatenate([items, [40]])
    with pytest.raises(DataError, match=rf"column item, row {len(items)}: item 40 is not among the {len(items)} items"):
        rows_of(items, wanted)
