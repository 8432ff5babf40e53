"""What a request's filters leave to be searched, and one request's part of what was found."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import SearchBatch, SearchResult
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.serving.gather import Ids
from muse_stream.streams.wire.requests import Filters, Request


def allowed_rows(filters: Filters | None, history: History) -> NDArray[np.bool_] | None:
    """Rows of the history that the filters let through, `[L] bool`; None = all."""
    if filters is None or (filters.since_ms, filters.until_ms, filters.actions) == (None, None, None):
        return None
    allowed = np.ones(len(history.rows), np.bool_)
    if filters.since_ms is not None:
        allowed &= history.rows["time_ms"] >= filters.since_ms
    if filters.until_ms is not None:
        allowed &= history.rows["time_ms"] < filters.until_ms
    if filters.actions is not None:
        allowed &= np.isin(history.rows["action"], np.array(filters.actions, np.uint8))
    return allowed


def excluded_items(requests: Sequence[Request]) -> Ids | None:
    """Per candidate of all requests the item not retrieved for it, `[T] int64`, 0 = none; None = none at all."""
    wanted = [request.filters is not None and request.filters.exclude_candidate for request in requests]
    if not any(wanted):
        return None
    parts = zip(requests, wanted, strict=True)
    return np.concatenate([request.items if own else np.zeros_like(request.items) for request, own in parts])


def cut(result: SearchResult, first: int, last: int) -> SearchResult:
    """The candidates `first..last-1` of a result."""
    rows = slice(first, last)
    return SearchResult(
        scores=result.scores[rows],
        positions=result.positions[rows],
        count=result.count[rows],
        recent_scores=result.recent_scores[rows],
        recent_present=result.recent_present[rows],
    )


def some_rows(batch: SearchBatch, rows: Mapping[int, Ids]) -> SearchBatch:
    """The search of some pairs, by their numbers, for some of their own candidates, `[E] int64`."""
    pairs = list(rows)
    at = np.concatenate([batch.bounds[pair] + own for pair, own in rows.items()])
    return SearchBatch(
        users=batch.users[pairs],
        starts=batch.starts[pairs],
        stops=batch.stops[pairs],
        bounds=np.cumsum([0, *(len(own) for own in rows.values())], dtype=np.int64),
        vectors=batch.vectors[at],
        inv_norms=batch.inv_norms[at],
        allowed=None if batch.allowed is None else [batch.allowed[pair] for pair in pairs],
        excluded=None if batch.excluded is None else batch.excluded[at],
    )
