"""Windows as matrices: the scores of every behaviour of a window, and the best K of them, exactly.

For what a cosine search cannot do: scores that a network learnt. Invariant: at most `SCORES_AT_ONCE` scores are held at
once (or one window), and the answer to a sample does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.retrieval import Bool, Int64, Retrieved

SCORES_AT_ONCE = 1 << 21
"""8 MiB of float32, and of int64 places and rows 16 MiB each."""


@dataclass(frozen=True, eq=False, slots=True)
class Windows:
    """Windows of b samples, padded to the longest, L: column j is the j-th newest behaviour.

    Attributes:
        samples: `[b] int64` rows of the block.
        places: `[b, L] int64`; below the window's start where not present.
        present: `[b, L] bool`.
        rows: `[b, L] int64` rows of the block's behaviours; where not present, any.

    """

    samples: Int64
    places: Int64
    present: Bool
    rows: Int64


Score = Callable[[Block, Windows], Tensor]
"""Scores of every behaviour, `[b, L] float32`; not read where not present."""


def windows(block: Block) -> Iterator[Windows]:
    """All windows of the block, the shortest first; empty ones do not come."""
    lengths = block.stop - block.start
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    while len(order):
        held = np.arange(1, len(order) + 1) * lengths[order]  # scores of the first 1, 2, ... windows
        count = max(int(np.searchsorted(held, SCORES_AT_ONCE, side="right")), 1)
        yield _matrix(block, order[:count])
        order = order[count:]


def retrieve_by(score: Score, block: Block, k: int, recent: int) -> Retrieved:
    """The K highest of each window; of equal ones the newer. There are no cosines."""
    found = nothing(len(block), k, recent)
    for part in windows(block):
        columns = highest(score(block, part), torch.from_numpy(part.present), k).numpy()  # (b, min(K, L))
        places = np.take_along_axis(part.places, np.maximum(columns, 0), axis=1)
        found.places[part.samples, : columns.shape[1]] = np.where(columns >= 0, places, -1)
    return found


def highest(scores: Tensor, present: Tensor, k: int) -> Tensor:
    """Columns of the K highest of each row, best first, of equal ones the first: `[b, min(K, L)] int64`, -1 = none.

    `scores [b, L] float32`, `present [b, L] bool`. Torch's own order of equal values is not defined, so each score is
    made an integer of the same order, with its column beside it.
    """
    length = scores.shape[1]
    bits = (scores + 0.0).contiguous().view(torch.int32)  # + 0.0: -0.0 equals 0.0
    rising = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)  # the order of floats, as integers
    keys = (rising << 32) | torch.arange(length - 1, -1, -1)  # (b, L)
    none = torch.iinfo(torch.int64).min
    best = torch.topk(keys.masked_fill(~present, none), min(k, length), dim=1).values
    return torch.where(best == none, -1, length - 1 - (best & 0xFFFFFFFF))


def nothing(count: int, k: int, recent: int) -> Retrieved:
    """The answer for `count` samples when nothing is retrieved and there are no cosines."""
    return Retrieved(
        places=np.full((count, k), -1, np.int64),
        cosine=np.zeros((count, k), np.float32),
        recent_cosine=np.zeros((count, recent), np.float32),
        recent_present=np.zeros((count, recent), np.bool_),
    )


def _matrix(block: Block, samples: Int64) -> Windows:
    start, stop = block.start[samples, None], block.stop[samples, None]  # (b, 1)
    places = stop - 1 - np.arange(int((stop - start).max()))  # (b, L)
    low = block.histories.lows[block.owner[samples], None]
    return Windows(samples, places, places >= start, low + np.maximum(places, start))
