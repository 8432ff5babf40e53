"""Taobao-MM, the joined layout: `train/train-shard-*.parquet` and `test/test-shard-*.parquet`, one row a sample.

Every row repeats its user's history. Rows of a record batch with the same user and the same history share it; a user
with several (an export at several moments) has them side by side, and each window lies within its own.

Memory: one record batch of 1000 rows (16 MB at 1000 behaviours a row) without a seed. With a seed, row groups are
read in a random order over all shards, four of them in turn, and shuffled within a window of 10 000 samples: at most
16 KB a sample (less where users share a history), held up to three times (read, shuffled, and the window before).

Validation is every hundredth row group of the training shards (of fewer than a hundred, the last one): whole row
groups, so that a pass over it reads nothing else and the counts come from the footers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data import item_vectors
from muse_stream.esu_scorer.data.block import Block, Histories
from muse_stream.esu_scorer.data.item_vectors import Pieces
from muse_stream.esu_scorer.data.parquet import Footer, Rows, check_files, read
from muse_stream.esu_scorer.data.shuffle import in_blocks, interleaved
from muse_stream.esu_scorer.data.source import PARTS, Part, SourceInfo
from muse_stream.esu_scorer.data.taobao_rows import (
    ITEM,
    ITEM_COLUMNS,
    ITEM_FEATURES,
    SAMPLE_COLUMNS,
    USER,
    USER_COLUMNS,
    USER_FEATURES,
    behaviours_of,
    columns_of,
    histories,
    labels,
    whole_windows,
)
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.features import FeatureSpec

Int64 = npt.NDArray[np.int64]
COLUMNS = SAMPLE_COLUMNS | ITEM_COLUMNS | USER_COLUMNS
_BATCH_ROWS = 1000
_READERS = 4


class TaobaoJoined:
    """The shards of a folder. Reads all footers at construction.

    Raises:
        DataError: There are no shards, or a shard is cut short or has other columns.

    """

    def __init__(
        self,
        path: Path,
        *,
        block: int = 1000,
        window: int = 10_000,
        validation_every: int = 100,
        name: str = "taobao-mm",
    ) -> None:
        """Look at the files.

        Args:
            path: Folder that holds `train/` or `test/` or both, and vectors (see `item_vectors.find`).
            block: Samples of a block.
            window: Samples to shuffle among.
            validation_every: Which row groups of the training shards are held out: the last of every so many.
            name: Of the data set.

        """
        self._path, self._block, self._window = path, block, window
        self._groups = _parts(path, validation_every)
        counts = {part: sum(shard.group_rows[group] for shard, group in self._groups[part]) for part in PARTS}
        self.info = SourceInfo(name, FeatureSpec.taobao_mm(), "", counts)

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        """Samples of a part. Raises `DataError`; see `Source`."""
        yield from in_blocks(self._read(part, seed), size=self._block, seed=seed, window=self._window)

    def vectors(self) -> Iterator[Pieces]:
        """The released vectors. Raises `DataError` where the folder has none; see `Source`."""
        yield from item_vectors.released(self._path)

    def _read(self, part: Part, seed: int | None) -> Iterator[Block]:
        groups = self._groups[part]
        order = range(len(groups)) if seed is None else np.random.default_rng(seed).permutation(len(groups)).tolist()
        picked = (groups[index] for index in order)
        readers = (read(shard.path, list(COLUMNS), rows=_BATCH_ROWS, groups=[group]) for shard, group in picked)
        for rows in interleaved(readers, 1 if seed is None else _READERS):
            yield block_of(rows)


def block_of(rows: Rows) -> Block:
    """A record batch as a block. Raises `DataError`."""
    user = rows.ids(USER, required=True)
    candidate = np.column_stack([rows.ids(ITEM, required=True), columns_of(rows, ITEM_FEATURES)])
    pieces, piece = _distinct_histories(user, rows)
    features = np.column_stack([user, columns_of(rows, USER_FEATURES)])
    return whole_windows(pieces, piece, candidate, features, labels(rows))


def _distinct_histories(user: Int64, rows: Rows) -> tuple[Histories, Int64]:
    """Each (user, history) once, and which one each row has, `[n] int64`."""
    items, categories = histories(rows)
    leader = _leaders(user, items.values, categories.values, items.offsets)
    firsts, piece = np.unique(leader, return_inverse=True)  # the rows whose histories are kept
    behaviours = behaviours_of(items.values, categories.values)
    return Histories(user[firsts], items.offsets[firsts], items.offsets[firsts + 1], behaviours), piece


def _leaders(user: Int64, items: Int64, categories: Int64, offsets: Int64) -> Int64:
    """For each row the first row with its user and its history, `[n] int64`."""
    leader = np.arange(len(user))
    kept: dict[int, list[int]] = {}  # user -> rows with histories of their own
    bounds = offsets.tolist()
    for row, owner in enumerate(user.tolist()):
        mine = slice(bounds[row], bounds[row + 1])
        for other in kept.setdefault(owner, []):
            theirs = slice(bounds[other], bounds[other + 1])
            if np.array_equal(items[mine], items[theirs]) and np.array_equal(categories[mine], categories[theirs]):
                leader[row] = other
                break
        else:
            kept[owner].append(row)
    return leader


def _parts(path: Path, every: int) -> dict[Part, list[tuple[Footer, int]]]:
    """Shard and row group of every row group of each part."""
    # the release's own writer names its last shard `shard-...`, without the part
    files = {part: sorted((path / part).glob("*shard-*.parquet")) for part in ("train", "test")}
    if not any(files.values()):
        msg = f"{path}: no shards found, expected train/train-shard-000000.parquet and so on, or the same below test/"
        raise DataError(msg)
    footers = check_files([*files["train"], *files["test"]], COLUMNS)
    train = [(shard, group) for shard in footers[: len(files["train"])] for group in range(len(shard.group_rows))]
    test = [(shard, group) for shard in footers[len(files["train"]) :] for group in range(len(shard.group_rows))]
    last = min(every, len(train)) - 1
    held = [index % every == last and len(train) > 1 for index in range(len(train))]
    return {
        "train": [pair for pair, out in zip(train, held, strict=True) if not out],
        "validation": [pair for pair, out in zip(train, held, strict=True) if out],
        "test": test,
    }
