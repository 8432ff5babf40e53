"""What the network read for one request, as columns: logged with an answer, or exported.

Invariant: everything comes from the moment at which the request was computed; behaviours are those that were searched.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import ScoreBatch
from muse_stream.gsu_engine import SearchResult
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.serving.gather import Catalogue, Ids, Scored, with_categories

HISTORY_MAX = 1_000
"""Newest behaviours that come along, as many as the released tables have."""
_SPREAD, _MASK, _BITS = 0x9E3779B97F4A7C15, 2**64 - 1, 32
"""Fibonacci hashing: the high bits of id times 2^64 over the golden ratio."""
_SHIFT = 64 - _BITS


@dataclass(frozen=True, slots=True)
class RequestFeatures:
    """One user and C candidates.

    Attributes:
        user: `[U] int64` user features in the scorer's order.
        candidates: `[C, F] int64` item, category, then the other features in the scorer's order.
        history: The newest behaviours, oldest first.
        categories: `[H] int64` theirs; the catalogue's where none was sent.
        window: The sequence numbers that were searched.
        positions: `[C, K] int64` retrieved behaviours, best first; -1 = none.
        items: `[C, K] int64` theirs, 0 = none; `item_categories`, `cosines [C, K] float32` likewise.
        recent_cosines: `[C, R] float32` of the newest R behaviours, newest first; `recent_present [C, R] bool`.

    """

    user: Ids
    candidates: Ids
    history: History
    categories: Ids
    window: tuple[int, int]
    positions: Ids
    items: Ids
    item_categories: Ids
    cosines: NDArray[np.float32]
    recent_cosines: NDArray[np.float32]
    recent_present: NDArray[np.bool_]


def features_of(scored: Scored, batch: ScoreBatch, catalogue: Catalogue, length: int) -> RequestFeatures:
    """The features of one request.

    Args:
        scored: The request's share of a batch.
        batch: What the network reads of it: one user.
        catalogue: At the request's moment.
        length: Newest behaviours that come along.

    """
    newest = newest_of(scored.history, length)
    items, categories = (np.ascontiguousarray(newest.rows[name]) for name in ("item", "category"))
    return RequestFeatures(
        user=batch.user_features[0],
        candidates=batch.candidate_features,
        history=newest,
        categories=with_categories(items, categories, catalogue),
        window=(scored.history.start, scored.history.stop),
        positions=_positions(scored.result, batch.retrieved_mask),
        items=batch.retrieved_item,
        item_categories=batch.retrieved_category,
        cosines=batch.retrieved_cosine,
        recent_cosines=batch.recent_cosine,
        recent_present=batch.recent_cosine_present,
    )


def in_share(user: int, share: float) -> bool:
    """Whether a user is of the share whose features are logged: by a hash of the id, so always the same users."""
    return share > 0 and (user * _SPREAD & _MASK) >> _SHIFT < share * (1 << _BITS)


def in_share_each(users: Ids, share: float) -> NDArray[np.bool_]:
    """`in_share` of many users: `[n] int64` in, `[n] bool` out."""
    high = (users.astype(np.uint64) * np.uint64(_SPREAD)) >> np.uint64(_SHIFT)
    found: NDArray[np.bool_] = (high < share * (1 << _BITS)) & (share > 0)
    return found


def newest_of(history: History, length: int) -> History:
    """The newest `length` behaviours."""
    surplus = max(0, len(history) - length)
    return History(history.start + surplus, history.rows[surplus:])


def _positions(result: SearchResult, mask: NDArray[np.bool_]) -> Ids:
    return np.where(mask, result.positions[:, : mask.shape[1]], -1)
