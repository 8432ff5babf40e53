"""How good vectors are: whether what is bought together later lies near, and how the vectors fill the sphere.

Recall@10 of a pair (item, companion): the companion is among the 10 items nearest to the item, of all items with a
vector, the item itself left out. Ties count against; a pair with an item without a vector is a miss.

Alignment and uniformity as Wang and Isola 2020 (arXiv 2005.10242): the mean squared distance of the pairs (0 = equal),
and the log of the mean of `exp(-2 squared distance)` over pairs of items (lower = more evenly spread; -4 at best).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.vectors.baselines import unit
from muse_stream.esu_scorer.vectors.baskets import Baskets

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

NEAREST = 10
PAIRS_MAX = 20_000  # the standard error of a recall of 0.1 is then 0.002
_ROWS_AT_ONCE = 512
_SPREAD_ROWS = 2_048


@dataclass(frozen=True, eq=False, slots=True)
class Judging:
    """Pairs bought together in the held-out span.

    Attributes:
        item: `[J] int64` rows.
        companion: `[J] int64` rows.
        seen: `[J] bool`, the two were in one basket of the training span too.
        known: `[J] bool`, both had a companion there, be it another.

    """

    item: Int64
    companion: Int64
    seen: Bool
    known: Bool

    def __len__(self) -> int:
        return len(self.item)


class Quality(msgspec.Struct, frozen=True):
    """What vectors are worth on held-out pairs; a recall over no pairs is None.

    Attributes:
        recall: Share of all pairs whose companion is among the 10 nearest.
        recall_seen: Over pairs that the training span has too.
        recall_unseen: Over pairs that it has not, of items that it knows.
        recall_new: Over pairs with an item that has no companion in the training span.
        alignment: Mean squared distance of pairs that both have vectors.
        uniformity: Of the items with vectors.
        items: Items with a vector.
        pairs: Pairs judged by.

    """

    recall: float
    recall_seen: float | None
    recall_unseen: float | None
    recall_new: float | None
    alignment: float | None
    uniformity: float | None
    items: int
    pairs: int


def judging(held_out: Baskets, training: Baskets, *, seed: int = 0, pairs_max: int = PAIRS_MAX) -> Judging:
    """One pair for each purchase of the held-out baskets, at most `pairs_max` of them, drawn with the seed."""
    generator = np.random.default_rng(seed)
    item, companion = held_out.draw(generator)
    if len(item) > pairs_max:
        kept = np.sort(generator.choice(len(item), pairs_max, replace=False))
        item, companion = item[kept], companion[kept]
    order = np.argsort(training.row, kind="stable")
    rows, baskets = training.row[order], training.basket[order]
    low, high = np.searchsorted(rows, item), np.searchsorted(rows, item, "right")
    other_low, other_high = np.searchsorted(rows, companion), np.searchsorted(rows, companion, "right")
    bounds = zip(low.tolist(), high.tolist(), other_low.tolist(), other_high.tolist(), strict=True)
    seen = np.array([bool(np.isin(baskets[a:b], baskets[c:d]).any()) for a, b, c, d in bounds], np.bool_)
    return Judging(item, companion, seen, (high > low) & (other_high > other_low))


def quality(vectors: npt.NDArray[np.number], pairs: Judging, *, seed: int = 0) -> Quality:
    """Judge vectors `[n, d]`, int8 or float, of any length; a row of zeros has no vector."""
    rows = unit(vectors.astype(np.float32))
    there: Bool = rows.any(axis=1)  # type: ignore[assignment]
    hit = _hits(rows, there, pairs)
    both = there[pairs.item] & there[pairs.companion]
    apart = rows[pairs.item[both]] - rows[pairs.companion[both]]
    return Quality(
        recall=float(hit.mean()),
        recall_seen=_mean(hit[pairs.seen]),
        recall_unseen=_mean(hit[~pairs.seen & pairs.known]),
        recall_new=_mean(hit[~pairs.known]),
        alignment=_mean((apart * apart).sum(axis=1)),
        uniformity=_uniformity(rows[there], seed),
        items=int(there.sum()),
        pairs=len(pairs),
    )


def _hits(rows: Float32, there: Bool, pairs: Judging) -> Bool:
    """Whether the companion is among the nearest, `[J] bool`."""
    hit = np.zeros(len(pairs), np.bool_)
    for first in range(0, len(pairs), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        item, companion = pairs.item[part], pairs.companion[part]
        cosine = np.where(there, rows[item] @ rows.T, -np.inf)  # (rows, n)
        each = np.arange(len(item))
        own = cosine[each, companion]
        cosine[each, item] = -np.inf
        before = (cosine >= own[:, None]).sum(axis=1) - 1  # it is itself among those that are as near
        hit[part] = (before < NEAREST) & there[item] & there[companion]
    return hit


def _uniformity(rows: Float32, seed: int) -> float | None:
    if len(rows) < 2:
        return None
    if len(rows) > _SPREAD_ROWS:
        rows = rows[np.random.default_rng(seed).choice(len(rows), _SPREAD_ROWS, replace=False)]
    distance = 2 - 2 * (rows @ rows.T).astype(np.float64)
    apart = distance[np.triu_indices(len(rows), 1)]
    return float(np.log(np.exp(-2 * apart).mean()))


def _mean(values: npt.NDArray[np.bool_] | npt.NDArray[np.floating]) -> float | None:
    return float(values.mean()) if len(values) else None
