"""One pass over the part `train` before training: its ids, its span, and whether it can be read to the end.

Ids of a feature are counted in sorted columns, 16 bytes for each distinct id. Memory is bounded: a feature with more
than `CEILING * rows_max` distinct ids is not counted further but hashed, whatever its minimum count would have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.features import CATEGORY, ITEM, FeatureSpec
from muse_stream.esu_scorer.manifest import DataSpan
from muse_stream.esu_scorer.training.config import TrainingConfig
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup, Vocabulary

Int64 = npt.NDArray[np.int64]

CEILING = 4
"""Distinct ids that are counted at most, in tables: a minimum count of 2 takes about half of a long tail away."""

BUFFER = 1 << 20
"""Distinct ids that wait to be merged into the sorted columns: merging copies them whole."""


class Counter:
    """Counts the ids of one feature."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._ids, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._waiting: list[tuple[Int64, Int64]] = []
        self._waiting_ids = 0
        self._too_many = False

    def add(self, ids: Int64) -> None:
        """Count ids of any shape."""
        if self._too_many or not ids.size:
            return
        self._waiting.append(np.unique_counts(ids))
        self._waiting_ids += len(self._waiting[-1][0])
        if self._waiting_ids > BUFFER:
            self._merge()

    def lookup(self, minimum_count: int) -> Lookup:
        """A vocabulary of the ids that were counted so often, hashed when their table would have over `rows_max`."""
        self._merge()
        often = self._ids[(self._counts >= minimum_count) & (self._ids != 0)]
        if self._too_many or len(often) + 1 > self._rows_max:
            return HashedVocabulary(self._rows_max - 1)
        return Vocabulary(often)

    def _merge(self) -> None:
        ids = np.concatenate([self._ids, *(ids for ids, _ in self._waiting)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._waiting)])
        self._waiting, self._waiting_ids = [], 0
        self._ids, index = np.unique(ids, return_inverse=True)
        self._counts = np.zeros(len(self._ids), np.int64)
        np.add.at(self._counts, index, counts)
        if len(self._ids) > CEILING * self._rows_max:
            self._too_many = True
            self._ids, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)


class Counted(msgspec.Struct, frozen=True):
    """What a run knows of its data, beside the vocabularies."""

    span: DataSpan
    positives: int


@dataclass(frozen=True, eq=False, slots=True)
class Ids:
    """What the pass found."""

    lookups: dict[str, Lookup]
    counted: Counted


def count_ids(
    blocks: Iterable[Block],
    spec: FeatureSpec,
    config: TrainingConfig,
    *,
    source: str,
    length: int,
    told: Callable[[int], None],
) -> Ids:
    """Count the ids of every feature, and of the behaviours that the samples' windows show.

    A behaviour counts once for each block that shows it. Windows are cut to `length` first, as in training: an id that
    no sample will show gets no row.

    Raises `DataError` as the source does, `TrainingError`: there is no sample, or none of one class.
    """
    counters = {feature.name: Counter(config.rows_max) for feature in spec.features}
    samples = positives = last_ms = 0
    first_ms = np.iinfo(np.int64).max
    for block in blocks:
        _add(counters, spec, block.last(length))
        samples += len(block)
        positives += int(block.label.sum())
        if len(block):
            first_ms, last_ms = min(first_ms, int(block.time_ms.min())), max(last_ms, int(block.time_ms.max()))
        told(samples)
    if positives in {0, samples}:
        msg = (
            f"{source} has {samples} samples to train on, {positives} of them positive; expected both classes: "
            f"look at the source's labels"
        )
        raise TrainingError(msg)
    lookups = {name: counter.lookup(config.minimum_count) for name, counter in counters.items()}
    span = DataSpan(source=source, samples=samples, first_ms=int(first_ms), last_ms=last_ms)
    return Ids(lookups, Counted(span, positives))


def _add(counters: dict[str, Counter], spec: FeatureSpec, block: Block) -> None:
    for column, name in enumerate(spec.candidate_names):
        counters[name].add(block.candidate_features[:, column])
    for column, name in enumerate(spec.user_names):
        counters[name].add(block.user_features[:, column])
    rows = _shown(block)
    counters[ITEM].add(block.histories.behaviours.item[rows])
    counters[CATEGORY].add(block.histories.behaviours.category[rows])


def _shown(block: Block) -> Int64:
    """Rows of `behaviours` that lie between the first start and the last stop of their user's samples."""
    users = len(block.histories.user)
    starts, stops = np.full(users, np.iinfo(np.int64).max), np.zeros(users, np.int64)
    np.minimum.at(starts, block.owner, block.start)
    np.maximum.at(stops, block.owner, block.stop)
    lengths = np.maximum(stops - starts, 0)
    begins = np.where(lengths > 0, block.histories.lows + starts, 0)
    offsets = np.cumsum(lengths) - lengths
    return np.repeat(begins - offsets, lengths) + np.arange(lengths.sum())
