"""One run of `bench training`, in a process of its own, so that its memory is its own: see `training.py`.

python -m muse_stream.benchmarks.training_case ours 1000 1000000 1000 2 30
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from muse_stream.benchmarks.training_peer import TorchRetrieval
from muse_stream.benchmarks.training_world import Size, World
from muse_stream.esu_scorer.config import MuseConfig
from muse_stream.esu_scorer.data import Block
from muse_stream.esu_scorer.models.recipe import Recipe
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import Retrieval, Retrieved
from muse_stream.esu_scorer.training import Progress, TrainingConfig, train
from muse_stream.streams.learning.retrieval import EngineMaker

OURS = "ours"
BATCHES = 60
ALONE_SHARE = 4  # retrieval alone gets a quarter of the time that training gets
K = R = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took.

    Attributes:
        samples_per_second: Of training, without its first batch.
        retrieval_ms: Median of retrieval alone, per batch, without the first.
        peak_mib: Most memory resident while vectors were loaded, retrieved and trained.
        world_mib: Resident before that.
        batches: Behind `samples_per_second`.

    """

    samples_per_second: float
    retrieval_ms: float
    peak_mib: float
    world_mib: float
    batches: int


class Given:
    """A rule that is a retrieval without learnt parts."""

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    def follow(self, model: Model) -> None:
        """Nothing is learnt here."""

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """As the retrieval."""
        return self._retrieval.retrieve(block, k, recent)


def measure(who: str, size: Size, threads: int, seconds: float) -> Measured:
    """Retrieve alone, then train, with that many threads for everything."""
    torch.set_num_threads(threads)
    world = World(size, batches=BATCHES, seconds=seconds)
    before = _peak_mib()
    retrieval = make(who, world, threads)
    alone = _alone(retrieval, world, seconds / ALONE_SHARE)
    recipe = Recipe("muse", MuseConfig(), lambda _source, _make, _ids: Given(retrieval), K, R, size.length)
    stamps: list[tuple[float, int]] = []

    def told(progress: Progress) -> None:
        if progress.stage == "training":
            stamps.append((time.perf_counter(), progress.done))

    with tempfile.TemporaryDirectory() as directory:
        config = TrainingConfig(batch=size.batch, threads=threads)
        train(world, recipe, EngineMaker(), config, Path(directory) / "run", told=told)
    (begun, first), (ended, last) = stamps[0], stamps[-1]
    return Measured((last - first) / (ended - begun), alone, _peak_mib(), before, len(stamps) - 1)


def make(who: str, world: World, threads: int) -> Retrieval:
    """Ours, or the peer in one of its forms."""
    if who == OURS:
        return EngineMaker("cpu", threads)(world.vectors())
    return TorchRetrieval(world.vectors(), who)


def _alone(retrieval: Retrieval, world: World, seconds: float) -> float:
    """Median milliseconds of a block."""
    rng = np.random.default_rng(2)
    taken: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(taken) < 3 or time.perf_counter() < deadline:
        block, begun = world.block(rng), time.perf_counter()
        retrieval.retrieve(block, K, R)
        taken.append((time.perf_counter() - begun) * 1e3)
    return float(np.median(taken[1:]))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    """Measure and print one line of JSON."""
    who, length, items, batch, threads, seconds = arguments
    found = measure(who, Size(int(length), int(items), int(batch)), int(threads), float(seconds))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
