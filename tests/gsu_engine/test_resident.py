"""What the engine says it holds: the runs of its residents, and the items in them."""

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.kernels.residents import PAGE

Ints = NDArray[np.int64]
CAP = 100


class Source:
    """Users whose items are their positions, 1 000 times the user behind them."""

    def __init__(self, start: int, count: int) -> None:
        self.start, self.count = start, count

    def items(self, user: int) -> tuple[int, Ints]:
        return self.start, np.arange(self.start, self.start + self.count) + 1_000 * user


def make_engine(max_items: int = 10_000) -> GsuEngine:
    table = VectorTable("v", 64, ItemIndex(max_items), 1 << 16)
    return GsuEngine(table, cap=CAP, pool_bytes=1 << 20, backend="reference")


def append(engine: GsuEngine, user: int, start: int, count: int) -> None:
    items = np.arange(start, start + count) + 1_000 * user
    engine.append(np.array([user]), np.array([start]), np.array([0, count]), items)


def test_nobody_is_resident_at_first() -> None:
    users, starts, stops = make_engine().resident()
    assert len(users) == len(starts) == len(stops) == 0


def test_residents_and_their_runs_in_order_of_id() -> None:
    engine = make_engine()
    for user, count in ((9, 3), (-4, 5), (2, 1)):
        engine.prefetch(user, Source(10, count))
    append(engine, 9, 13, 4)
    users, starts, stops = engine.resident()
    assert users.tolist() == [-4, 2, 9]
    assert starts.tolist() == [10, 10, 10]
    assert stops.tolist() == [15, 11, 17]
    found = engine.resident_items(9, 12, 16)
    assert found is not None
    assert found.tolist() == [9_012, 9_013, 9_014, 9_015]


def test_what_is_not_held_is_not_told() -> None:
    engine = make_engine()
    engine.prefetch(1, Source(10, 3))
    assert engine.resident_items(1, 9, 12) is None
    assert engine.resident_items(1, 12, 14) is None
    assert engine.resident_items(2, 10, 12) is None
    engine.drop(np.array([1]))
    assert engine.resident_items(1, 10, 13) is None


def test_a_run_begins_less_than_a_page_before_the_cap() -> None:
    engine = make_engine()
    engine.prefetch(1, Source(0, CAP))
    for start in range(CAP, 5 * PAGE, 37):
        append(engine, 1, start, 37)
        _, (first,), (stop,) = engine.resident()
        assert 0 <= max(stop - CAP, 0) - first < PAGE


def test_an_item_without_room_is_0() -> None:
    engine = make_engine(max_items=3)
    engine.prefetch(1, Source(0, 2))
    append(engine, 1, 2, 2)
    found = engine.resident_items(1, 0, 4)
    assert found is not None
    assert found.tolist() == [1_000, 1_001, 1_002, 0]
