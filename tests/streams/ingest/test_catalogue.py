import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.streams.ingest.catalogue import Catalogue


def ids(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


@pytest.fixture
def index() -> ItemIndex:
    return ItemIndex(max_items=1_000)


@pytest.fixture
def catalogue(index: ItemIndex) -> Catalogue:
    catalogue = Catalogue(index, ("brand", "colour"))
    catalogue.put(ids(10, 11), ids(1, 2), np.array([[5, 6], [7, 8]], np.int64))
    return catalogue


def test_features_have_item_and_category_first_and_zeros_where_unknown(catalogue: Catalogue) -> None:
    assert catalogue.features_of(ids(11, 99, 10)).tolist() == [[11, 2, 7, 8], [99, 0, 0, 0], [10, 1, 5, 6]]
    assert catalogue.features_of(ids()).shape == (0, 4)


def test_a_category_that_was_sent_counts_before_the_catalogue(catalogue: Catalogue) -> None:
    assert catalogue.categories_of(ids(10, 11, 99)).tolist() == [1, 2, 0]
    assert catalogue.categories_of(ids(10, 11, 99), ids(0, 40, 0)).tolist() == [1, 40, 0]


def test_the_last_row_of_an_item_counts(catalogue: Catalogue) -> None:
    catalogue.put(ids(10, 10), ids(3, 4), np.array([[0, 0], [9, 9]], np.int64))
    assert catalogue.features_of(ids(10)).tolist() == [[10, 4, 9, 9]]


def test_forgotten_items_are_unknown_and_free_their_slot(catalogue: Catalogue, index: ItemIndex) -> None:
    assert index.reclaim() == 0
    catalogue.forget(ids(10, 12_345))
    assert catalogue.features_of(ids(10)).tolist() == [[10, 0, 0, 0]]
    assert index.reclaim() == 1
    catalogue.put(ids(77), ids(0), np.zeros((1, 2), np.int64))
    assert catalogue.features_of(ids(11, 77)).tolist() == [[11, 2, 7, 8], [77, 0, 0, 0]]


def test_a_flood_of_unknown_items_does_not_push_known_ones_out(catalogue: Catalogue, index: ItemIndex) -> None:
    index.slots(np.arange(1_000, 9_000, dtype=np.int64), create=True)
    more = np.arange(100_000, 100_400, dtype=np.int64)
    assert catalogue.put(more, more, np.column_stack((more, more))) == 0
    assert catalogue.features_of(ids(10, 100_399)).tolist() == [[10, 1, 5, 6], [100_399, 100_399, 100_399, 100_399]]


def test_what_finds_no_room_is_counted_and_stays_unknown(catalogue: Catalogue) -> None:
    many = np.arange(1, 3_001, dtype=np.int64) * 1_000
    refused = catalogue.put(many, many, np.zeros((3_000, 2), np.int64))
    assert refused == 3_000 - 998
    assert np.count_nonzero(catalogue.categories_of(many)) == 998
    assert catalogue.nbytes() == 1_001 * 25
