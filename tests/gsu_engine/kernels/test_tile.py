"""Every tile of this CPU computes integer dot products, whatever the width; and limits are exact."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.arrays import reserve
from muse_stream.gsu_engine.kernels import scan, tile
from muse_stream.gsu_engine.kernels.jit import compiled

TILES = [
    pytest.param(tile.FLOAT32, 1, tile.tile_float32_one, id="float32-1"),
    pytest.param(tile.FLOAT32, tile.CANDIDATES, tile.tile_float32_many, id="float32-6"),
    pytest.param(
        tile.INT8, 1, tile.tile_int8_one, id="int8-1", marks=pytest.mark.skipif(not tile.HAS_VNNI, reason="no VNNI")
    ),
    pytest.param(
        tile.INT8,
        tile.CANDIDATES,
        tile.tile_int8_many,
        id="int8-6",
        marks=pytest.mark.skipif(not tile.HAS_VNNI, reason="no VNNI"),
    ),
]


@pytest.mark.parametrize(("shape", "candidates", "run"), TILES)
def test_products_and_masks(shape: tile.Shape, candidates: int, run: Any) -> None:
    call: Any = compiled(
        lambda block, query, stride, steps, bias, norms, limits, out: run(
            block.ctypes.data,
            0,
            query.ctypes.data,
            stride,
            steps,
            bias.ctypes.data,
            norms.ctypes.data,
            limits.ctypes.data,
            out.ctypes.data,
        )
    )
    out: Any = reserve((candidates * (shape.rows + 2),), np.float32)
    for dimension in range(64, 1_025, 64):
        rng = np.random.default_rng(dimension)
        rows = rng.choice([-128, 0, 127, 3], (shape.rows, dimension)).astype(np.int8)
        queries = rng.choice([-128, -1, 127], (candidates, dimension)).astype(np.int8)
        norms = rng.random(shape.rows, np.float32)
        norms[3] = 0
        block, vectors, bias = _forms(shape, rows, queries)
        steps = dimension // 4 if shape.integer else dimension
        expected = (queries.astype(np.int64) @ rows.T.astype(np.int64)).astype(np.float32) * norms
        limits = np.nanmedian(expected, axis=1).astype(np.float32)
        assert call(block, vectors, vectors.strides[0], steps, bias, norms, limits, out) != 0
        products = out[: candidates * shape.rows].reshape(candidates, -1)
        np.testing.assert_array_equal(products, expected)
        masks = out[candidates * shape.rows :].view(np.uint64)
        bits = (masks[:, None] >> np.arange(shape.rows, dtype=np.uint64)) & np.uint64(1)
        np.testing.assert_array_equal(bits == 1, expected > limits[:, None])
        limits = np.nanmax(expected, axis=1).astype(np.float32)
        assert call(block, vectors, vectors.strides[0], steps, bias, norms, limits, out) == 0


def _forms(shape: tile.Shape, rows: Any, queries: Any) -> tuple[Any, Any, Any]:
    """Rows and candidates as the tile takes them, and what its sums start at."""
    count, dimension = rows.shape
    if shape.integer:
        block: Any = reserve((dimension // 4, count, 4), np.uint8)
        block[:] = (rows.astype(np.int16) + 128).astype(np.uint8).reshape(count, -1, 4).transpose(1, 0, 2)
        return block, queries, -128 * queries.sum(axis=1, dtype=np.int32)
    block = reserve((dimension, count), np.float32)
    block[:] = rows.T
    return block, queries.astype(np.float32), np.zeros(len(queries), np.int32)


limit_of: Any = compiled(lambda beat, inv_norm: scan.limit_of(beat, inv_norm))  # noqa: PLW0108


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


def test_shapes_by_cpu() -> None:
    assert tile.float_shape({"avx512f": True, "avx": True}).rows == 64
    assert tile.float_shape({"avx": True}).rows == 16
    assert tile.float_shape({"neon": True}).rows == 16
    assert tile.float_shape({}).rows == 8
