"""What the searches of `gsu` run over: made-up mixtures, noise, and the purchases that the demo ships.

- `mixture`: items around 64 interests, 30 % of a history's behaviours are with an item seen before (`vectors.py`).
- `isotropic`: items of any direction, histories without repeats as long as there are items enough.
- `purchases`: the demo's products with the vectors that the demo gives them, as they are. A history is the shop's
  purchases, one customer's after another's in the order of the log, from another customer on for each user, and from
  the start again where all of them are used up: 100 000 behaviours are about 2 500 items, 40 times each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from muse_stream.benchmarks.vectors import F32, I64, around, history, interests, isotropic, plain_history
from muse_stream.gsu_engine import quantise
from muse_stream.gsu_engine.arrays import I8

KINDS = ("mixture", "isotropic", "purchases")
BLOCK = 1 << 16  # items made at once: 32 MiB of float32 at a width of 128


@dataclass(frozen=True, slots=True)
class Data:
    """One kind of data.

    Attributes:
        kind: Its name.
        items: Items, numbered from 1.
        dimension: Width of a vector.
        blocks: Makes the int8 vectors, item 1 first, some thousands at a time.
        history: Makes a user's item ids, oldest first, `[length] int64`.

    """

    kind: str
    items: int
    dimension: int
    blocks: Callable[[], Iterator[I8]]
    history: Callable[[int], I64]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Rows or candidates.

    Attributes:
        int8: `[n, d] int8`.
        inv_norms: `[n] float32`.
        floats: `[n, d] float32` unit vectors.

    """

    int8: I8
    inv_norms: F32
    floats: F32

    @classmethod
    def of(cls, int8: I8, inv_norms: F32) -> "Vectors":
        """With the unit vectors made of the int8 ones."""
        return cls(np.ascontiguousarray(int8), inv_norms, np.ascontiguousarray(int8 * inv_norms[:, None]))

    def __len__(self) -> int:
        return len(self.int8)


def make(kind: str, rng: np.random.Generator, items: int, dimension: int) -> Data:
    """Data of a kind; purchases have their own items and width. Raises `ValueError`: there is no such kind."""
    if kind == "purchases":
        return _purchases(rng)
    if kind not in KINDS:
        message = f"no data called {kind!r}; there are {', '.join(KINDS)}"
        raise ValueError(message)
    made = _mixture(rng, dimension) if kind == "mixture" else lambda count: isotropic(rng, count, dimension)
    told = history if kind == "mixture" else plain_history

    def blocks() -> Iterator[I8]:
        return (quantise(made(min(BLOCK, items - low))) for low in range(0, items, BLOCK))

    return Data(kind, items, dimension, blocks, lambda length: told(rng, length, items))


def _mixture(rng: np.random.Generator, dimension: int) -> Callable[[int], F32]:
    centres = interests(rng, dimension)
    return lambda count: around(rng, centres, count)


def _purchases(rng: np.random.Generator) -> Data:
    dataset = import_module("muse_stream.streams.demo.dataset")  # it needs libraries that other data does not
    shop = dataset.load()
    bought = shop.behaviours.action == dataset.PURCHASE
    customers, rows = shop.behaviours.user[bought], shop.behaviours.row[bought]
    order = np.argsort(customers, kind="stable")
    rows, firsts = rows[order] + 1, np.unique(customers[order], return_index=True)[1]

    def told(length: int) -> I64:
        return np.resize(np.roll(rows, -rng.choice(firsts)), length)

    vectors = shop.catalogue.vectors
    return Data("purchases", len(vectors), vectors.shape[1], lambda: iter([vectors]), told)


def asked(rng: np.random.Generator, vectors: I8) -> I8:
    """Questions near these items: each component moved by at most 1, so that no question ever comes twice."""
    moved = vectors.astype(np.int16) + rng.integers(-1, 2, vectors.shape, np.int16)
    return np.asarray(np.clip(moved, -127, 127), dtype=np.int8)
