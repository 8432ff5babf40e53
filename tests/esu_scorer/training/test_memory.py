import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from muse_stream.esu_scorer.data import Behaviours, Block, Histories, Part
from muse_stream.esu_scorer.training import train

from .test_run import silent
from .world import RECIPE, SMALL, SmallSource, make

SHARD_SAMPLES, SHARD_BEHAVIOURS = 50, 200_000
SHARD_BYTES = 25 * SHARD_BEHAVIOURS


@dataclass
class Shards(SmallSource):
    """Each block brings 5 MB of behaviours of its own, most of them in no window."""

    shards: int = 1

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        for shard in range(self.shards if part == "train" else 0):
            small = SmallSource(samples={"train": SHARD_SAMPLES}, salt=shard).whole("train")
            whole = small.histories
            filler = np.ones(SHARD_BEHAVIOURS, np.int64)
            behaviours = Behaviours(
                item=np.concatenate([whole.behaviours.item, filler]),
                category=np.concatenate([whole.behaviours.category, filler]),
                action=np.concatenate([whole.behaviours.action, filler.astype(np.uint8)]),
                time_ms=np.concatenate([whole.behaviours.time_ms, filler]),
            )
            histories = Histories(whole.user, whole.lows, whole.highs, behaviours)
            yield Block(
                histories,
                small.owner,
                small.start,
                small.stop,
                small.candidate_features,
                small.user_features,
                small.time_ms,
                small.label,
            )


def peak_bytes(directory: Path, shards: int) -> int:
    config = msgspec.structs.replace(SMALL, checkpoint_batches=1000, refresh_batches=1000)
    source = Shards(samples={"train": shards * SHARD_SAMPLES}, shards=shards)
    tracemalloc.start()
    train(source, RECIPE, make, config, directory, told=silent)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    few, many = peak_bytes(tmp_path / "few", 4), peak_bytes(tmp_path / "many", 12)
    assert few > SHARD_BYTES
    assert many - few < SHARD_BYTES / 2
