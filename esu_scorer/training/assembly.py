"""From samples and what was retrieved for them to the columns that the network reads, as in serving.

Samples of one user with one window and the same user features share one row of the user's side. Invariant: a masked
cell holds id 0 and cosine 0, recent behaviours come newest first, and no cell shows a place outside the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.batch import ScoreBatch
from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.errors import BatchError
from muse_stream.esu_scorer.retrieval import Retrieved

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Assembled:
    """Columns of T samples, sorted so that those with one window are neighbours.

    Attributes:
        columns: What the network reads.
        order: `[T] int64`: candidate t of `columns` is sample `order[t]` of those given.

    """

    columns: ScoreBatch
    order: Int64


def assemble(block: Block, retrieved: Retrieved) -> Assembled:
    """Columns of the samples of a block. K and R are those of `retrieved`.

    Raises `BatchError`: a place outside its window, a column of another length, a present cosine that is not finite.
    """
    _check_places(block, retrieved)
    order, first = _by_window(block)
    recent_item, recent_category, recent_mask = _recent(block, order[first], retrieved.recent_present.shape[1])
    retrieved_item, retrieved_category, retrieved_mask = _at(block, order, retrieved.places[order])
    present = retrieved.recent_present[order]
    columns = ScoreBatch(
        user_features=block.user_features[order[first]],
        recent_item=recent_item,
        recent_category=recent_category,
        recent_mask=recent_mask,
        bounds=np.append(first, len(block)),
        candidate_features=block.candidate_features[order],
        recent_cosine=np.where(present, retrieved.recent_cosine[order], np.float32(0)),
        recent_cosine_present=present,
        retrieved_item=retrieved_item,
        retrieved_category=retrieved_category,
        retrieved_cosine=np.where(retrieved_mask, retrieved.cosine[order], np.float32(0)),
        retrieved_mask=retrieved_mask,
    )
    return Assembled(columns, order)


def join(parts: Sequence[Assembled]) -> Assembled:
    """Samples of several blocks, one block's after the other's."""
    if len(parts) == 1:
        return parts[0]
    firsts = np.cumsum([0, *(len(part.order) for part in parts)])
    order = np.concatenate([part.order + first for part, first in zip(parts, firsts, strict=False)])
    return Assembled(ScoreBatch.join([part.columns for part in parts]), order)


def median_age_ms(block: Block, retrieved: Retrieved) -> Int64:
    """Median age of each sample's retrieved behaviours at its moment, `[N] int64`; -1 = none, or no times.

    Of an even number the younger of the two in the middle.
    """
    places = retrieved.places
    mask = places >= 0
    times = _values(block.histories.behaviours.time_ms, block, np.arange(len(block)), places, mask)
    known = mask & (times > 0) & (block.time_ms > 0)[:, None]
    ages = np.sort(np.where(known, block.time_ms[:, None] - times, np.iinfo(np.int64).max), axis=1)
    count = known.sum(axis=1)
    if not places.shape[1]:
        return np.full(len(block), -1, np.int64)
    middle = np.take_along_axis(ages, (np.maximum(count, 1) - 1)[:, None] // 2, axis=1)[:, 0]
    return np.where(count > 0, middle, -1)


def _check_places(block: Block, retrieved: Retrieved) -> None:
    places = retrieved.places
    if len(places) != len(block):
        msg = f"retrieved for {len(places)} samples, the block has {len(block)}"
        raise BatchError(msg)
    wrong = ((places < block.start[:, None]) | (places >= block.stop[:, None])) & (places != -1)
    if wrong.any():
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        msg = (
            f"sample {row} has window {block.start[row]}..{block.stop[row]}, but place {places[row, column]} was "
            f"retrieved for it; expected a place within the window, or -1"
        )
        raise BatchError(msg)


def _by_window(block: Block) -> tuple[Int64, Int64]:
    """An order in which samples of one window are neighbours, and where in it each window begins.

    The order given is kept where no two samples share a window.
    """
    keys = np.stack((*block.user_features.T, block.stop, block.start, block.owner))
    order = np.lexsort(keys)
    sorted_keys = keys[:, order]
    new = np.any(sorted_keys[:, 1:] != sorted_keys[:, :-1], axis=0)
    if new.all():
        return np.arange(len(block)), np.arange(len(block))
    return order, np.flatnonzero(np.concatenate([[True], new]))


def _recent(block: Block, samples: Int64, count: int) -> tuple[Int64, Int64, Bool]:
    """Items, categories and mask of the newest `count` behaviours, newest first: `[P, R]` each."""
    places = block.stop[samples, None] - 1 - np.arange(count)
    return _at(block, samples, np.where(places >= block.start[samples, None], places, -1))


def _at(block: Block, samples: Int64, places: Int64) -> tuple[Int64, Int64, Bool]:
    """Items, categories and mask of the behaviours at `places [n, W]` (-1 = none) of these samples' users."""
    mask = places >= 0
    behaviours = block.histories.behaviours
    items = _values(behaviours.item, block, samples, places, mask)
    return items, _values(behaviours.category, block, samples, places, mask), mask


def _values(column: Int64, block: Block, samples: Int64, places: Int64, mask: Bool) -> Int64:
    """A column of the behaviours at these places, 0 where masked."""
    if not len(column):
        return np.zeros(places.shape, np.int64)
    rows = np.where(mask, block.histories.lows[block.owner[samples]][:, None] + places, 0)
    return np.where(mask, column[rows], 0)
