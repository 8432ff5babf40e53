"""Keys order as scores do, and selection keeps the right ones."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.kernels import select
from muse_stream.gsu_engine.kernels.jit import compiled

SCORES = st.floats(-1.5, 1.5, width=32).map(lambda x: x + 0.0)  # +0.0: an integer product has no negative zero


key: Any = compiled(lambda score, index: select.key_of(score, index))  # noqa: PLW0108 - inlined kernels need a caller
score: Any = compiled(lambda key: select.score_of(key >> np.uint64(32)))
tighten: Any = compiled(lambda keys, count, k: select.tighten(keys, count, k))  # noqa: PLW0108


@given(first=SCORES, second=SCORES, older=st.integers(0, 2**32 - 2), newer=st.integers(1, 2**32 - 1))
@settings(deadline=None)
def test_keys_order_by_score_then_newest(first: float, second: float, older: int, newer: int) -> None:
    a, b = key(np.float32(first), older), key(np.float32(second), newer)
    if first != second:
        assert (a > b) == (first > second)
    elif older != newer:
        assert (a > b) == (older > newer)
    assert a != 0
    assert np.float32(score(np.uint64(a))).view(np.uint32) == np.float32(first).view(np.uint32)


@given(
    scores=st.lists(st.one_of(SCORES, st.sampled_from((0.0, 0.25, -0.25))), min_size=2, max_size=120),
    data=st.data(),
)
@settings(deadline=None)
def test_tighten_keeps_the_best_and_its_cut_admits_no_older_equal(scores: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(scores) - 1))
    newest_first = list(range(len(scores)))[::-1]
    keys = np.array([key(np.float32(s), i) for s, i in zip(scores, newest_first, strict=True)], np.uint64)
    best = sorted(keys.tolist(), reverse=True)[:k]
    cut = tighten(keys, len(keys), k)
    assert sorted(keys[:k].tolist(), reverse=True) == best
    assert all(kept >> 32 >= cut for kept in best)
    assert sum(kept >> 32 > cut for kept in keys.tolist()[:k]) <= k
