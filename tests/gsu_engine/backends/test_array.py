"""The array backend on modules that round or sign differently from NumPy where they may."""

import types
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine import BackendError, GsuEngine
from muse_stream.gsu_engine.backends import array
from muse_stream.gsu_engine.backends.array import ArrayBackend
from muse_stream.gsu_engine.contract import Backend
from tests.gsu_engine.oracle import History, assert_identical
from tests.gsu_engine.worlds import World, draw_vectors


class Module(types.ModuleType):
    """NumPy with another matrix product."""

    def __init__(self, product: Any) -> None:
        super().__init__("module")
        self.product = product

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)

    def matmul(self, a: Any, b: Any) -> object:
        return self.product(np.matmul(a, b))


def world() -> World:
    rng = np.random.default_rng(1)
    vectors = dict(zip(range(1, 21), draw_vectors(rng, "sparse", 20, 64), strict=True))
    return World(64, vectors, {1: History(0, rng.integers(1, 25, 300).tolist())}, rng)


def test_a_module_whose_products_are_rounded_is_refused() -> None:
    rounding = Module(lambda product: product.astype(np.float16).astype(np.float32))
    with np.errstate(over="ignore"), pytest.raises(BackendError, match="not exact"):
        ArrayBackend(rounding, "rounding")


def test_a_negative_zero_of_the_matrix_product_does_not_show(backends: list[Backend]) -> None:
    signing = ArrayBackend(Module(lambda product: np.where(product == 0, np.float32(-0.0), product)), "signing")
    source = world()
    table, batch = source.table(), source.batch([1], [9], windows=False, masks=False)
    results = [GsuEngine(table, backend=one).search(batch, 50, 50, source) for one in (signing, backends[0])]
    assert (results[1].scores == 0).any()
    assert_identical(*results)


def test_chunks_of_candidates_do_not_show(backends: list[Backend], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array, "CELLS", 700)
    source = world()
    table, batch = source.table(), source.batch([1], [9], windows=False, masks=True)
    chunked = ArrayBackend(np, "chunked")
    results = [GsuEngine(table, backend=one).search(batch, 50, 50, source) for one in (chunked, backends[0])]
    assert_identical(*results)
