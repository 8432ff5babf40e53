"""Several blocks as one, and one as several, without a Python object per behaviour.

When blocks that are joined hold different histories of one user (a window moved on between them), the user's range
holds the one after the other, and each sample's window lies within its own: a window never spans two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories

Int64 = npt.NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


def join(blocks: Sequence[Block]) -> Block:
    """All samples of some blocks in order.

    Blocks that share one `Behaviours` go on sharing it; otherwise the ranges of the users that have samples are copied.
    """
    if len(blocks) == 1:
        return blocks[0]
    shared = all(block.histories.behaviours is blocks[0].histories.behaviours for block in blocks)
    parts = [used(block) for block in blocks]
    user = np.concatenate([part.histories.user for part in parts])  # (sum of P,), with repeats
    lows = np.concatenate([part.histories.lows for part in parts])
    highs = np.concatenate([part.histories.highs for part in parts])
    if shared:
        histories, owner_of, shift = _merge_shared(parts[0].histories.behaviours, user, lows, highs)
    else:
        source = np.repeat(np.arange(len(parts)), [len(part.histories.user) for part in parts])
        histories, owner_of, shift = lay_out([part.histories.behaviours for part in parts], source, user, lows, highs)
    bases = np.cumsum([0] + [len(part.histories.user) for part in parts[:-1]])
    old_owner = np.concatenate([part.owner + base for part, base in zip(parts, bases, strict=True)])
    moved = shift[old_owner]
    return Block(
        histories=histories,
        owner=owner_of[old_owner],
        start=np.concatenate([part.start for part in parts]) + moved,
        stop=np.concatenate([part.stop for part in parts]) + moved,
        candidate_features=np.concatenate([part.candidate_features for part in parts]),
        user_features=np.concatenate([part.user_features for part in parts]),
        time_ms=np.concatenate([part.time_ms for part in parts]),
        label=np.concatenate([part.label for part in parts]),
    )


def recut(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """The same samples in the same order in blocks of `size`, the last one shorter; each has its own users only."""
    waiting: list[Block] = []
    count = 0
    for block in blocks:
        start = 0
        while count + len(block) - start >= size:
            stop = start + size - count
            yield join([*waiting, used(block.take(slice(start, stop)))])
            waiting, count, start = [], 0, stop
        if start < len(block):
            waiting.append(used(block.take(slice(start, None))))
            count += len(block) - start
    if waiting:
        yield join(waiting)


def used(block: Block) -> Block:
    """The same samples with the histories of their users only; the behaviours are shared."""
    users, owner = np.unique(block.owner, return_inverse=True)
    old = block.histories
    if len(users) == len(old.user):
        return block
    histories = Histories(old.user[users], old.lows[users], old.highs[users], old.behaviours)
    return Block(
        histories,
        owner.astype(np.int64),
        block.start,
        block.stop,
        block.candidate_features,
        block.user_features,
        block.time_ms,
        block.label,
    )


def _merge_shared(behaviours: Behaviours, user: Int64, lows: Int64, highs: Int64) -> tuple[Histories, Int64, Int64]:
    """Histories, new owner of each old one, and how far its windows move: the users' ranges of one `Behaviours`."""
    distinct, owner = np.unique(user, return_inverse=True)
    low = np.full(len(distinct), np.iinfo(np.int64).max)
    high = np.zeros(len(distinct), np.int64)
    np.minimum.at(low, owner, lows)
    np.maximum.at(high, owner, highs)
    return Histories(distinct, low, high, behaviours), owner.astype(np.int64), lows - low[owner]


def lay_out(
    sources: Sequence[Behaviours], source: Int64, user: Int64, lows: Int64, highs: Int64
) -> tuple[Histories, Int64, Int64]:
    """Likewise for several `Behaviours`: the ranges are copied, all of a user's side by side."""
    distinct, owner = np.unique(user, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    lengths = (highs - lows)[order]
    begins = np.concatenate([[0], np.cumsum(lengths)])  # of each range in the new rows
    pieces = list(zip(source[order].tolist(), lows[order].tolist(), highs[order].tolist(), strict=True))
    behaviours = Behaviours(
        item=np.concatenate([sources[index].item[low:high] for index, low, high in pieces]),
        category=np.concatenate([sources[index].category[low:high] for index, low, high in pieces]),
        action=_known([sources[index].action[low:high] for index, low, high in pieces]),
        time_ms=_known([sources[index].time_ms[low:high] for index, low, high in pieces]),
    )
    firsts = np.searchsorted(owner[order], np.arange(len(distinct) + 1))
    low, high = begins[firsts[:-1]], begins[firsts[1:]]
    shift = np.empty(len(user), np.int64)
    shift[order] = begins[:-1] - low[owner[order]]
    return Histories(distinct, low, high, behaviours), owner.astype(np.int64), shift


def _known(columns: list[npt.NDArray[T]]) -> npt.NDArray[T]:
    """The columns as one; where nothing is known, zeros that the system has not given memory for."""
    if any(column.any() for column in columns):
        return np.concatenate(columns)
    return np.zeros(sum(map(len, columns)), columns[0].dtype)
