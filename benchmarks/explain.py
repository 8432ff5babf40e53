"""Cost of explaining scores, and of telling what the network read: milliseconds, and bytes of an answer.

Explaining is timed at the released network's sizes (K = R = 50) with the retrieval done; its peer leaves the same
behaviours out one call at a time. Bytes are those of an answer with the features of 2 000 candidates for one user of
10 000 behaviours; the peer gives each candidate lists of its own, as answers did before behaviours stood in one table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch

from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.esu_scorer import Artefact, FeatureSpec, ScoreBatch, Scorer
from muse_stream.esu_scorer.batch import LAYOUT
from muse_stream.esu_scorer.counterfactual import Subject, Variants, leave_one_out
from muse_stream.esu_scorer.explain import explain, look_inside
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable
from muse_stream.state.columns import BEHAVIOUR
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.serving.features import HISTORY_MAX, RequestFeatures, features_of
from muse_stream.streams.serving.gather import Scored, score_batch
from muse_stream.streams.serving.told import Told, features, positions_of
from muse_stream.streams.wire.features import Behaviours, Features

CANDIDATE_COUNTS = (1, 20)
LENGTH = 50  # K and R of the released network
ITEMS, CATEGORIES, DIMENSION = 20_000, 1_000, 128
HISTORY, GIANT = 10_000, 2_000
FIRST_TIME_MS = 1_700_000_000_000
ID_MAX = 10**9  # as long as the public data set's ids
REPEATS = 9

ONE_CALL_EACH = "one call per behaviour"
OWN_LISTS = "lists per candidate"


def run(
    counts: tuple[int, ...] = CANDIDATE_COUNTS, giant: int = GIANT, repeats: int = REPEATS, threads: int = 1
) -> list[Row]:
    """Rows of milliseconds per explanation, and of bytes.

    Args:
        counts: Candidates explained.
        giant: Candidates of the request whose features are told.
        repeats: Timed runs of each case; the median is reported.
        threads: Threads of the model, as a worker's `model.threads`.

    """
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    ids = np.unique(rng.integers(1, ID_MAX, ITEMS))
    scorer = Scorer(_artefact(ids), threads=threads)
    rows = [row for count in counts for row in _times(scorer, _subject(rng, ids, count), repeats)]
    return [*rows, _bytes(rng, ids, giant)]


def _times(scorer: Scorer, subject: Subject, repeats: int) -> list[Row]:
    served = subject.served()
    name = f"C={served.candidate_count}"
    cases: dict[str, Callable[[], object]] = {
        f"score, {name}": lambda: scorer.score(served),
        f"weights and blocks, {name}": lambda: look_inside(scorer, served),
        f"explain all, {name}": lambda: explain(scorer, subject),
    }
    rows = [Row(case, _median_ms(call, repeats), "ms") for case, call in cases.items()]
    batched = _median_ms(lambda: leave_one_out(scorer.score, subject), repeats)
    peers = {ONE_CALL_EACH: _median_ms(lambda: _one_by_one(scorer, subject), 1)}
    return [*rows, lower_is_better(f"leave one out, {name}", batched, "ms", peers)]


def _one_by_one(scorer: Scorer, subject: Subject) -> None:
    """Score a batch of one candidate as often as behaviours are left out."""
    one = next(replace(subject.served(), bounds=np.array([0, subject.batch.candidate_count])).split())
    columns = {name: getattr(one, name)[:1] for name, (_, axes) in LAYOUT.items() if axes[0] == "T"}
    single = replace(one, bounds=np.array([0, 1]), **columns)
    for _ in Variants.of(subject).candidates:
        scorer.score(single)


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


def _artefact(ids: np.ndarray) -> Artefact:
    spec = FeatureSpec.taobao_mm()
    others = {feature.name: ids[:1_000] for feature in spec.features[2:]}
    return Artefact.untrained(spec, {"item": ids, "category": ids[:CATEGORIES], **others}, seed=0, space="v1")


def _subject(rng: np.random.Generator, ids: np.ndarray, count: int) -> Subject:
    """Full lists; a fifth of the retrieved are among the recent."""
    spec, wide = FeatureSpec.taobao_mm(), LENGTH + 1
    batch = ScoreBatch(
        user_features=rng.choice(ids[:1_000], (1, len(spec.user))),
        recent_item=rng.choice(ids, (1, wide)),
        recent_category=rng.choice(ids[:CATEGORIES], (1, wide)),
        recent_mask=np.ones((1, wide), np.bool_),
        bounds=np.array([0, count]),
        candidate_features=rng.choice(ids[:CATEGORIES], (count, len(spec.candidate))),
        recent_cosine=rng.uniform(-1, 1, (count, wide)).astype(np.float32),
        recent_cosine_present=np.ones((count, wide), np.bool_),
        retrieved_item=rng.choice(ids, (count, wide)),
        retrieved_category=rng.choice(ids[:CATEGORIES], (count, wide)),
        retrieved_cosine=np.sort(rng.uniform(0, 1, (count, wide)).astype(np.float32))[:, ::-1].copy(),
        retrieved_mask=np.ones((count, wide), np.bool_),
    )
    places = np.stack([rng.permutation(5 * LENGTH)[:wide] for _ in range(count)])
    return Subject(batch, np.where(places <= LENGTH, places, -1))


def _bytes(rng: np.random.Generator, ids: np.ndarray, count: int) -> Row:
    read, told = _read(rng, ids, count)
    spec = FeatureSpec.taobao_mm()
    table = told.only(positions_of(read))
    sent = features(read, (spec.candidate_names, spec.user_names), table)
    ours = len(msgspec.json.encode({"behaviours": table.wire(), "features": sent}))
    former = len(msgspec.json.encode({"features": _own_lists(read, sent, table.wire())}))
    return lower_is_better(f"features of {count} candidates", ours, "bytes", {OWN_LISTS: former})


def _read(rng: np.random.Generator, ids: np.ndarray, count: int) -> tuple[RequestFeatures, Told]:
    """What the network reads for one user, found by the engine among random vectors."""
    index = ItemIndex(max_items=2 * ITEMS)
    table = VectorTable("v1", DIMENSION, index, budget_bytes=2 * ITEMS * (DIMENSION + 4))
    table.put(ids, rng.integers(-127, 128, (len(ids), DIMENSION), np.int8))
    spec = FeatureSpec.taobao_mm()
    catalogue = Catalogue(index, spec.candidate_names[2:])
    catalogue.put(ids, rng.choice(ids[:CATEGORIES], len(ids)), rng.choice(ids, (len(ids), 2)))
    rows = np.zeros(HISTORY, BEHAVIOUR)
    rows["item"] = rng.choice(ids, HISTORY)
    rows["time_ms"] = FIRST_TIME_MS + 60_000 * np.arange(HISTORY)
    candidates = rng.choice(ids, count)
    batch = SearchBatch(
        np.array([1]), np.array([0]), np.array([HISTORY]), np.array([0, count]), *table.lookup(candidates)
    )
    result = GsuEngine(table, backend="cpu").search(batch, LENGTH, LENGTH, _Source(rows["item"].copy()))
    history = History(0, rows)
    share = Scored(history, rng.choice(ids, len(spec.user)), candidates, result)
    columns = score_batch([share], catalogue, retrieved=LENGTH, recent=LENGTH)
    read = features_of(share, columns, catalogue, HISTORY_MAX)
    return read, Told.of(history, positions_of(read), catalogue)


@dataclass(frozen=True, slots=True)
class _Source:
    """One user's history (`HistorySource`)."""

    held: np.ndarray

    def items(self, user: int) -> tuple[int, np.ndarray]:
        del user
        return 0, self.held


def _own_lists(read: RequestFeatures, sent: Features, told: Behaviours) -> dict[str, Any]:
    """The same features with lists of their own."""
    plain: dict[str, Any] = msgspec.to_builtins(sent)
    newest = slice(len(told.position) - plain.pop("history_rows"), None)
    columns: dict[str, list[int]] = {name: getattr(told, name) for name in ("item", "category", "time_ms", "action")}
    history = {"start": told.position[newest][0], **{name: column[newest] for name, column in columns.items()}}
    candidates = [
        {
            "values": one.values,
            "position": [told.position[row] for row in one.row],
            "item": [told.item[row] for row in one.row],
            "category": [told.category[row] for row in one.row],
            "cosine": read.cosines[number].astype(np.float64).tolist(),
            "recent_cosine": read.recent_cosines[number].astype(np.float64).tolist(),
            "recent_present": read.recent_present[number].tolist(),
        }
        for number, one in enumerate(sent.candidates)
    ]
    return {**plain, "history": history, "candidates": candidates}
