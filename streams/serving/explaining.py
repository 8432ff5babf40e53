"""What an explanation is computed from, taken at the request's moment; it is computed later.

The explained candidates are searched once more, for one behaviour more than the network reads of both lists: those are
what moves in where a behaviour is thought away. What was found for the score itself stays as it is.
"""

from dataclasses import dataclass

import numpy as np

from muse_stream.esu_scorer.counterfactual import Subject
from muse_stream.gsu_engine import HistorySource, SearchBatch, SearchResult
from muse_stream.gsu_engine.contract import K_LIMIT, RECENT_LIMIT
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.serving.gather import Ids, Scored, score_batch
from muse_stream.streams.serving.live import Live

CANDIDATES_MAX = 20
"""Candidates explained unless the settings say otherwise: at K = 50 a thousand scores, a second of nobody's time."""


@dataclass(frozen=True, slots=True)
class Explaining:
    """One request's candidates that are to be explained.

    Attributes:
        rows: `[E] int64` which of the candidates.
        result: What was retrieved for them, `[E, K]` and `[E, R]`.
        recent: Positions of the newest behaviours that the network reads, newest first, at most R.
        subject: What the model is asked about; None where nothing is scored.

    """

    rows: Ids
    result: SearchResult
    recent: Ids
    subject: Subject | None

    def positions(self) -> list[Ids]:
        """The positions that the explanation names."""
        return [self.result.positions, self.recent]


def unscored(rows: Ids, result: SearchResult, history: History, k: int, recent: int) -> Explaining:
    """For a request that wants no scores: the `k` retrieved for these rows, and how near the `recent` newest are."""
    return Explaining(rows, _narrow(_rows(result, rows), k, recent), _newest(history, recent), None)


def can_explain(live: Live) -> bool:
    """Whether the engine finds one behaviour more than this model reads."""
    return live.retrieved < K_LIMIT and live.recent < RECENT_LIMIT


def scored(rows: Ids, batch: SearchBatch, share: Scored, live: Live, source: HistorySource) -> Explaining:
    """For a request that is scored: its rows searched again, with the behaviours that would move in.

    Args:
        rows: `[E] int64` which of the request's candidates.
        batch: The search for them: one pair.
        share: What is scored.
        live: What answers, `can_explain`.
        source: Histories of the pass.

    """
    k, r = live.retrieved, live.recent
    wide = live.engine.search(batch, k + 1, r + 1, source)
    own = Scored(share.history, share.user_features, share.candidates[rows], wide)
    columns = score_batch([own], live.catalogue, retrieved=k + 1, recent=r + 1)
    places = np.where(wide.positions >= 0, share.history.stop - 1 - wide.positions, -1)
    subject = Subject(columns, np.where(places <= r, places, -1))
    return Explaining(rows, _narrow(wide, k, r), _newest(share.history, r), subject)


def _newest(history: History, recent: int) -> Ids:
    return history.stop - 1 - np.arange(min(recent, len(history)))


def _rows(result: SearchResult, rows: Ids) -> SearchResult:
    return SearchResult(
        result.scores[rows],
        result.positions[rows],
        result.count[rows],
        result.recent_scores[rows],
        result.recent_present[rows],
    )


def _narrow(result: SearchResult, k: int, recent: int) -> SearchResult:
    return SearchResult(
        result.scores[:, :k],
        result.positions[:, :k],
        np.minimum(result.count, np.int32(k)),
        result.recent_scores[:, :recent],
        result.recent_present[:, :recent],
    )
