"""Seconds from restart to ready with a store of 10 million behaviours, and what writing it cost the disk.

Batches of 10 000 behaviours of 200 000 users whose activity follows Zipf's law (1.05) fill a new store. Its files are
copied as they lie, which is what a killed process leaves behind, then it is closed. Both are opened: ready is when the
store knows its position and a user's history has been read. Bytes written are those that the process handed to the
operating system, by Linux's count: write-ahead log, flushes and merges of files together. Without peers.
"""

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from muse_stream.benchmarks import append
from muse_stream.benchmarks.report import Row
from muse_stream.state.keys import ROW_BYTES
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore

BATCH_ROWS = 10_000
IDENTITY = StoreIdentity("benchmark", "behaviours", 0, 1)
BUSIEST = 1
"""The user of the first rank, whose history is read."""


def run(*, behaviours: int = 10_000_000, ttl_seconds: int = 0, directory: str = "") -> list[Row]:
    """Rows of filling, of the files, and of both openings.

    Args:
        behaviours: In the log; a broker time of one second per 10 000.
        ttl_seconds: Time to live; 0 keeps everything.
        directory: Where the stores are made; empty: where the system puts temporary files.

    """
    rules = Rules(ttl_seconds=ttl_seconds or None)
    with tempfile.TemporaryDirectory(dir=directory or None) as root:
        ended, killed = Path(root) / "ended", Path(root) / "killed"
        store = BehaviourStore.open(ended, IDENTITY, rules)
        before = _written_bytes()
        seconds = _fill(store, behaviours)
        rows = [Row(f"append {behaviours} behaviours in batches of {BATCH_ROWS}", behaviours / seconds, "behaviours/s")]
        shutil.copytree(ended, killed)
        copied = sum(entry.stat().st_size for entry in killed.iterdir())
        store.close()
        written = _written_bytes() - before - copied
        rows += [
            Row("written to disk, per byte of rows", written / (behaviours * ROW_BYTES), "bytes"),
            Row("files, per behaviour of the log", copied / behaviours, "bytes"),
        ]
        rows += _ready("after an orderly end", ended, rules) + _ready("after a kill", killed, rules)
    return rows


def _fill(store: BehaviourStore, behaviours: int) -> float:
    """Append them all; the seconds that appending took."""
    rng, spent = np.random.default_rng(0), 0.0
    users = append.zipf_users(rng, behaviours)
    for begin in range(0, behaviours, BATCH_ROWS):
        batch = append.behaviours(rng, users[begin : begin + BATCH_ROWS], begin, event_ids=True)
        batch.broker_time_ms[:] = 1_700_000_000_000 + begin // BATCH_ROWS * 1_000
        began = time.perf_counter()
        store.append(batch, position=begin + len(batch))
        spent += time.perf_counter() - began
    return spent


def _ready(how: str, path: Path, rules: Rules) -> list[Row]:
    began = time.perf_counter()
    store = BehaviourStore.open(path, IDENTITY, rules)
    opened = time.perf_counter()
    length = len(store.sequence(BUSIEST))
    read = time.perf_counter()
    store.close()
    return [
        Row(f"restart to ready {how}", opened - began, "s"),
        Row(f"first read {how}, of {length} behaviours", (read - opened) * 1e3, "ms"),
    ]


def _written_bytes() -> int:
    return int(psutil.Process().io_counters().write_chars)
