"""Every tile of this CPU computes integer products at any width and lists the right rows; limits are exact."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.arrays import reserve
from muse_stream.gsu_engine.kernels import forms, scan, tile
from muse_stream.gsu_engine.kernels.blocks import NOWHERE
from muse_stream.gsu_engine.kernels.forms import CANDIDATES, Form
from muse_stream.gsu_engine.kernels.jit import compiled

FORMS = forms.usable_forms(forms.FEATURES)
HELD = 3  # in each list before

many: Any = compiled(lambda marker, arguments: tile.tile_many(marker, *arguments))
one: Any = compiled(lambda marker, arguments: tile.tile_one(marker, *arguments))
limit_of: Any = compiled(lambda beat, inv_norm: scan.limit_of(beat, inv_norm))  # noqa: PLW0108


@pytest.mark.parametrize("candidates", [1, CANDIDATES])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("dimension", [64, 128, 192, 1_024])
def test_what_is_above_is_listed_in_order(form: Form, candidates: int, dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    rows = rng.choice([-128, 0, 127, 3], (form.rows, dimension)).astype(np.int8)
    queries = rng.choice([-128, -1, 127], (candidates, dimension)).astype(np.int8)
    norms = rng.random(form.rows, np.float32)
    norms[3] = 0
    places = np.arange(form.rows, dtype=np.uint32)[::-1] + np.uint32(10)
    places[1] = NOWHERE
    slots = rng.integers(1, 6, form.rows).astype(np.uint32)
    excluded = np.arange(candidates, dtype=np.uint32) % 6
    candidate_norms = rng.random(candidates, np.float32)
    block, vectors, biases = _cells(form, rows, queries)
    products = (queries.astype(np.int64) @ rows.T.astype(np.int64)).astype(np.float32) * norms
    limits = np.median(products, axis=1).astype(np.float32)
    scores, indices = np.zeros((candidates, 100), np.float32), np.zeros((candidates, 100), np.uint32)
    counts = np.full(candidates, HELD)
    length = form.rows - 2  # the newest two are beyond the window
    arrays = (limits, candidate_norms, excluded, scores, indices)
    steps = dimension // 4 if form.integer else dimension
    arguments = (
        *(array.ctypes.data for array in (block, norms, places, slots)),
        -10,
        length,
        vectors.ctypes.data,
        vectors.strides[0],
        steps,
        biases.ctypes.data,
        *(array.ctypes.data for array in arrays),
        scores.strides[0],
        counts.ctypes.data,
    )
    run = many if candidates == CANDIDATES else one
    assert run(form.marker, arguments) == counts.max() > HELD
    for c in range(candidates):
        inside = (places.astype(np.int64) - 10 < length) & (slots != excluded[c])
        lanes = np.flatnonzero((products[c] > limits[c]) & inside)
        listed = slice(HELD, counts[c])
        np.testing.assert_array_equal(indices[c, listed], places[lanes] - 10)
        np.testing.assert_array_equal(scores[c, listed], products[c, lanes] * candidate_norms[c])
    limits[:] = products.max(axis=1)
    counts[:] = 7
    assert run(form.marker, arguments) == 0
    assert counts.tolist() == [7] * candidates


def _cells(form: Form, rows: Any, queries: Any) -> tuple[Any, Any, Any]:
    """Rows and candidates as the tile takes them, and what its sums start at."""
    count, dimension = rows.shape
    if form.integer:
        block: Any = reserve((dimension // 4, count, 4), np.uint8)
        block[:] = (rows.astype(np.int16) + 128).astype(np.uint8).reshape(count, -1, 4).transpose(1, 0, 2)
        return block, queries, -128 * queries.sum(axis=1, dtype=np.int32)
    block = reserve((dimension, count), np.float32)
    block[:] = rows.T
    return block, queries.astype(np.float32), np.zeros(len(queries), np.int32)


def inverse_norms(count: int) -> st.SearchStrategy[list[np.float32]]:
    squares = st.integers(1, 1_024 * 128 * 128)
    return st.lists(squares.map(lambda s: np.float32(1 / np.sqrt(s))), min_size=count, max_size=count)


@given(norms=inverse_norms(3), dots=st.lists(st.integers(-(2**24), 2**24), min_size=2, max_size=2))
@settings(max_examples=1_000, deadline=None)
def test_a_product_is_above_the_limit_exactly_when_its_score_beats(norms: list[np.float32], dots: list[int]) -> None:
    kept, row, candidate = norms
    beat = np.float32(dots[0]) * kept * candidate
    limit = limit_of(beat, candidate)
    near = [np.nextafter(limit, np.float32(way)) for way in (-np.inf, np.inf)] if beat else []
    for product in (np.float32(dots[1]) * row, np.float32(dots[0]) * kept, np.float32(0), limit, *near):
        assert (product > limit) == (product * candidate > beat)
