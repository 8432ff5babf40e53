"""From retrieved positions to the columns that the network reads.

Everything is taken from one read of the user's sequence, so that the behaviours shown, scored and named by position are
the same ones. Invariant: a masked cell holds id 0 and cosine 0, whatever lay in the source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import ScoreBatch
from muse_stream.gsu_engine import SearchResult
from muse_stream.state.columns import Sequence as History

Ids = NDArray[np.int64]


class Catalogue(Protocol):
    """What the item log said of items besides their vectors."""

    def features_of(self, items: Ids) -> Ids:
        """Features of items: `[n] int64` in, `[n, F] int64` out, columns in the scorer's order; 0 = not known."""

    def categories_of(self, items: Ids) -> Ids:
        """Categories of items: `[n] int64` in and out; 0 = not known."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One request's share of a batch to score.

    Attributes:
        history: The user's live sequence at the request's moment.
        user_features: `[U] int64` in the scorer's order.
        candidates: `[C] int64` item ids.
        result: Retrieval for these candidates: rows `[C, K]`, recent `[C, R]`.

    """

    history: History
    user_features: Ids
    candidates: Ids
    result: SearchResult


def user_features(names: Sequence[str], *sources: Mapping[str, int]) -> Ids:
    """Ids of the named features, `[U] int64`: the first source that has a name wins, 0 where none has it."""
    values = (next((source[name] for source in sources if name in source), 0) for name in names)
    return np.fromiter(values, np.int64, len(names))


def rows_at(positions: Ids, start: int) -> tuple[Ids, NDArray[np.bool_]]:
    """Row numbers into a sequence that begins at position `start`, and which are there.

    Args:
        positions: Absolute positions, any shape; -1 = none.
        start: Position of row 0.

    Returns:
        Rows (0 where masked) and mask, both of the shape of `positions`.

    """
    mask = positions >= start
    return np.where(mask, positions - start, 0), mask


def with_categories(items: Ids, categories: Ids, catalogue: Catalogue) -> Ids:
    """Categories as sent with the behaviour, or the catalogue's where none was sent (0)."""
    unsent = (categories == 0) & (items != 0)
    if not unsent.any():
        return categories
    filled = categories.copy()
    filled[unsent] = catalogue.categories_of(items[unsent])
    return filled


def score_batch(requests: Sequence[Scored], catalogue: Catalogue, *, retrieved: int, recent: int) -> ScoreBatch:
    """One batch for the scorer out of several requests.

    Args:
        requests: `P` requests with `T` candidates in all; each result has at least `retrieved` columns.
        catalogue: Features and categories of items.
        retrieved: K, the retrieved behaviours that the model was trained with.
        recent: R, the recent behaviours that the model was trained with.

    """
    recents = [_recent(request.history, recent) for request in requests]
    retrievals = [_retrieved(request, retrieved) for request in requests]
    recent_item = np.stack([items for items, _, _ in recents])  # [P, R]
    recent_category = np.stack([categories for _, categories, _ in recents])
    retrieved_item = np.concatenate([items for items, _, _ in retrievals])  # [T, K]
    retrieved_category = np.concatenate([categories for _, categories, _ in retrievals])
    counts = np.array([len(request.candidates) for request in requests], np.int64)
    return ScoreBatch(
        user_features=np.stack([request.user_features for request in requests]),
        recent_item=recent_item,
        recent_category=with_categories(recent_item, recent_category, catalogue),
        recent_mask=np.stack([mask for _, _, mask in recents]),
        bounds=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        candidate_features=catalogue.features_of(np.concatenate([request.candidates for request in requests])),
        recent_cosine=np.concatenate([request.result.recent_scores[:, :recent] for request in requests]),
        recent_cosine_present=np.concatenate([request.result.recent_present[:, :recent] for request in requests]),
        retrieved_item=retrieved_item,
        retrieved_category=with_categories(retrieved_item, retrieved_category, catalogue),
        retrieved_cosine=np.concatenate([request.result.scores[:, :retrieved] for request in requests]),
        retrieved_mask=np.concatenate([mask for _, _, mask in retrievals]),
    )


def _recent(history: History, recent: int) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    """Items, categories and mask of the last `recent` behaviours, newest first: `[R]` each."""
    items, categories = np.zeros((2, recent), np.int64)
    rows = history.rows[-recent:][::-1] if recent else history.rows[:0]
    items[: len(rows)] = rows["item"]
    categories[: len(rows)] = rows["category"]
    return items, categories, np.arange(recent) < len(rows)


def _retrieved(request: Scored, retrieved: int) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    """Items, categories and mask of the retrieved behaviours: `[C, K]` each."""
    rows, mask = rows_at(request.result.positions[:, :retrieved], request.history.start)
    if not len(request.history.rows):
        empty = np.zeros(rows.shape, np.int64)
        return empty, empty, mask
    items, categories = (request.history.rows[name][rows] for name in ("item", "category"))  # whole rows: 3x the time
    return np.where(mask, items, 0), np.where(mask, categories, 0), mask
