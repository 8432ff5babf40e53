import numpy as np
import pytest

from muse_stream.esu_scorer.kernels.jit import F32, Int, kernel
from muse_stream.esu_scorer.kernels.tile import LANES, multiply


@kernel
def call(inputs: F32, rows: Int, panels: F32, outputs: F32) -> None:
    multiply(inputs, rows, panels, outputs)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 6, 7, 9, 16])
@pytest.mark.parametrize("depth", [0, 1, 5, 32])
def test_products_are_added_to_what_is_there(rows: int, depth: int) -> None:
    rng = np.random.default_rng(rows)
    inputs = rng.normal(size=(20, 40)).astype(np.float32)
    panels = rng.normal(size=(2, depth, LANES)).astype(np.float32)
    before = rng.normal(size=(20, 3 * LANES)).astype(np.float32)
    outputs = before.copy()
    call(inputs, rows, panels, outputs)
    flat = np.concatenate(list(panels), axis=1)
    np.testing.assert_allclose(
        outputs[:rows, : 2 * LANES] - before[:rows, : 2 * LANES], inputs[:rows, :depth] @ flat, atol=1e-5
    )
    assert (outputs[rows:] == before[rows:]).all()
    assert (outputs[:, 2 * LANES :] == before[:, 2 * LANES :]).all()


def test_a_row_is_the_same_whoever_shares_its_tile() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(13, 100)).astype(np.float32)
    panels = rng.normal(size=(3, 100, LANES)).astype(np.float32)
    together = np.zeros((13, 3 * LANES), np.float32)
    call(inputs, 13, panels, together)
    for row in range(13):
        alone = np.zeros((1, 3 * LANES), np.float32)
        call(inputs[row:], 1, panels, alone)
        assert alone[0].tolist() == together[row].tolist()
