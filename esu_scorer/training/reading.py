"""Batches out of blocks: samples in the source's order, a fixed number at a time, prepared one batch ahead.

Invariant: which samples a batch holds depends on their order and the batch size alone, not on how the source cuts its
blocks, nor on where a run was stopped and resumed. (Samples of one window become neighbours within a block's part of a
batch, so another cut may change the order of summation.)
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_stream.esu_scorer.data import Block
from muse_stream.esu_scorer.errors import BatchError, DataError
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.network import RowBatch
from muse_stream.esu_scorer.retrieval import Retrieval
from muse_stream.esu_scorer.scorer import to_rows
from muse_stream.esu_scorer.training.assembly import assemble, join, median_age_ms
from muse_stream.esu_scorer.vocabulary import Lookup

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """How a model sees samples.

    Attributes:
        spec: Its features.
        lookups: Their vocabularies.
        rule: What retrieves for it.
        k: Behaviours retrieved per sample.
        recent: Newest behaviours per sample.
        length: Windows are cut to so many behaviours.

    """

    spec: FeatureSpec
    lookups: Mapping[str, Lookup]
    rule: Retrieval
    k: int
    recent: int
    length: int


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Samples ready for the network; all columns are in the order of `rows`.

    Attributes:
        rows: What the network reads.
        label: `[T] int64`, 1 = positive.
        user: `[T] int64` user ids.
        history: `[T] int64` lengths of the windows.
        age_ms: `[T] int64` median ages of the retrieved, -1 = not known.
        order: `[T] int64` place of each among the samples as the source gave them.
        seen: CRC-32 of the samples of this epoch up to and with this batch.

    """

    rows: RowBatch
    label: Tensor
    user: Int64
    history: Int64
    age_ms: Int64
    order: Int64
    seen: int

    def __len__(self) -> int:
        return len(self.user)


def in_batches(blocks: Iterable[Block], size: int) -> Iterator[list[Block]]:
    """The samples of `blocks`, `size` at a time (the last time fewer), as parts of one or more blocks each.

    Blocks are not joined: their histories may be long.
    """
    parts: list[Block] = []
    wanted = size
    for block in blocks:
        done = 0
        while done < len(block):
            parts.append(block.take(slice(done, done + wanted)))
            done += len(parts[-1])
            wanted -= len(parts[-1])
            if not wanted:
                yield parts
                parts, wanted = [], size
    if parts:
        yield parts


def skip(blocks: Iterable[Block], count: int, told: Callable[[int], None]) -> tuple[int, Iterator[Block]]:
    """Read `count` samples away: CRC-32 of them, and the blocks that follow.

    Raises `DataError`: the source has fewer.
    """
    left, seen = count, 0
    iterator = iter(blocks)
    while left:
        block = next(iterator, None)
        if block is None:
            msg = f"the source has {count - left} samples, but {count} were learnt before; expected the same source"
            raise DataError(msg)
        seen = checksum(block.take(slice(0, left)), seen)
        told(count - left)
        if len(block) > left:
            return seen, _with(block.take(slice(left, None)), iterator)
        left -= len(block)
    return seen, iterator


def checksum(block: Block, seen: int) -> int:
    """CRC-32 of samples, going on from `seen`; the same however they are cut into blocks."""
    columns = (block.candidate_features, block.user_features, block.start, block.stop, block.time_ms, block.label)
    return zlib.crc32(np.column_stack(columns).astype("<i8").tobytes(), seen)


def batches(
    blocks: Iterable[Block], view: View, size: int, *, part: str, first: int = 0, seen: int = 0
) -> Iterator[Batch]:
    """Retrieve for and assemble one batch after the other; `first` samples of the part came before.

    Raises `DataError`: what was retrieved cannot be read; the text names part and samples.
    """
    for blocks_of_batch in in_batches(blocks, size):
        for block in blocks_of_batch:
            seen = checksum(block, seen)
        try:
            batch = _prepare([block.last(view.length) for block in blocks_of_batch], view, seen)
        except BatchError as error:
            last = first + sum(map(len, blocks_of_batch)) - 1
            msg = f"samples {first}..{last} of the part {part!r}: {error}"
            raise DataError(msg) from error
        first += len(batch)
        yield batch


class Ahead(Generic[T]):
    """Takes the next of an iterator on a thread of its own, one at a time, when told to start."""

    def __init__(self, iterator: Iterator[T]) -> None:
        self._iterator = iterator
        self._pool = ThreadPoolExecutor(1, "prepare-batch")
        self._next: Future[T | None] | None = None

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()

    def start(self) -> None:
        """Begin with the next one."""
        self._next = self._pool.submit(next, self._iterator, None)

    def take(self) -> T | None:
        """Wait for the one begun with, or begin now; None at the end. Raises what the iterator raises."""
        if self._next is None:
            self.start()
        begun, self._next = self._next, None
        assert begun is not None  # noqa: S101
        return begun.result()


def _prepare(blocks: list[Block], view: View, seen: int) -> Batch:
    found = [view.rule.retrieve(block, view.k, view.recent) for block in blocks]
    assembled = join([assemble(block, retrieved) for block, retrieved in zip(blocks, found, strict=True)])
    ages = [median_age_ms(block, retrieved) for block, retrieved in zip(blocks, found, strict=True)]
    order = assembled.order
    return Batch(
        rows=to_rows(assembled.columns, view.spec, view.lookups),
        label=torch.from_numpy(np.concatenate([block.label for block in blocks])[order].astype(np.int64)),
        user=np.concatenate([block.user for block in blocks])[order],
        history=np.concatenate([block.stop - block.start for block in blocks])[order],
        age_ms=np.concatenate(ages)[order],
        order=order,
        seen=seen,
    )


def _with(first: Block, others: Iterator[Block]) -> Iterator[Block]:
    yield first
    yield from others
