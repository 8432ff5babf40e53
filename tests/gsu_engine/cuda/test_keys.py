"""Device functions on their own, compiled for this machine."""

import numpy as np
import pytest

from muse_stream.gsu_engine.cuda import sources
from tests.gsu_engine.cuda.devices import HAS_COMPILER
from tests.gsu_engine.cuda.emulator.builder import build
from tests.gsu_engine.cuda.emulator.device import EmulatedDevice

PROBE = """
struct Probe { const float* y; const float* norms; float* smallest; uint64* keys; int count; };
extern "C" __global__ void probe(const Probe* use) {
    for (int i = threadIdx.x; i < use->count; i += blockDim.x) {
        use->smallest[i] = smallest_with_score_of(use->y[i], use->norms[i]);
        use->keys[i] = key_of(use->y[i], i % 7);
    }
}
"""
pytestmark = pytest.mark.skipif(not HAS_COMPILER, reason="no g++ to compile the kernels for this machine")


def probe(
    y: np.ndarray[tuple[int], np.dtype[np.float32]], norms: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float32]], np.ndarray[tuple[int], np.dtype[np.uint64]]]:
    device = EmulatedDevice(library=build(sources.text_of("search") + PROBE))
    smallest, keys = np.zeros(len(y), np.float32), np.zeros(len(y), np.uint64)
    buffers = [device.allocate(array.nbytes) for array in (y, norms, smallest, keys)]
    for buffer, array in zip(buffers, (y, norms), strict=False):
        device.write(buffer, 0, array)
    struct = device.allocate(64)
    device.write(struct, 0, np.array([*(buffer.address for buffer in buffers), len(y)], np.uint64))
    device.launch("probe", 1, 128, 0, struct.address)
    return (
        device.read(buffers[2], 0, smallest.nbytes).wait().view(np.float32),
        device.read(buffers[3], 0, keys.nbytes).wait().view(np.uint64),
    )


def test_the_smallest_product_of_a_score() -> None:
    """What comes back has the score of `y`, and the float below it has not."""
    rng = np.random.default_rng(0)
    dots = rng.integers(-(2**21), 2**21, 4_000).astype(np.float32)
    norms = (1 / np.sqrt(rng.integers(1, 2**21, (2, 4_000)))).astype(np.float32)
    y = dots * norms[0]
    smallest, _ = probe(y, norms[1])
    assert (smallest * norms[1] == y * norms[1]).all()
    below = np.nextafter(smallest, np.float32(-np.inf))
    assert (below * norms[1] < y * norms[1]).all()
    assert (smallest < y).mean() > 0.1  # there is something to find


def test_what_has_no_smaller_product() -> None:
    y = np.array([0, -np.inf, 5, 0], np.float32)
    smallest, _ = probe(y, np.array([0.5, 0.5, 0, 0], np.float32))
    assert smallest.tolist() == y.tolist()


def test_keys_order_scores_then_places() -> None:
    scores = np.array([-1, -0.5, -0.25, 0, 0.25, 0.25, 0.5, 1, 1, 1.0000001], np.float32)
    _, keys = probe(scores, np.ones(len(scores), np.float32))
    expected = sorted(range(len(scores)), key=lambda i: (float(scores[i]), i % 7))
    assert np.argsort(keys).tolist() == expected
