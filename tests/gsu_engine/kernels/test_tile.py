"""Every tile of this CPU computes integer dot products, whatever the width; and limits never hide a row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.arrays import reserve
from muse_stream.gsu_engine.kernels import scan, tile
from muse_stream.gsu_engine.kernels.jit import compiled

LARGEST_SUM = 1 << 24
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
def test_sums_and_masks(shape: tile.Shape, candidates: int, run: Any) -> None:
    call: Any = compiled(
        lambda block, query, stride, steps, limits, out: run(
            block.ctypes.data, query.ctypes.data, stride, steps, limits.ctypes.data, out.ctypes.data
        )
    )
    kind = np.int32 if shape.integer else np.float32
    out: Any = reserve((candidates * shape.rows + 2 * candidates,), kind)
    for dimension in range(64, 1_025, 64):
        rng = np.random.default_rng(dimension)
        rows = rng.choice([-128, 0, 127, 3], (shape.rows, dimension)).astype(np.int8)
        queries = rng.choice([-128, -1, 127], (candidates, dimension)).astype(np.int8)
        block, vectors, bias = _forms(shape, rows, queries)
        steps = dimension // 4 if shape.integer else dimension
        expected = queries.astype(np.int64) @ rows.T.astype(np.int64)
        limits = (np.median(expected, axis=1).astype(np.int64) + bias).astype(kind)
        assert call(block, vectors, vectors.strides[0], steps, limits, out) != 0
        sums = out[: candidates * shape.rows].reshape(candidates, -1).astype(np.int64) - bias[:, None]
        np.testing.assert_array_equal(sums, expected)
        masks = out[candidates * shape.rows :].view(np.uint64)
        bits = (masks[:, None] >> np.arange(shape.rows, dtype=np.uint64)) & np.uint64(1)
        np.testing.assert_array_equal(bits == 1, expected + bias[:, None] > limits[:, None].astype(np.int64))
        limits[:] = expected.max() + bias + 1
        assert call(block, vectors, vectors.strides[0], steps, limits, out) == 0


def _forms(shape: tile.Shape, rows: Any, queries: Any) -> tuple[Any, Any, Any]:
    """Rows and candidates as the tile takes them, and what it adds to a sum."""
    count, dimension = rows.shape
    if shape.integer:
        block: Any = reserve((dimension // 4, count, 4), np.uint8)
        block[:] = (rows.astype(np.int16) + 128).astype(np.uint8).reshape(count, -1, 4).transpose(1, 0, 2)
        return block, queries, 128 * queries.sum(axis=1, dtype=np.int64)
    block = reserve((dimension, count), np.float32)
    block[:] = rows.T
    return block, queries.astype(np.float32), np.zeros(len(queries), np.int64)


limit: Any = compiled(lambda beat, inv_norm, smallest, largest: scan.sum_limit(beat, inv_norm, smallest, largest))  # noqa: PLW0108


def inverse_norms(count: int) -> st.SearchStrategy[list[np.float32]]:
    squares = st.integers(1, 1_024 * 128 * 128)
    return st.lists(squares.map(lambda s: np.float32(1 / np.sqrt(s))), min_size=count, max_size=count)


@given(
    norms=inverse_norms(3),
    dots=st.lists(st.integers(-(2**24), 2**24), min_size=2, max_size=2),
    near=st.integers(-3, 3),
)
@settings(max_examples=1_000, deadline=None)
def test_a_row_that_beats_the_score_is_above_the_limit(norms: list[np.float32], dots: list[int], near: int) -> None:
    """For rows anywhere between a block's smallest and largest inverse norm."""
    smallest, between, largest = sorted(norms)
    for candidate in norms:
        beat = np.float32(dots[0]) * between * candidate
        bound = limit(beat, candidate, smallest, largest)
        for row in (smallest, between, largest):
            for dot in (dots[1], dots[0] + near, bound, bound - 1):
                if abs(dot) <= LARGEST_SUM and np.float32(dot) * row * candidate > beat:
                    assert dot > bound


def test_shapes_by_cpu() -> None:
    assert tile.float_shape({"avx512f": True, "avx": True}).rows == 64
    assert tile.float_shape({"avx": True}).rows == 16
    assert tile.float_shape({"neon": True}).rows == 16
    assert tile.float_shape({}).rows == 8
