"""How fast samples of Taobao-MM's layouts are read, and in how much memory: synthetic files of the released shape.

A shard has 10 000 samples of 10 000 users with 1000 behaviours each, ids that do not compress, ZSTD, one row group. The
raw layout has 5000 users and 43 000 samples (8.6 a user, as released). One process a figure: a high-water mark cannot
be set back.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.benchmarks.report import Row
from muse_stream.esu_scorer.data.opening import open_source
from muse_stream.esu_scorer.data.taobao_rows import ITEM, ITEM_FEATURES, LABEL, USER, USER_FEATURES

LENGTH = 1000
SHARD_USERS, RAW_USERS, RAW_SAMPLES = 10_000, 5_000, 43_000


def run(*, shards: int = 4, folder: str = "") -> list[Row]:
    """Rows per layout, in file order and shuffled.

    Args:
        shards: Of the joined layout, 140 MB each.
        folder: Where the files go and stay; empty = a temporary folder.

    """
    context = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as temporary, context.Pool(1, maxtasksperchild=1) as pool:
        root = Path(folder or temporary)
        pool.apply(_write_joined, (root, shards))
        pool.apply(_write_raw, (root,))
        for layout in ("joined", "raw"):
            for seed in (None, 1):
                case = f"{layout}, {'in file order' if seed is None else 'shuffled'}"
                wall, processor, memory = pool.apply(_measure, (root / layout, seed))
                rows += [
                    Row(f"{case}: samples read", wall, "samples/s"),
                    Row(f"{case}: samples read a second of processor time", processor, "samples/s"),
                    Row(f"{case}: memory", memory, "MB"),
                ]
    return rows


def _measure(folder: Path, seed: int | None) -> tuple[float, float, float]:
    """Samples a second, samples a second of processor time, and what the process grew by in MB."""
    before = _peak_mb()
    source = open_source("taobao-mm", folder)
    next(source.blocks("test"))  # builds the index of the raw layout
    started, used = time.perf_counter(), time.process_time()
    samples = sum(len(block) for block in source.blocks("test", seed=seed))
    return samples / (time.perf_counter() - started), samples / (time.process_time() - used), _peak_mb() - before


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write_joined(folder: Path, shards: int) -> None:
    for shard in range(shards):
        users = np.arange(shard * SHARD_USERS, (shard + 1) * SHARD_USERS) + 1
        columns = _label(len(users)) | _users(users) | dict.fromkeys((ITEM, *ITEM_FEATURES), pa.array(users))
        _write(folder / f"joined/test/test-shard-{shard:06d}.parquet", columns)


def _write_raw(folder: Path) -> None:
    users = np.arange(1, RAW_USERS + 1)
    buyer = np.random.default_rng(1).integers(1, RAW_USERS + 1, RAW_SAMPLES)
    _write(folder / "raw/test_user_features.parquet", _users(users))
    _write(folder / "raw/item_features.parquet", dict.fromkeys((ITEM, *ITEM_FEATURES), pa.array(users)))
    _write(folder / "raw/test_samples.parquet", _label(len(buyer)) | {USER: pa.array(buyer), ITEM: pa.array(buyer)})


def _label(count: int) -> dict[str, pa.Array]:
    return {LABEL: pa.array([[0, 1]] * count, pa.list_(pa.int8()))}


def _users(users: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    rng = np.random.default_rng(int(users[0]))
    offsets = pa.array(np.arange(0, len(users) * LENGTH + 1, LENGTH, dtype=np.int32))
    items, categories = (rng.integers(1, high, len(users) * LENGTH) for high in (2**62, 26_397))
    return {
        **dict.fromkeys((USER, *USER_FEATURES), pa.array(users)),
        "150_2_180": pa.ListArray.from_arrays(offsets, pa.array(items)),
        "151_2_180": pa.ListArray.from_arrays(offsets, pa.array(categories)),
    }


def _write(path: Path, columns: dict[str, pa.Array]) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, compression="ZSTD", use_dictionary=False, row_group_size=10_000)
