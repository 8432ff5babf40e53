"""Shuffling within a window of samples.

Invariant: the same blocks, seed and window give the same order. In memory: a window, its copy while it is joined, and
the window before as long as a cut block has samples of both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.data.joining import join, recut

T = TypeVar("T")


def shuffled(blocks: Iterable[Block], *, seed: int, window: int) -> Iterator[Block]:
    """The same samples, permuted within windows of at least `window` samples (the last one shorter).

    A window is as many whole blocks as it takes; a sample never leaves its window.
    """
    rng = np.random.default_rng(seed)
    waiting: list[Block] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= window:
            yield _permuted(waiting, rng)
            waiting, count = [], 0
    if waiting:
        yield _permuted(waiting, rng)


def in_blocks(blocks: Iterable[Block], *, size: int, seed: int | None, window: int) -> Iterator[Block]:
    """Blocks of `size` samples, shuffled within `window` samples when a seed is given."""
    return recut(blocks if seed is None else shuffled(blocks, seed=seed, window=window), size)


def _permuted(blocks: list[Block], rng: np.random.Generator) -> Block:
    joined = join(blocks)
    return joined.take(rng.permutation(len(joined)))


def interleaved(sources: Iterable[Iterable[T]], ways: int) -> Iterator[T]:
    """Elements of several sources in turn, `ways` of them open at a time; 1 = one after the other."""
    coming = iter(sources)
    open_now = deque(iter(source) for source in islice(coming, ways))
    while open_now:
        source = open_now.popleft()
        try:
            element = next(source)
        except StopIteration:
            open_now.extend(iter(source) for source in islice(coming, 1))
            continue
        yield element
        open_now.append(source)
