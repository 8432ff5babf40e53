"""The vector table against a dictionary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import BudgetError, ItemIndex, VectorError, VectorTable
from tests.gsu_engine.oracle import inverse_norm
from tests.gsu_engine.worlds import KINDS, draw_vectors


def make(rows: int = 1_000, items: int = 1_000, dimension: int = 64) -> VectorTable:
    return VectorTable("v1", dimension, ItemIndex(max_items=items), budget_bytes=rows * (dimension + 4))


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS), steps=st.lists(st.booleans(), max_size=12))
@settings(max_examples=100, deadline=None)
def test_lookup_gives_the_latest_vectors(seed: int, kind: str, steps: list[bool]) -> None:
    rng, table = np.random.default_rng(seed), make()
    truth: dict[int, list[int]] = {}
    for put in steps:
        items = rng.integers(1, 40, int(rng.integers(0, 30)))
        if put:
            rows = draw_vectors(rng, kind, len(items), 64)
            assert table.put(items, rows) == 0
            truth.update(zip(items.tolist(), rows.tolist(), strict=True))
        else:
            table.forget(items)
            for item in items.tolist():
                truth.pop(item, None)
        vectors, norms = table.lookup(np.arange(1, 45))
        for item, vector, norm in zip(range(1, 45), vectors, norms, strict=True):
            expected = truth.get(item, [0] * 64)
            assert vector.tolist() == expected
            assert norm == inverse_norm(np.array(expected, np.int8))
        assert table.stats().rows == sum(any(row) for row in truth.values())


def test_inverse_norms_are_float64_rounded_once() -> None:
    rows = draw_vectors(np.random.default_rng(1), "full", 3_000, 128)
    table = make(rows=4_000, items=4_000, dimension=128)
    table.put(np.arange(1, 3_001), rows)
    _, norms = table.lookup(np.arange(1, 3_001))
    assert norms.view(np.uint32).tolist() == [int(inverse_norm(row).view(np.uint32)) for row in rows]


def test_what_does_not_fit_is_counted_and_stays_absent() -> None:
    table = make(rows=3)
    rows = np.ones((5, 64), np.int8)
    assert table.put(np.arange(1, 6), rows) == 2
    assert (table.lookup(np.arange(1, 6))[1] > 0).tolist() == [True, True, True, False, False]
    assert table.stats().refused == 2
    table.forget(np.array([2]))
    assert table.put(np.array([5]), rows[:1]) == 0  # the freed row is used again
    assert table.stats().rows == 3


def test_vectors_get_room_in_an_index_that_is_full_of_ids_without() -> None:
    table = make(items=10)
    table.put(np.array([1, 2]), np.ones((2, 64), np.int8))
    table.index.slots(np.arange(100, 150), create=True)
    assert table.put(np.arange(3, 11), np.full((8, 64), 2, np.int8)) == 0
    vectors, _ = table.lookup(np.arange(1, 11))
    assert vectors[:, 0].tolist() == [1, 1, *[2] * 8]
    assert table.put(np.array([11]), np.ones((1, 64), np.int8)) == 1


def test_two_spaces_share_slots_and_keep_each_others() -> None:
    index = ItemIndex(max_items=4)
    first, second = VectorTable("a", 64, index, 1 << 12), VectorTable("b", 128, index, 1 << 12)
    first.put(np.array([1]), np.ones((1, 64), np.int8))
    second.put(np.array([2]), np.ones((1, 128), np.int8))
    index.slots(np.array([3, 4]), create=True)
    assert index.reclaim() == 2
    assert first.lookup(np.array([1, 2]))[1].tolist() == [0.125, 0]
    assert (second.lookup(np.array([1, 2]))[1] > 0).tolist() == [False, True]


def test_version_rises_with_every_change() -> None:
    table = make()
    versions = [table.version]
    table.put(np.array([1]), np.ones((1, 64), np.int8))
    versions.append(table.version)
    table.forget(np.array([1]))
    versions.append(table.version)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("dimension", [0, 63, 65, 1_088])
def test_other_widths_are_refused(dimension: int) -> None:
    with pytest.raises(VectorError, match=f"{dimension}.*64..1024"):
        make(dimension=dimension)


@pytest.mark.parametrize(
    ("items", "vectors", "message"),
    [
        ([1], np.zeros((1, 63), np.int8), r"int8\[1, 63\].*int8\[1, 64\]"),
        ([1], np.zeros((1, 64), np.float32), "float32"),
        ([1, 2], np.zeros((1, 64), np.int8), r"int8\[2, 64\]"),
        ([0], np.ones((1, 64), np.int8), "item id 0"),
    ],
)
def test_vectors_of_another_form_are_refused(
    items: list[int], vectors: np.ndarray[tuple[int, int], np.dtype[np.int8]], message: str
) -> None:
    with pytest.raises(VectorError, match=message):
        make().put(np.array(items), vectors)


def test_a_budget_below_one_row_is_refused() -> None:
    with pytest.raises(BudgetError, match="one row needs 68"):
        VectorTable("v1", 64, ItemIndex(max_items=1), budget_bytes=60)


def test_any_item_has_a_vector_or_is_none() -> None:
    table, rng = make(items=20_000), np.random.default_rng(5)
    assert table.any_item() == 0
    table.index.slots(np.arange(1, 10_000), create=True)
    assert table.any_item() == 0
    table.put(np.array([12_000, 12_001]), draw_vectors(rng, KINDS[0], 2, 64) | 1)
    for item in (12_000, 12_001):
        assert table.any_item() == item
        table.forget(np.array([item]))
    assert table.any_item() == 0
