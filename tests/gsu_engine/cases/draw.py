"""What a story is drawn from. Invariant: a draw depends on the generator alone, not on what any engine does."""

from dataclasses import dataclass

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I64
from tests.gsu_engine.worlds import KINDS, draw_vectors

LONG = 100_000
PRODUCTS_MAX = 20_000_000  # int8 products of one search: the definition takes about a nanosecond for each
PRODUCTS_MAX_LONG = 60_000_000
UNHEARD_OF = 2**61


@dataclass(frozen=True)
class Shape:
    """What stays the same for a whole story.

    Attributes:
        dimension: Width of the vectors.
        kind: What they look like: see `rows_of`.
        items: How many items there are.
        with_vector: Share of items that have a vector at first.
        lengths: Behaviours of each user at first.
        cap: Behaviours kept per user.
        packed_bytes: Budget of hot users' rows.
        pool_bytes: Budget of resident histories.
        threads: Of a cpu backend.
        small_shares: Whether small searches are cut between threads.
        stands_early: Whether answers stand over short histories too.
        k: Results mostly asked for.
        recent: Recent scores asked for.

    """

    dimension: int
    kind: str
    items: int
    with_vector: float
    lengths: tuple[int, ...]
    cap: int
    packed_bytes: int
    pool_bytes: int
    threads: int
    small_shares: bool
    stands_early: bool
    k: int
    recent: int

    @property
    def is_long(self) -> bool:
        return max(self.lengths) > LONG


def draw_shape(rng: np.random.Generator) -> Shape:
    dimension = 128 if rng.random() < 0.6 else int(rng.integers(1, 17)) * 64
    is_long = dimension <= 256 and rng.random() < 0.006
    lengths = tuple(_length(rng) for _ in range(int(rng.integers(1, 5))))
    if is_long:
        lengths = (int(rng.integers(LONG + 1, LONG + 20_000)), *lengths[1:])
    longest = max(*lengths, 1)
    return Shape(
        dimension=dimension,
        kind=str(rng.choice([*KINDS, "mixture", "mixture", "mixture"])),
        items=int(rng.choice([rng.integers(1, 6), rng.integers(6, 60), rng.integers(60, 3_000)], p=[0.1, 0.3, 0.6])),
        with_vector=float(rng.choice([0.0, 0.2, 0.9, 1.0], p=[0.03, 0.17, 0.4, 0.4])),
        lengths=lengths,
        cap=int(rng.choice([longest, longest + 7, 2 * longest, 10**6], p=[0.3, 0.2, 0.2, 0.3])),
        packed_bytes=int(rng.choice([0, 300_000, 256 << 20], p=[0.1, 0.1, 0.8])),
        pool_bytes=int(rng.choice([1 << 14, 1 << 22], p=[0.2, 0.8])),
        threads=int(rng.integers(1, 3)),
        small_shares=bool(rng.random() < 0.7),
        stands_early=bool(rng.random() < 0.6),
        k=draw_k(rng),
        recent=int(rng.choice([0, rng.integers(1, 90)])),
    )


def _length(rng: np.random.Generator) -> int:
    longest = int(rng.choice([0, 5, 70, 600, 4_000], p=[0.05, 0.1, 0.25, 0.35, 0.25]))
    return int(rng.integers(0, longest + 1))


def draw_k(rng: np.random.Generator) -> int:
    return int(rng.choice([50, 200, 1, 1_000, rng.integers(1, 1_001)], p=[0.4, 0.25, 0.05, 0.05, 0.25]))


def rows_of(rng: np.random.Generator, kind: str, count: int, dimension: int) -> I8:
    """`[count, dimension] int8`: one of the test suite's kinds, or clouds about a few centres as encoders make them."""
    if kind != "mixture":
        return draw_vectors(rng, kind, count, dimension)
    centres: F32 = rng.standard_normal((8, dimension), np.float32)
    rows = centres[rng.integers(0, 8, count)] + 0.5 * rng.standard_normal((count, dimension), np.float32)
    return np.rint(127 * rows / np.abs(rows).max(axis=1, keepdims=True)).astype(np.int8)


def draw_ids(rng: np.random.Generator, count: int) -> I64:
    """Ids of items, rising, small and large, negative too, never 0."""
    pool = np.concatenate([np.arange(-500, 0), np.arange(1, 3_000), np.arange(2**62, 2**62 + 500)])
    return np.sort(rng.choice(pool, count, replace=False)).astype(np.int64)


def draw_counts(rng: np.random.Generator, lengths: I64, shape: Shape) -> list[int]:
    """Candidates per pair, within what the definition can answer soon."""
    products = PRODUCTS_MAX_LONG if shape.is_long else PRODUCTS_MAX
    counts = []
    for length in lengths.tolist():
        most = products // len(lengths) // (shape.dimension * max(length, 200))
        count = int(rng.choice([0, 1, rng.integers(2, 8), rng.integers(8, 70), 300], p=[0.05, 0.25, 0.3, 0.35, 0.05]))
        counts.append(min(count, max(most, 1)))
    return counts
