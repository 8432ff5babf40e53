"""Memory of the loaders stays that of a record batch, however long a shard or a row group is.

Arrow's high-water mark cannot be set back, so each measurement has a process of its own.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.esu_scorer.data.making_files import TYPES

LENGTH = 500
BATCH_BYTES = 1000 * LENGTH * 16
ROWS = 6000  # of a shard: 48 MB of histories, six batches
MEASURE = """
import sys
from pathlib import Path
import pyarrow as pa
from muse_stream.esu_scorer.data.opening import open_source
source, samples, alive = open_source("taobao-mm", Path(sys.argv[1])), 0, 0
for block in source.blocks("test"):
    samples += len(block)
    alive = max(alive, pa.total_allocated_bytes())
print(samples, alive, pa.default_memory_pool().max_memory())
"""


def users_table(first: int, count: int) -> pa.Table:
    """Users with histories that do not compress."""
    rng = np.random.default_rng(first)
    offsets = pa.array(np.arange(0, count * LENGTH + 1, LENGTH, dtype=np.int32))
    columns = {
        name: pa.array(np.arange(first, first + count)) for name in ("129_1", *(f"130_{n}" for n in range(1, 6)))
    }
    for name in ("150_2_180", "151_2_180"):
        values = pa.array(rng.integers(1, 2**62, count * LENGTH))
        columns[name] = pa.ListArray.from_arrays(offsets, values)
    return pa.table(columns).cast(pa.schema([(name, TYPES[name]) for name in columns]))


def samples_table(first: int, count: int) -> pa.Table:
    label = pa.array([[0, 1]] * count, pa.list_(pa.int8()))
    ids = pa.array(np.arange(first, first + count))
    return pa.table({"label_0": label, "129_1": ids, "205": ids})


def items_table(first: int, count: int) -> pa.Table:
    return pa.table({name: pa.array(np.arange(first, first + count)) for name in ("205", "206", "213", "214")})


def joined_table(first: int, count: int) -> pa.Table:
    table = users_table(first, count)
    for source in (samples_table(first, count), items_table(first, count)):
        for name in set(source.column_names) - set(table.column_names):
            table = table.append_column(name, source[name])
    return table


def measure(folder: Path) -> tuple[int, int, int]:
    """Samples read, most bytes of Arrow between two blocks, and its high-water mark."""
    ran = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, check=True)
    samples, alive, peak = map(int, ran.stdout.split())
    return samples, alive, peak


def joined_shards(folder: Path, shards: int, rows: int, group: int) -> Path:
    (folder / "test").mkdir(parents=True)
    for shard in range(shards):
        path = folder / f"test/test-shard-{shard:06d}.parquet"
        pq.write_table(joined_table(1 + shard * rows, rows), path, row_group_size=group, use_dictionary=False)
    return folder


@pytest.mark.parametrize("group", [1500, ROWS])
def test_of_a_joined_shard_a_few_batches_are_held(tmp_path: Path, group: int) -> None:
    few, many = (joined_shards(tmp_path / str(count), count, ROWS, group) for count in (1, 3))
    samples, alive, peak = measure(few)
    assert samples == ROWS
    assert peak < 5 * BATCH_BYTES < ROWS * LENGTH * 16
    more, still_alive, still_peak = measure(many)
    assert more == 3 * ROWS
    assert still_alive < alive * 1.2
    assert still_peak < peak * 1.2


def test_of_the_raw_user_file_a_few_batches_are_held(tmp_path: Path) -> None:
    for name, table in (
        ("test_samples", samples_table(1, ROWS)),
        ("test_user_features", users_table(1, ROWS)),
        ("item_features", items_table(1, ROWS)),
    ):
        pq.write_table(table, tmp_path / f"{name}.parquet", use_dictionary=False)
    samples, _, peak = measure(tmp_path)
    assert samples == ROWS
    assert peak < 5 * BATCH_BYTES
