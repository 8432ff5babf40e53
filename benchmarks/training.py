"""Samples trained on per second, with long windows, beside the same training with retrieval in plain Torch.

Both run the same training loop on the same batches, with the same network and as many threads; all that differs
is what retrieves: the engine, or Torch over float32 vectors that lie ready in memory, in two forms (`training_peer`).
Each run is a process of its own, runs take turns, medians are reported. Every sample has a window of its own; users of
100 000 behaviours have ten samples in a batch, whose windows overlap, and the peer gathers them once as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from muse_stream.benchmarks.report import Row, higher_is_better, lower_is_better
from muse_stream.benchmarks.training_case import OURS, K, Measured, R, make
from muse_stream.benchmarks.training_peer import TorchRetrieval
from muse_stream.benchmarks.training_world import Size, World
from muse_stream.streams.cli.progress import progress

PEERS = {"windows": "Torch, windows gathered", "catalogue": "Torch, all items scored"}
AGREEMENT = 1e-5
CHECKED = Size(length=2_000, items=5_000, batch=40)


def run(
    *,
    lengths: str = "1000,100000",
    items: int = 1_000_000,
    batch: int = 1_000,
    threads: int = 0,
    seconds: float = 20.0,
    rounds: int = 3,
    quick: bool = False,
) -> list[Row]:
    """Samples/s, ms of retrieval alone and MiB, by length of the histories.

    Args:
        lengths: Behaviours of a user, separated by commas.
        items: Items, all with a vector of 128.
        batch: Samples of a batch.
        threads: Of everything; 0 = one per core.
        seconds: Of a run, about; never fewer than four batches.
        rounds: Runs of each.
        quick: One short run of each with a tenth of the items.

    """
    if quick:
        items, seconds, rounds = items // 10, seconds / 10, 1
    agree()
    threads, rows = threads or len(os.sched_getaffinity(0)), []
    cases = [Size(int(length), items, batch) for length in lengths.split(",")]
    with progress("runs done") as show:
        total, done = len(cases) * rounds * (1 + len(PEERS)), 0
        for size in cases:
            found: dict[str, list[Measured]] = {}
            for _ in range(rounds):
                for who in (OURS, *PEERS):
                    found.setdefault(who, []).append(_in_a_process(who, size, threads, seconds))
                    show(done := done + 1, total)
            rows += rows_of(size, found)
    return rows


def agree() -> None:
    """Raise `RuntimeError` where the retrievals do not give the same cosines."""
    world = World(CHECKED, batches=1, seconds=0)
    block = world.block(np.random.default_rng(3))
    ours = make(OURS, world, 1).retrieve(block, K, R)
    for form, name in PEERS.items():
        theirs = TorchRetrieval(world.vectors(), form).retrieve(block, K, R)
        for column in ("cosine", "recent_cosine"):
            error = float(np.abs(getattr(ours, column) - getattr(theirs, column)).max())
            if error > AGREEMENT:
                message = f"{name}: {column} differs by {error:.2e}, so the times cannot be compared"
                raise RuntimeError(message)


def rows_of(size: Size, found: dict[str, list[Measured]]) -> list[Row]:
    """Three rows of one case."""
    case = f"history {size.length:,}, batch {size.batch:,}"
    rates, alone, memory = (
        {who: float(np.median([getattr(run, name) for run in runs])) for who, runs in found.items()}
        for name in ("samples_per_second", "retrieval_ms", "peak_mib")
    )
    return [
        higher_is_better(f"{case}: training", rates[OURS], "samples/s", _peers(rates)),
        lower_is_better(f"{case}: retrieval alone", alone[OURS], "ms/batch", _peers(alone)),
        lower_is_better(f"{case}: peak memory", memory[OURS], "MiB", _peers(memory)),
        *(
            higher_is_better(f"{case}: training, against {name}", rates[OURS], "samples/s", {name: rates[who]})
            for who, name in PEERS.items()
        ),
    ]


def _peers(figures: dict[str, float]) -> dict[str, float]:
    return {name: figures[who] for who, name in PEERS.items()}


def _in_a_process(who: str, size: Size, threads: int, seconds: float) -> Measured:
    arguments = [who, size.length, size.items, size.batch, threads, seconds]
    command: Sequence[str] = [sys.executable, "-m", "muse_stream.benchmarks.training_case", *map(str, arguments)]
    waiting = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # as `muse-stream train` has it, for everybody
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=waiting)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))
