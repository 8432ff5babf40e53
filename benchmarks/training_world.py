"""Made-up samples for `bench training`: users with histories of one length, each sample with a window of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.esu_scorer.data import Behaviours, Block, Histories, Part, SourceInfo

I64 = NDArray[np.int64]

DIMENSION = 128
CATEGORIES = 26_397  # as many as Taobao-MM has
BEHAVIOURS = 10_000_000  # of all users together, at the most
LATEST = 20  # windows end within the last twentieth of a history
PIECE = 1 << 16
LEAST_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Size:
    """A case: users have `length` behaviours each, out of `items`; blocks have `batch` samples."""

    length: int
    items: int
    batch: int

    @property
    def users(self) -> int:
        """One for each sample of a batch, fewer where histories are long: then they have several samples in it."""
        return max(min(self.batch, BEHAVIOURS // self.length), 1)


class World:
    """A `Source`: blocks until time is up, the same ones for everybody who takes as many."""

    def __init__(self, size: Size, *, batches: int, seconds: float) -> None:
        """Draw the histories.

        Args:
            size: Of the case.
            batches: Blocks at the most.
            seconds: After so many no further block comes, but for the first `LEAST_BATCHES`.

        """
        self.size, self._batches, self._seconds = size, batches, seconds
        spec = FeatureSpec.of({"item": 16, "category": 16}, {"user": 16})
        self.info = SourceInfo("made up", spec, "made up: no figure says anything of quality", {})
        rng, length = np.random.default_rng(0), size.length
        item = rng.integers(1, size.items + 1, size.users * length)
        lows = np.arange(size.users, dtype=np.int64) * length
        times = np.tile(np.arange(1, length + 1, dtype=np.int64), size.users)
        rows = Behaviours(item, item % CATEGORIES + 1, np.ones(len(item), np.uint8), times)
        self.histories = Histories(np.arange(1, size.users + 1), lows, lows + length, rows)

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        """Blocks of one batch each, as the run goes on; without a seed (when ids are counted) one."""
        if part != "train":
            return
        rng, begun = np.random.default_rng(seed), time.monotonic()
        for number in range(self._batches if seed is not None else 1):
            if number >= LEAST_BATCHES and time.monotonic() - begun > self._seconds:
                return
            yield self.block(rng)

    def block(self, rng: np.random.Generator) -> Block:
        """One block: every user equally often, in any order."""
        size, count = self.size, self.size.batch
        owner = rng.permutation(np.arange(count) % size.users)
        stop = rng.integers(size.length - size.length // LATEST, size.length + 1, count)
        item = rng.integers(1, size.items + 1, count)
        return Block(
            self.histories,
            owner,
            np.zeros(count, np.int64),
            stop,
            np.stack((item, item % CATEGORIES + 1), axis=1),
            self.histories.user[owner][:, None],
            stop + 1,
            rng.random(count) < 0.5,
        )

    def vectors(self) -> Iterator[tuple[I64, NDArray[np.int8]]]:
        """All items have one."""
        rng = np.random.default_rng(1)
        for low in range(0, self.size.items, PIECE):
            items = np.arange(low + 1, min(low + PIECE, self.size.items) + 1)
            yield items, rng.integers(-127, 128, (len(items), DIMENSION)).astype(np.int8)
