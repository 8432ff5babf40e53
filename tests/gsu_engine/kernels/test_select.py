"""Keys order as scores do, and selection keeps the right ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.kernels import forms, lists, select
from muse_stream.gsu_engine.kernels.forms import Form
from muse_stream.gsu_engine.kernels.jit import compiled

FORMS = forms.usable_forms(forms.FEATURES)
SMALLEST = 2.0**-26  # no cosine but 0 is nearer to 0: see `select.NOTHING_BETWEEN`
COSINES = st.floats(-1.0, 1.0, width=32).map(lambda x: 0.0 if abs(x) < SMALLEST else x)
MOSTLY_TIES = st.one_of(COSINES, st.sampled_from((0.0, 0.25, -0.25, 1.0, -1.0)))
ROOM = 64  # for one vector behind the last score

key: Any = compiled(lambda score, index: select.key_of(score, index))  # noqa: PLW0108 - inlined kernels need a caller
score: Any = compiled(lambda key: select.score_of(key >> np.uint64(32)))
tighten: Any = compiled(
    lambda marker, scores, indices, count, k, low: select.tighten(marker, scores, indices, count, (k, k), low)
)
loosen: Any = compiled(
    lambda marker, scores, indices, count, least, most, low: select.tighten(
        marker, scores, indices, count, (least, most), low
    )
)
sort: Any = compiled(
    lambda marker, scores, indices, count, keys, ranks, out: select.sort_best_first(  # noqa: PLW0108
        marker, scores, indices, count, keys, ranks, out
    )
)
reach: Any = compiled(lambda marker, scores, count, least: lists.reach(marker, scores.ctypes.data, count, least))


def listed(scores: list[float]) -> tuple[Any, Any]:
    """A list newest first, with junk behind it."""
    padded = np.full(len(scores) + ROOM, 0.9, np.float32)
    padded[: len(scores)] = scores
    return padded, np.arange(len(padded), dtype=np.uint32)[::-1].copy()


@given(first=COSINES, second=COSINES, older=st.integers(0, 2**32 - 2), newer=st.integers(1, 2**32 - 1))
@settings(deadline=None)
def test_keys_order_by_score_then_newest(first: float, second: float, older: int, newer: int) -> None:
    a, b = key(np.float32(first), older), key(np.float32(second), newer)
    if first != second:
        assert (a > b) == (first > second)
    elif older != newer:
        assert (a > b) == (older > newer)
    assert a != 0
    assert np.float32(score(np.uint64(a))).view(np.uint32) == np.float32(first).view(np.uint32)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(scores=st.lists(st.one_of(COSINES, MOSTLY_TIES), min_size=2, max_size=120), data=st.data())
@settings(deadline=None)
def test_tighten_keeps_the_best_and_its_cut_admits_no_older_equal(
    form: Form, scores: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(scores) - 1))
    array, indices = listed(scores)
    pairs = sorted(zip(array[: len(scores)].tolist(), indices.tolist(), strict=False), reverse=True)
    low = data.draw(st.sampled_from((-1.5, float(np.nextafter(np.float32(pairs[-1][0]), np.float32(-2))))))
    _, cut = tighten(form.marker, array, indices, len(scores), k, np.float32(low))
    kept = list(zip(array[:k].tolist(), indices[:k].tolist(), strict=True))
    assert sorted(kept, reverse=True) == pairs[:k]
    assert sorted(kept, key=lambda pair: -pair[1]) == kept  # still newest first
    assert cut <= pairs[k - 1][0]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_list_of_equals_is_cut_to_its_newest_and_lets_no_equal_in(form: Form) -> None:
    for value in (0.0, 0.3, -0.3, 1.0):
        array, indices = listed([value] * 200)
        newest = indices[:50].tolist()
        _, cut = tighten(form.marker, array, indices, 200, 50, np.float32(-1.5))
        assert indices[:50].tolist() == newest
        assert cut == np.float32(value)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(scores=st.lists(MOSTLY_TIES, min_size=1, max_size=100), least=MOSTLY_TIES)
@settings(deadline=None)
def test_reach_counts_what_is_listed(form: Form, scores: list[float], least: float) -> None:
    array, _ = listed(scores)
    array[len(scores) :] = -np.inf
    assert (
        reach(form.marker, array, len(scores), np.float32(least)) == (array[: len(scores)] >= np.float32(least)).sum()
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(scores=st.lists(MOSTLY_TIES, max_size=300))
@settings(deadline=None)
def test_sorted_keys_are_best_first_and_newest_of_equals(form: Form, scores: list[float]) -> None:
    array, indices = listed(scores)
    keys, ranks, out = np.zeros(400, np.uint64), np.zeros(400, np.int64), np.zeros(300, np.uint64)
    sort(form.marker, array, indices, len(scores), keys, ranks, out)
    expected = sorted((key(s, i) for s, i in zip(array[: len(scores)], indices, strict=False)), reverse=True)
    assert out[: len(scores)].tolist() == expected


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(scores=st.lists(MOSTLY_TIES, min_size=60, max_size=200))
@settings(deadline=None)
def test_a_loose_cut_keeps_all_of_the_best(form: Form, scores: list[float]) -> None:
    array, indices = listed(scores)
    pairs = sorted(zip(array[: len(scores)].tolist(), indices.tolist(), strict=False), reverse=True)
    kept, cut = loosen(form.marker, array, indices, len(scores), 30, 40, np.float32(-1.5))
    found = sorted(zip(array[:kept].tolist(), indices[:kept].tolist(), strict=True), reverse=True)
    assert 30 <= kept <= 40
    assert found == pairs[:kept]
    assert cut <= pairs[29][0]
