"""What was asked, computed again on what was seen: the search and the scores of the serving code.

Answers of one moment of the items are computed together, apart by vector space and model, as a pass is.

Invariant: an answer is rebuilt with the vectors of its own space and the model of its own digest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import FeatureSpec, ScoreBatch, ServedModel
from muse_stream.gsu_engine import GsuEngine, SearchResult
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.export.items import ItemTables
from muse_stream.streams.export.past import Seen
from muse_stream.streams.export.searches import Searches, Wanted
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.serving.gather import Ids, Scored, score_batch
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.exchanges import Exchange
from muse_stream.streams.verify.models import Models

Group = tuple[str, str | None]
"""Vector space, and the digest of the model that scored."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One answer as it comes out now.

    Attributes:
        history: The sequence at the answer's moment.
        result: Retrieval `[C, k or more]`.
        model: What scored; None where no scores were asked for, or the model is not here.
        batch: What the model read; None without one.
        scores: `[C] float32`; None without a model.

    """

    history: History
    result: SearchResult
    model: ServedModel | None = None
    batch: ScoreBatch | None = None
    scores: NDArray[np.float32] | None = None


class Rebuilder:
    """Collects exchanges at one moment of the items, and computes them together."""

    def __init__(self, tables: ItemTables, engine: Callable[[str], GsuEngine], models: Models) -> None:
        """Prepare; `engine` is asked once for each space."""
        self._tables, self._make_engine, self._models = tables, engine, models
        self._engines: dict[str, GsuEngine] = {}
        self._searches: dict[Group, Searches] = {}
        self._waiting: dict[Group, list[Exchange]] = {}

    def knows(self, exchange: Exchange) -> bool:
        """Whether there are vectors of the answer's space."""
        return exchange.answer.space in self._tables.spaces

    def takes(self, exchange: Exchange, seen: Seen) -> bool:
        """Whether it can be computed together with those that wait."""
        searches = self._searches.get(_group(exchange))
        return searches is None or searches.takes(_wanted(exchange, seen))

    def add(self, exchange: Exchange, seen: Seen) -> None:
        """Let it wait; `knows` and `takes` must allow it."""
        group = _group(exchange)
        if group not in self._searches:
            self._searches[group] = Searches(self._tables.spaces[group[0]], self._engine(group[0]))
        self._searches[group].add(_wanted(exchange, seen))
        self._waiting.setdefault(group, []).append(exchange)

    def compute(self) -> list[tuple[Exchange, Rebuilt]]:
        """All that wait; none wait afterwards."""
        waiting, self._waiting = self._waiting, {}
        return [pair for group, exchanges in waiting.items() for pair in self._computed(group, exchanges)]

    def _engine(self, space: str) -> GsuEngine:
        if space not in self._engines:
            self._engines[space] = self._make_engine(space)
        return self._engines[space]

    def _computed(self, group: Group, exchanges: Sequence[Exchange]) -> list[tuple[Exchange, Rebuilt]]:
        model = self._models(group[1]) if group[1] else None
        searches = self._searches[group]
        if model is None:
            found = searches.search(0, 0, ())
            return [
                (exchange, Rebuilt(one.history, one.result)) for exchange, one in zip(exchanges, found, strict=True)
            ]
        info = model.info
        found = searches.search(info.k, info.r, info.spec.user_names)
        catalogue = _Columns(self._tables.catalogue, info.spec)
        batch = score_batch(found, catalogue, retrieved=info.k, recent=info.r)
        return [
            (exchange, Rebuilt(one.history, one.result, model, part, scores))
            for exchange, (one, part, scores) in zip(exchanges, _parts(found, batch, model), strict=True)
        ]


def _parts(
    found: Sequence[Scored], batch: ScoreBatch, model: ServedModel
) -> list[tuple[Scored, ScoreBatch, NDArray[np.float32]]]:
    scores = model.score(batch)
    bounds = pairwise(batch.bounds.tolist())
    return [(one, part, scores[low:high]) for one, part, (low, high) in zip(found, batch.split(), bounds, strict=True)]


def _group(exchange: Exchange) -> Group:
    return exchange.answer.space or "", exchange.digest


def _wanted(exchange: Exchange, seen: Seen) -> Wanted:
    return Wanted(exchange.request.user, seen, exchange.request.items, exchange.request)


class _Columns:
    """The catalogue in the order of one model's features; zeros for a feature that the settings do not have."""

    def __init__(self, catalogue: Catalogue, spec: FeatureSpec) -> None:
        self._catalogue = catalogue
        kept = ("item", "category", *catalogue.feature_names)
        self._order = [kept.index(name) if name in kept else -1 for name in spec.candidate_names]

    def features_of(self, items: Ids) -> Ids:
        """`[n] int64` -> `[n, F] int64`."""
        found = self._catalogue.features_of(items)
        return np.column_stack([found, np.zeros(len(items), np.int64)])[:, self._order]

    def categories_of(self, items: Ids) -> Ids:
        """`[n] int64` in and out."""
        return self._catalogue.categories_of(items)


def tables_of(settings: Settings) -> ItemTables:
    """Empty tables of every space of the settings, features in their order."""
    spaces: Mapping[str, int] = settings.items.spaces
    return ItemTables.of(spaces, tuple(settings.features.item), settings.items.table_budget_bytes)
