"""What an explanation is computed from, taken at the request's moment; it is computed later.

The explained candidates are searched once more, for one behaviour more than the network reads of both lists: those are
what moves in where a behaviour is thought away. What was found for the score itself stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from muse_stream.esu_scorer.counterfactual import Subject
from muse_stream.gsu_engine import HistorySource, SearchBatch, SearchResult
from muse_stream.gsu_engine.contract import K_LIMIT, RECENT_LIMIT
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.serving.filters import cut, some_rows
from muse_stream.streams.serving.gather import Ids, Scored, score_batch
from muse_stream.streams.serving.live import Live

CANDIDATES_MAX = 20
"""Candidates explained unless the settings say otherwise: at K = 50 a thousand scores, half the largest request."""


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


def scored(
    rows: Mapping[int, Ids], batch: SearchBatch, shares: Mapping[int, Scored], live: Live, source: HistorySource
) -> dict[int, Explaining]:
    """For requests that are scored, by their numbers: their rows searched again, with what would move in.

    Args:
        rows: `[E] int64` which of the request's candidates, by its number; at least one request.
        batch: The search of the pass.
        shares: What is scored, by number.
        live: What answers, `can_explain`.
        source: Histories of the pass.

    """
    k, r = live.retrieved, live.recent
    some = some_rows(batch, rows)
    wide = live.engine.search(some, k + 1, r + 1, source)
    results = [cut(wide, int(first), int(last)) for first, last in pairwise(some.bounds)]
    own = [
        replace(shares[number], candidates=shares[number].candidates[asked], result=result)
        for (number, asked), result in zip(rows.items(), results, strict=True)
    ]
    columns = score_batch(own, live.catalogue, retrieved=k + 1, recent=r + 1).split()
    return {
        number: Explaining(
            asked,
            _narrow(one.result, k, r),
            _newest(one.history, r),
            Subject(part, _places(one.result, one.history, r)),
        )
        for (number, asked), one, part in zip(rows.items(), own, columns, strict=True)
    }


def _places(result: SearchResult, history: History, recent: int) -> Ids:
    """Which of the newest `recent + 1` each retrieved behaviour is; -1 = none of them."""
    places = history.stop - 1 - result.positions
    return np.where((result.positions >= 0) & (places <= recent), places, -1)


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
