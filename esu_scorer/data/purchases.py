"""Samples from purchases alone: a purchase is a positive; negatives are drawn, for nobody wrote down what was shown.

For a purchase at time t, an item is drawn with weight (purchases of it before t) + `smoothing`, among the items bought
before t by anyone; never one that the same user buys at that same moment (its invoice). Draws repeat for several
negatives of one purchase. A purchase for which none can be drawn (the first ones of the log) is a behaviour only.

A negative's category and features are those of the item's first row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.event_source import EventSource
from muse_stream.esu_scorer.data.events import NEGATIVE, NO_LABEL, POSITIVE, Events
from muse_stream.esu_scorer.data.feature_table import FeatureTable
from muse_stream.esu_scorer.data.item_vectors import Pieces
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.features import FeatureSpec

Int64 = npt.NDArray[np.int64]
CAVEAT = "no exposures: negatives are drawn by popularity"
_ROUNDS = 64  # of redrawing: with half of all weight in the basket, 1 in 2^64 purchases is given up


class Purchases(EventSource):
    """A data set of purchases, from columns."""

    def __init__(
        self,
        name: str,
        columns: Mapping[str, npt.ArrayLike],
        *,
        bought: Sequence[int],
        item_features: Mapping[str, npt.ArrayLike] | None = None,
        user_features: Mapping[str, npt.ArrayLike] | None = None,
        spec: FeatureSpec | None = None,
        vectors: Callable[[], Iterator[Pieces]] | None = None,
        negatives: int = 4,
        smoothing: float = 1.0,
        seed: int = 1,
    ) -> None:
        """Draw the negatives and build the source.

        Args:
            name: Of the data set.
            columns: `user`, `item`, `category`, `action`, `time_ms`, one row a log line, in order of time.
            bought: Action codes of purchases; every other row (a return) is a behaviour only.
            item_features: Further id columns of the row's item, one value a row.
            user_features: Further id columns of the row's user, one value a row.
            spec: Features; see `EventSource`.
            vectors: Item vectors; None = none.
            negatives: Of each purchase.
            smoothing: Weight of an item beside its purchases; above 0.
            seed: Of the draws.

        Raises:
            DataError: See `Events.of`, `FeatureTable.of` and `EventSource`.

        """
        if "action" not in columns:
            msg = f"{name}: column 'action' is missing; there are {', '.join(columns)}"
            raise DataError(msg)
        label = np.where(np.isin(columns["action"], list(bought)), POSITIVE, NO_LABEL)
        log = Events.of({**columns, "label": label}, name)
        super().__init__(
            name,
            with_negatives(log, count=negatives, smoothing=smoothing, rng=np.random.default_rng(seed)),
            spec=spec,
            items=FeatureTable.of(log.item, item_features or {}, f"{name} item features"),
            users=FeatureTable.of(log.user, user_features or {}, f"{name} user features"),
            vectors=vectors,
            caveat=CAVEAT,
        )


def with_negatives(log: Events, *, count: int, smoothing: float, rng: np.random.Generator) -> Events:
    """The log in order of time with `count` negatives after each positive that can have them.

    A positive without negatives loses its label.
    """
    order = np.argsort(log.time_ms, kind="stable")
    bought = order[log.label[order] == POSITIVE]
    drawn, found = _draw(log, bought, count, smoothing, rng)  # (n, count) rows of the log whose item it is; (n,)
    label = log.label.copy()
    label[bought[~found]] = NO_LABEL
    # a negative is its positive's row with another item: put all rows side by side and sort by row of the log
    rows = np.concatenate([order, np.repeat(bought[found], count)])
    items = np.concatenate([order, drawn[found].ravel()])
    labels = np.concatenate([label[order], np.full(len(rows) - len(order), NEGATIVE)])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    merged = np.argsort(places[rows], kind="stable")
    rows, items, labels = rows[merged], items[merged], labels[merged]
    return Events.of(
        {
            "user": log.user[rows],
            "item": log.item[items],
            "category": log.category[items],
            "action": log.action[rows],
            "time_ms": log.time_ms[rows],
            "label": labels,
        },
        "purchases with negatives",
    )


def _draw(
    log: Events, bought: Int64, count: int, smoothing: float, rng: np.random.Generator
) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """For each purchase `count` rows of the log, `[n, count]`, each the first of its item; and whether all were found.

    Weight before t = one purchase row drawn evenly from those before t, or, by `smoothing`, one item from those seen.
    """
    items, first, item = np.unique(log.item[bought], return_index=True, return_inverse=True)  # numbers of the items
    seen = np.argsort(first, kind="stable")  # item numbers in order of their first purchase
    times = log.time_ms[bought]
    rows_before = np.searchsorted(times, times)
    items_before = np.searchsorted(times[first[seen]], times)
    baskets = np.unique(np.column_stack([log.user[bought], times]), axis=0, return_inverse=True)[1].reshape(-1)
    in_basket = np.unique(baskets * len(items) + item)
    drawn = np.zeros((len(bought), count), np.int64)
    open_ = np.repeat((rows_before > 0)[:, None], count, axis=1)  # (n, count): still to be drawn
    failed = ~open_
    for _ in range(_ROUNDS):
        row, column = np.nonzero(open_)
        if not len(row):
            break
        pick = rng.random(len(row)) * (rows_before[row] + smoothing * items_before[row])
        by_row = pick < rows_before[row]
        number = np.empty(len(row), np.int64)
        number[by_row] = item[pick[by_row].astype(np.int64)]
        rest = ((pick[~by_row] - rows_before[row[~by_row]]) / smoothing).astype(np.int64)
        number[~by_row] = seen[np.minimum(rest, items_before[row[~by_row]] - 1)]
        good = ~np.isin(baskets[row] * len(items) + number, in_basket)
        drawn[row[good], column[good]] = number[good]
        open_[row[good], column[good]] = False
    rows = _first_rows(log, items)[drawn]
    found = np.asarray(~(open_ | failed).any(axis=1))
    return rows, found


def _first_rows(log: Events, items: Int64) -> Int64:
    """The first row of the log of each item."""
    distinct, first = np.unique(log.item, return_index=True)
    rows: Int64 = first[np.searchsorted(distinct, items)]
    return rows
