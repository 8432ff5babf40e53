"""Float vectors to int8 rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from muse_stream.gsu_engine import VectorError, quantise


@given(hn.arrays(np.float32, (3, 8), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_each_component_is_the_nearest_of_its_rows_scale(
    vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    rows = quantise(vectors)
    assert rows.dtype == np.int8
    for row, vector in zip(rows, vectors.astype(np.float64), strict=True):
        peak = np.abs(vector).max()
        if peak == 0:
            assert not row.any()
        else:
            assert np.abs(row).max() == 127
            assert np.abs(row - 127 * vector / peak).max() <= 0.5 + 1e-9


def test_halves_go_to_even_and_scale_does_not_matter() -> None:
    vector = np.array([[254.0, 1.0, 3.0, -1.0, -3.0]], np.float32)
    assert quantise(vector).tolist() == [[127, 0, 2, 0, -2]]
    assert quantise(vector * np.float32(2**-20)).tolist() == [[127, 0, 2, 0, -2]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    vectors = np.ones((3, 4), np.float32)
    vectors[2, 1] = bad
    with pytest.raises(VectorError, match="row 2"):
        quantise(vectors)


def test_one_vector_alone_is_refused() -> None:
    with pytest.raises(VectorError, match=r"\[n, d\]"):
        quantise(np.ones(4, np.float32))
