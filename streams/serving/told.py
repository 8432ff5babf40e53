"""What an answer tells of behaviours: each stands once in its table, features and explanation name rows of it.

Invariant: a row is the behaviour as it was in the sequence that was searched; its category is the one that the network
read. A behaviour that nothing in the answer names, and that is not of the features' history, is not in the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer.explain import Explained, Inside, tiers
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.serving.explaining import Explaining
from muse_stream.streams.serving.features import RequestFeatures
from muse_stream.streams.serving.gather import Catalogue, Ids, with_categories
from muse_stream.streams.wire.decimals import decimals
from muse_stream.streams.wire.features import (
    Behaviours,
    CandidateExplanation,
    CandidateFeatures,
    Explanation,
    Features,
)

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Told:
    """Behaviours that may be told of.

    Attributes:
        positions: `[B] int64` ascending, distinct.
        rows: `[B]` those of the history.
        categories: `[B] int64` the catalogue's where none was sent.

    """

    positions: Ids
    rows: NDArray[np.void]
    categories: Ids

    @classmethod
    def of(cls, history: History, parts: Sequence[Ids], catalogue: Catalogue) -> "Told":
        """The behaviours at these positions, of any shape; -1 = none. Call it at the request's moment."""
        positions = _distinct(parts)
        rows = history.rows[positions - history.start]
        items, categories = (np.ascontiguousarray(rows[name]) for name in ("item", "category"))
        return cls(positions, rows, with_categories(items, categories, catalogue))

    def only(self, parts: Sequence[Ids]) -> "Told":
        """Those at these positions."""
        kept = self.rows_of(_distinct(parts))
        return Told(self.positions[kept], self.rows[kept], self.categories[kept])

    def rows_of(self, positions: Ids) -> Ids:
        """Row of each position, of the same shape; without a meaning for -1."""
        return np.searchsorted(self.positions, positions)

    def wire(self) -> Behaviours:
        """The table as it is sent."""
        columns = (self.rows["item"], self.categories, self.rows["time_ms"], self.rows["action"])
        return Behaviours(self.positions.tolist(), *(column.tolist() for column in columns))


def positions_of(read: RequestFeatures) -> list[Ids]:
    """The positions that features name."""
    return [np.arange(read.history.start, read.history.stop), read.positions]


def features(read: RequestFeatures, names: tuple[Sequence[str], Sequence[str]], told: Told) -> Features:
    """What the network read, as it is sent; `names` of the candidates' and of the user's features."""
    recent = min(read.window[1] - read.window[0], read.recent_cosines.shape[1])
    counts = (read.positions >= 0).sum(axis=1).tolist()
    rows, cosines = told.rows_of(read.positions).tolist(), decimals(read.cosines).tolist()
    near, absent = decimals(read.recent_cosines[:, :recent]).tolist(), ~read.recent_present[:, :recent]
    candidates = [
        CandidateFeatures(values, rows[c][:n], cosines[c][:n], near[c], np.flatnonzero(absent[c]).tolist())
        for c, (values, n) in enumerate(zip(read.candidates.tolist(), counts, strict=True))
    ]
    return Features(list(names[0]), list(names[1]), read.user.tolist(), len(read.history.rows), candidates)


def explanation(asked: Explaining, explained: Explained | None, scores: Float32 | None, told: Told) -> Explanation:
    """Why scores are what they are, as it is sent.

    Args:
        asked: What was found for E candidates.
        explained: What the model makes of it; None where nothing was scored.
        scores: `[E]` theirs, likewise.
        told: The table.

    """
    ragged, whole = _of_retrieval(asked, told)
    blocks: tuple[str, ...] = ()
    if explained is not None and scores is not None:
        ragged["change"] = _change(explained.without, scores)
        if explained.inside is not None:
            blocks = explained.inside.blocks
            _add_inside(ragged, whole, explained.inside)
    whole = {name: column[:, : len(asked.recent)] if name in _RECENT else column for name, column in whole.items()}
    lists, lists_of_all = ({name: column.tolist() for name, column in part.items()} for part in (ragged, whole))
    candidates = [
        CandidateExplanation(
            candidate,
            **{name: rows[number][:count] for name, rows in lists.items()},
            **{name: rows[number] for name, rows in lists_of_all.items()},
        )
        for number, (candidate, count) in enumerate(zip(asked.rows.tolist(), asked.result.count.tolist(), strict=True))
    ]
    return Explanation(told.rows_of(asked.recent).tolist(), candidates, list(blocks))


Columns = dict[str, NDArray[Any]]
_RECENT = ("recent_tier", "recent_weight")


def _of_retrieval(asked: Explaining, told: Told) -> tuple[Columns, Columns]:
    """What is known without a model: `[E, K]` columns, of which `count` are there, and columns to be read whole."""
    result = asked.result
    ragged: Columns = {
        "row": told.rows_of(result.positions),
        "cosine": decimals(result.scores),
        "tier": tiers(result.scores, result.positions >= 0),
    }
    return ragged, {"recent_tier": tiers(result.recent_scores, result.recent_present)}


def _add_inside(ragged: Columns, whole: Columns, inside: Inside) -> None:
    """Add what the network saw."""
    whole["recent_weight"] = decimals(inside.recent_weights)
    whole["block_change"] = _change(inside.without_block, inside.scores)
    if inside.weights is not None:
        ragged["weight"] = decimals(inside.weights)


def _change(without: Float32, scores: Float32) -> NDArray[np.float64]:
    return decimals(without - scores[:, np.newaxis])


def _distinct(parts: Sequence[Ids]) -> Ids:
    found = np.unique(np.concatenate([part.ravel() for part in parts]))
    return found[np.searchsorted(found, 0) :]
