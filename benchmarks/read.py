"""Time to read a user's last n behaviours from the store into an array, warm.

The peer is the layout that comes to mind first: one key per behaviour, in a RocksDB with the same options, holding the
same rows, read with one range scan; it is compacted first, its best case, ours is read as the appends left it. The
user's behaviours arrive among those of 2 000 others, 40 per batch.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rocksdict import Rdict, ReadOptions, WriteBatch

from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BEHAVIOUR, BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore

LENGTHS = (1_000, 10_000, 100_000)
USER = 1
OTHERS = 2_000
OF_THE_USER, OF_OTHERS = 40, 160  # rows per batch
PEER = "one key per behaviour"


def run(lengths: tuple[int, ...] = LENGTHS, repeats: int = 50) -> list[Row]:
    """One row per length: median milliseconds of a read."""
    with tempfile.TemporaryDirectory() as directory:
        identity = StoreIdentity("benchmark", "behaviours", 0, 1)
        store = BehaviourStore.open(Path(directory) / "ours", identity, Rules(cap=max(lengths)))
        peer = Rdict(str(Path(directory) / "peer"), StoreBudget().options())
        _fill(store, peer, max(lengths))
        peer.compact_range(None, None)
        rows = [_case(store, peer, length, repeats) for length in lengths]
        store.close()
        peer.close()
    return rows


def _fill(store: BehaviourStore, peer: Rdict, behaviours: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(behaviours // OF_THE_USER):
        batch = _batch(rng, number * (OF_THE_USER + OF_OTHERS))
        appended = store.append(batch, position=int(batch.offset[-1]) + 1)
        out = WriteBatch(raw_mode=True)
        for place, user in enumerate(appended.users.tolist()):
            rows = appended.behaviours[appended.bounds[place] : appended.bounds[place + 1]]
            for step in range(len(rows)):
                out.put(_peer_key(user, int(appended.starts[place]) + step), rows[step].tobytes())
        peer.write(out)


def _batch(rng: np.random.Generator, offset: int) -> BehaviourBatch:
    rows = OF_THE_USER + OF_OTHERS
    users = np.concatenate([np.full(OF_THE_USER, USER), rng.integers(USER + 1, OTHERS, OF_OTHERS)])
    return BehaviourBatch(
        user=users,
        item=rng.integers(1, 1_000_000, rows),
        time_ms=np.arange(offset, offset + rows),
        action=rng.integers(0, 6, rows).astype(np.uint8),
        category=rng.integers(1, 1_000, rows),
        event_id=np.zeros(rows, np.uint64),
        broker_time_ms=np.arange(offset, offset + rows),
        offset=np.arange(offset, offset + rows),
        erase=np.zeros(rows, np.bool_),
    )


def _case(store: BehaviourStore, peer: Rdict, length: int, repeats: int) -> Row:
    ours, theirs = store.sequence(USER, length).rows, _read_peer(peer, length)
    if not np.array_equal(ours, theirs):
        message = f"the two layouts differ at length {length}"
        raise AssertionError(message)
    mine = _median_ms(lambda: store.sequence(USER, length), repeats)
    other = _median_ms(lambda: _read_peer(peer, length), max(repeats // 5, 3))
    return lower_is_better(f"read the last {length} behaviours, warm", mine, "ms", {PEER: other})


def _read_peer(peer: Rdict, length: int) -> NDArray[np.void]:
    bounds = ReadOptions()  # stays in this name: the iterator does not keep it alive
    bounds.set_iterate_upper_bound(_peer_key(USER + 1, 0))
    iterator = peer.iter()
    iterator.seek_for_prev(_peer_key(USER, 2**63))
    stop = int.from_bytes(iterator.key()[8:], "big") + 1
    values = list(peer.values(from_key=_peer_key(USER, max(stop - length, 0)), read_opt=bounds))
    return np.frombuffer(b"".join(values), BEHAVIOUR)


def _peer_key(user: int, number: int) -> bytes:
    return user.to_bytes(8, "big") + number.to_bytes(8, "big")


def _median_ms(read: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        read()
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1e3
