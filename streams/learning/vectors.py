"""Item vectors of every kind, made, judged, quantised by the engine's rule, written and published.

Invariant: what is learnt from is cut before `until_ms`; what comes later is only judged by.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.vectors import (
    Bags,
    Baskets,
    Judging,
    Progress,
    Purchases,
    SclConfig,
    baskets,
    copurchase,
    judging,
    random_vectors,
    tfidf_svd,
    train,
)
from muse_stream.gsu_engine.quantise import quantise
from muse_stream.streams.demo.feed import Records, send_all
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.learning.items_file import Items
from muse_stream.streams.wire.encode import encode_item

Kind = Literal["scl", "tfidf", "random", "copurchase"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TRAINING_SHARE = 0.8
Told = Callable[[Progress], None]


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """Items, what was bought together before `until_ms`, and the pairs bought together later to judge by.

    `judge` is None where too few purchases come later.
    """

    items: Items
    until_ms: int
    training: Baskets
    judge: Judging | None


def moment_of(purchases: Purchases, share: float = TRAINING_SHARE) -> int:
    """The moment that has that share of the purchases before it, milliseconds since the epoch."""
    if not len(purchases):
        msg = "there are no purchases to learn from; expected rows with action purchase"
        raise DataError(msg)
    return int(np.sort(purchases.time_ms)[min(int(share * len(purchases)), len(purchases) - 1)])


def task_of(items: Items, purchases: Purchases, until_ms: int, *, gap_ms: int = 0) -> Task:
    """Cut the purchases at a moment.

    Args:
        items: Items.
        purchases: Of them, by row.
        until_ms: End of the training span.
        gap_ms: Longest pause within a basket.

    Raises:
        DataError: Too few purchases before it have a companion.

    """
    before, later = purchases.cut(until_ms)
    training = baskets(before, gap_ms=gap_ms)
    try:
        judge = judging(baskets(later, gap_ms=gap_ms), training)
    except DataError:
        judge = None
    return Task(items, until_ms, training, judge)


def make(task: Task, kind: Kind, config: SclConfig, *, told: Told = lambda _: None) -> NDArray[np.int8]:
    """Vectors `[n, d] int8`; a row of zeros has none.

    Args:
        task: What to learn from.
        kind: Which.
        config: Of scl; the others use its seed and dimension.
        told: Progress of scl.

    Raises:
        DataError: tfidf of items without titles, or as `esu_scorer.vectors.train`.
        TrainingError: As there.

    """
    seed, dimension = config.seed, config.dimension
    if kind == "scl":
        return quantise(train(task.items.inputs(), task.training, config, judge=task.judge, told=told))
    if kind == "random":
        return quantise(random_vectors(len(task.items), dimension=dimension, seed=seed))
    if kind == "copurchase":
        return quantise(copurchase(task.training, len(task.items), dimension=dimension, seed=seed))
    bags = task.items.inputs()
    if not isinstance(bags, Bags):
        msg = f"{task.items.name} has dense features; tfidf is for items with a column title and none named feature"
        raise DataError(msg)
    return quantise(tfidf_svd(bags, dimension=dimension, seed=seed))


def write(path: Path, items: Items, vectors: NDArray[np.int8], *, note: Mapping[str, str]) -> int:
    """Write parquet, `item` int64 and `vector` fixed_size_list<int8>, of the items with a vector; how many.

    Args:
        path: Written whole or not at all.
        items: Items.
        vectors: `[n, d]`.
        note: Kept in the file's metadata.

    """
    there = vectors.any(axis=1)
    flat = pa.array(vectors[there].reshape(-1))
    columns = {"item": items.item[there], "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    table = pa.table(columns).replace_schema_metadata(dict(note))
    part = path.with_name(path.name + ".part")
    pq.write_table(table, part)
    part.replace(path)
    return int(there.sum())


def records(items: Items, vectors: NDArray[np.int8], space: str) -> Records:
    """One record an item with all that is known of it: a record replaces the item whole. Raises `IdError`."""
    return Records.of(
        encode_item(
            key,
            category=items.category[row] if items.category else None,
            features={name: value for name, column in items.features.items() if (value := column[row]) is not None},
            title=items.title[row] if items.title else None,
            vector=vectors[row] if vectors[row].any() else None,
            space=space,
        )
        for row, key in enumerate(items.key)
    )


def publish(producer: RecordProducer, topic: str, items: Items, vectors: NDArray[np.int8], space: str) -> int:
    """Send them and wait for every acknowledgement; how many. Raises `DeliveryError`, `IdError`."""
    sent = records(items, vectors, space)
    send_all(producer, topic, sent)
    return len(sent)
