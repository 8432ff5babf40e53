"""Taobao-MM, the raw layout: samples, users and items in files of their own, below `raw/`.

The join cannot be held (8.79 M users of 1000 behaviours: 140 GB) and cannot look users up one by one: samples come in
another order than users, and a row costs the decoding of its page. So the samples go to the users:

1. once, with sequential passes over the narrow columns only, the samples are sorted on disk by the row of their user
   (`taobao_index`: 40 bytes a sample, 24 a user, 40 an item: 3 GB for 76 M samples);
2. each pass reads the user file from its first row to its last, 1000 rows at a time (16 MB), each row once, and takes
   the slice of samples that belong to these rows. Item features are looked up in a memory-mapped sorted table.

The order of samples is that of the user file, a user's samples side by side; a seed shuffles the row groups of the
user file and then within a window. A sample whose user or item has no row gets an empty history and zeros, as the
release's own (left) join has it.

Memory: 16 MB of user rows, and with a seed 16 KB a user of the window up to three times; the index is memory-mapped.

Validation is every hundredth run of 1000 user rows of the training users (of fewer than a hundred runs, the last).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data import item_vectors
from muse_stream.esu_scorer.data.block import Block, Histories
from muse_stream.esu_scorer.data.item_vectors import Pieces
from muse_stream.esu_scorer.data.parquet import Footer, Rows, check_files, read
from muse_stream.esu_scorer.data.shuffle import in_blocks, interleaved
from muse_stream.esu_scorer.data.source import Part, SourceInfo
from muse_stream.esu_scorer.data.taobao_index import Index, RawFiles, Told
from muse_stream.esu_scorer.data.taobao_rows import (
    ITEM_COLUMNS,
    SAMPLE_COLUMNS,
    USER_COLUMNS,
    USER_FEATURES,
    behaviours_of,
    columns_of,
    histories,
    whole_windows,
)
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.features import FeatureSpec

Int64 = npt.NDArray[np.int64]
RUN_ROWS = 1000
_READERS = 4


class TaobaoRaw:
    """The raw files of a folder. Reads all footers at construction; the first pass over a part builds its index.

    `info` knows how many samples training and validation have only once their index is there.

    Raises:
        DataError: A file is missing or cut short, or has other columns.

    """

    def __init__(
        self,
        path: Path,
        *,
        work: Path | None = None,
        block: int = 1000,
        window: int = 20_000,
        validation_every: int = 100,
        told: Told | None = None,
    ) -> None:
        """Look at the files.

        Args:
            path: Folder of the files, or the folder above `raw/`.
            work: Where the index goes, for the next time too; None = `.muse-index` beside the files.
            block: Samples of a block.
            window: Samples to shuffle among.
            validation_every: Which runs of the training users are held out: the last of every so many.
            told: Called with (step, rows done, rows in all) while an index is built.

        """
        folder = path / "raw" if (path / "raw").is_dir() else path
        self._path, self._work = path, work or folder / ".muse-index"
        self._block, self._window, self._every, self._told = block, window, validation_every, told
        self._items = check_files([folder / "item_features.parquet"], ITEM_COLUMNS)[0]
        self._files = {name: files for name in ("train", "test") if (files := self._look(folder, name)) is not None}
        if not self._files:
            msg = f"{folder}: no samples found, expected train_samples.parquet or test_samples.parquet"
            raise DataError(msg)
        counts: dict[Part, int] = {"test": self._files["test"].samples.rows} if "test" in self._files else {}
        self.info = SourceInfo("taobao-mm", FeatureSpec.taobao_mm(), "", counts)

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        """Samples of a part. Raises `DataError`; see `Source`."""
        files = self._files.get("test" if part == "test" else "train")
        if files is not None:
            yield from in_blocks(self._read(files, part, seed), size=self._block, seed=seed, window=self._window)

    def vectors(self) -> Iterator[Pieces]:
        """The released vectors. Raises `DataError` where the folder has none; see `Source`."""
        yield from item_vectors.released(self._path)

    def _look(self, folder: Path, name: str) -> RawFiles | None:
        samples, users = folder / f"{name}_samples.parquet", folder / f"{name}_user_features.parquet"
        if not samples.exists():
            return None
        return RawFiles(name, check_files([samples], SAMPLE_COLUMNS)[0], check_files([users], USER_COLUMNS)[0])

    def _read(self, files: RawFiles, part: Part, seed: int | None) -> Iterator[Block]:
        index = Index.of(files, self._items, self._work, self._told)
        if part != "test":
            self._count(index, files.users.rows)
        groups = [group for group in range(len(files.users.group_rows)) if self._any_wanted(files.users, group, part)]
        if seed is not None:
            groups = np.random.default_rng(seed).permutation(groups).tolist()
        readers = (read(files.users.path, list(USER_COLUMNS), rows=RUN_ROWS, groups=[group]) for group in groups)
        for rows in interleaved(readers, 1 if seed is None else _READERS):
            samples = index.samples_of(rows.first, rows.first + len(rows))
            wanted = self._wanted(samples[:, 0], files.users.rows, part)
            if wanted.any():
                yield _block(rows, samples[wanted], index)
        lonely = index.samples_of(files.users.rows, files.users.rows + 1)
        for start in range(0, len(lonely) if part != "validation" else 0, self._block):
            yield _block_without_users(lonely[start : start + self._block], index)

    def _wanted(self, user_rows: Int64, users: int, part: Part) -> npt.NDArray[np.bool_]:
        """Which of these user rows are the part's, `[n] bool`."""
        if part == "test":
            return np.ones(len(user_rows), np.bool_)
        runs = -(-users // RUN_ROWS)
        held: npt.NDArray[np.bool_] = (user_rows // RUN_ROWS) % self._every == min(self._every, runs) - 1
        held &= runs > 1
        return held if part == "validation" else ~held

    def _count(self, index: Index, users: int) -> None:
        """Note how many samples training and validation have, now that the index can tell."""
        runs = -(-users // RUN_ROWS)
        held = np.arange(min(self._every, runs) - 1, runs, self._every) if runs > 1 else np.empty(0, np.int64)
        low, high = (np.searchsorted(index.samples.keys, np.minimum(run * RUN_ROWS, users)) for run in (held, held + 1))
        validation = int((high - low).sum())
        counts = {**self.info.samples, "train": len(index.samples) - validation, "validation": validation}
        self.info = replace(self.info, samples=counts)

    def _any_wanted(self, users: Footer, group: int, part: Part) -> bool:
        first = sum(users.group_rows[:group])
        return bool(self._wanted(np.arange(first, first + users.group_rows[group]), users.rows, part).any())


def _block(rows: Rows, samples: Int64, index: Index) -> Block:
    """The samples of some user rows; `samples` as `Index.samples_of` has them."""
    items, categories = histories(rows)
    used, piece = np.unique(samples[:, 0] - rows.first, return_inverse=True)
    user = samples[:, 1]
    firsts = np.unique(piece, return_index=True)[1]
    pieces = Histories(
        user[firsts], items.offsets[used], items.offsets[used + 1], behaviours_of(items.values, categories.values)
    )
    features = np.column_stack([user, columns_of(rows, USER_FEATURES)[used][piece]])
    return whole_windows(pieces, piece, _candidates(samples, index), features, samples[:, 3] == 1)


def _block_without_users(samples: Int64, index: Index) -> Block:
    """Samples whose users have no row."""
    users, piece = np.unique(samples[:, 1], return_inverse=True)
    nothing = np.zeros(len(users), np.int64)
    pieces = Histories(users, nothing, nothing, behaviours_of(nothing[:0], nothing[:0]))
    features = np.zeros((len(samples), 1 + len(USER_FEATURES)), np.int64)
    features[:, 0] = samples[:, 1]
    return whole_windows(pieces, piece, _candidates(samples, index), features, samples[:, 3] == 1)


def _candidates(samples: Int64, index: Index) -> Int64:
    return np.column_stack([samples[:, 2], index.items.values(samples[:, 2])])
