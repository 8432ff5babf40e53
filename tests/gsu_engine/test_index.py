"""The item index: a dictionary that counts, within its bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import BudgetError, ItemIndex
from muse_stream.gsu_engine.arrays import Flags

IDS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-20, 20))


class Holder:
    """Keeps the slots it was told."""

    def __init__(self, slots: list[int]) -> None:
        self.slots = slots

    def held(self, slots: int) -> Flags:
        out = np.zeros(slots, np.bool_)
        out[self.slots] = True
        return out


@given(batches=st.lists(st.lists(IDS, max_size=60), max_size=12))
@settings(max_examples=150, deadline=None)
def test_slots_are_a_stable_numbering(batches: list[list[int]]) -> None:
    index = ItemIndex(max_items=1_000)
    known: dict[int, int] = {0: 0}
    for batch in batches:
        items = np.array(batch, np.int64)
        before = index.slots(items, create=False).tolist()
        assert before == [known.get(item, 0) for item in batch]
        slots = index.slots(items, create=True).tolist()
        for item, slot in zip(batch, slots, strict=True):
            assert known.setdefault(item, slot) == slot
        assert index.items(np.array(slots, np.uint32)).tolist() == batch
    assert sorted(known.values()) == list(range(len(known)))
    assert index.stats().items == len(known) - 1


def test_half_a_million_items_grow_the_buckets_and_cost_less_than_24_bytes_each() -> None:
    index = ItemIndex()
    items = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 500_000)
    for part in np.array_split(items, 23):
        index.slots(part, create=True)
        stats = index.stats()
        if stats.items > 10_000:
            assert stats.bytes + 4 * stats.items <= 24 * stats.items
    slots = index.slots(items, create=False)
    assert len(np.unique(slots)) == len(np.unique(items))
    assert slots.all()


@given(
    known=st.lists(st.integers(1, 60), unique=True, max_size=20),
    flood=st.lists(st.integers(100, 10**9), max_size=60),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_reclaim_frees_what_nobody_holds_and_nothing_else(known: list[int], flood: list[int], seed: int) -> None:
    index = ItemIndex(max_items=24)
    items = np.array(known, np.int64)
    slots = index.slots(items, create=True)
    kept = np.random.default_rng(seed).random(len(known)) < 0.5
    index.hold(Holder(slots[kept].tolist()))
    calls: list[int] = []
    index.on_reclaim(lambda: calls.append(index.generation))
    index.slots(np.array(flood, np.int64), create=True)
    in_use = index.stats().items
    assert in_use == min(len(known) + len(set(flood)), 24)
    freed = index.reclaim()
    assert freed == in_use - kept.sum()
    assert calls == ([1] if freed else [])
    assert index.slots(items[kept], create=False).tolist() == slots[kept].tolist()
    assert not index.slots(items[~kept], create=False).any()
    again = index.slots(np.arange(1_000, 1_000 + freed), create=True)
    assert sorted([*again.tolist(), *slots[kept].tolist()]) == sorted(range(1, in_use + 1))


def test_a_full_index_refuses_and_says_when_reclaiming_pays() -> None:
    index = ItemIndex(max_items=160)
    assert not index.crowded()
    slots = index.slots(np.arange(1, 201), create=True)
    assert np.count_nonzero(slots) == 160
    assert not slots[160:].any()
    assert index.stats().refused == 40
    assert index.crowded()
    index.hold(Holder(list(range(1, 161))))
    assert index.reclaim() == 0
    assert not index.crowded()
    index.slots(np.arange(300, 310), create=True)
    assert not index.crowded()  # a sixteenth of the bound must be refused before it is tried again
    index.slots(np.arange(300, 311), create=True)
    assert index.crowded()


def test_ids_need_not_be_contiguous_or_writable() -> None:
    index = ItemIndex(max_items=10)
    rows = np.zeros(3, np.dtype([("kind", "u1"), ("item", "<i8")]))
    rows["item"] = [5, 6, 5]
    rows.flags.writeable = False
    assert index.slots(rows["item"], create=True).tolist() == [1, 2, 1]


@pytest.mark.parametrize("bound", [0, -1, 2**32])
def test_a_bound_that_slots_cannot_number_is_refused(bound: int) -> None:
    with pytest.raises(BudgetError, match=str(bound)):
        ItemIndex(max_items=bound)
