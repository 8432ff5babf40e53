"""What a swap costs those who ask meanwhile: p99 of requests while a model, or a vector space, is replaced; memory.

Rounds take turns: a quiet while, then a swap, forth and back. A request counts to the swap when it was due between the
activation and a second after the new model answers, so loading, warming and the first passes are all in it. The peer is
the quiet time of the same rounds. Requests are answered in this process, without Kafka and without arriving behaviours.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch

from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.benchmarks.resident import MIB, most_resident, resident_mib
from muse_stream.benchmarks.swap_world import Load, Sizes, World, world
from muse_stream.streams.worker.main import SWITCH_SECONDS
from muse_stream.streams.worker.model import TORCH_THREADS
from muse_stream.streams.worker.swapping.keeper import Keeper

AFTER_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.005
SETTLE_SECONDS = 0.5  # the keeper gives the last memory back


@dataclass(slots=True)
class _Turns:
    """Seconds of requests in quiet times and during swaps, and how long swaps took."""

    quiet: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    swaps: list[float] = field(default_factory=list)


def run(
    *,
    items: int = 100_000,
    users: int = 50,
    length: int = 10_000,
    candidates: int = 200,
    rate: float = 20.0,
    threads: int = 1,
    rounds: int = 8,
    quiet_seconds: float = 8.0,
    quick: bool = False,
) -> list[Row]:
    """One row per kind of swap and figure.

    Args:
        items: Items with a vector in both spaces, and in the models' vocabularies.
        users: Who is asked about, all resident.
        length: Behaviours of each.
        candidates: Candidates of a request.
        rate: Requests per second.
        threads: Threads of a search.
        rounds: Swaps of each kind.
        quiet_seconds: Before each of them.
        quick: Two rounds, one second each.

    """
    rounds, quiet_seconds = (2, 1.0) if quick else (rounds, quiet_seconds)
    sizes = Sizes(items, users, length, candidates, rate, threads)
    sys.setswitchinterval(SWITCH_SECONDS)
    torch.set_num_threads(TORCH_THREADS)
    with tempfile.TemporaryDirectory(prefix="muse-swap-") as directory, world(sizes, Path(directory)) as made:
        keeper = made.keeper()
        keeper.start()
        try:
            return [
                *_swaps(made, keeper, "a model", ("other", "first"), (rounds, quiet_seconds)),
                *_swaps(made, keeper, "model and vector space", ("moved", "first"), (rounds, quiet_seconds)),
                *_shadow(made, rounds, quiet_seconds),
            ]
        finally:
            keeper.close()


def _swaps(
    made: World, keeper: Keeper, kind: str, names: tuple[str, str], turns_of: tuple[int, float]
) -> Iterator[Row]:
    rounds, quiet_seconds = turns_of
    turns = _Turns()
    made.warm()
    before = _settled(made)
    with Load(made) as load, most_resident(psutil.Process(), LOOK_SECONDS) as peak:
        for number in range(2 * (rounds // 2)):
            begin = time.perf_counter()
            time.sleep(quiet_seconds)
            turns.quiet += load.between(begin, time.perf_counter())
            _swap(made, keeper, names[number % 2], load, turns)
    after = _settled(made)
    if load.failed:
        message = f"{load.failed} requests failed while {kind} was swapped; expected none: look at the log"
        raise RuntimeError(message)
    case = f"while {kind} is swapped (L={made.sizes.length}, C={made.sizes.candidates}, {made.sizes.rate:g}/s)"
    yield lower_is_better(f"p99 {case}", _p99_ms(turns.during), "ms", {"before, same run": _p99_ms(turns.quiet)})
    yield lower_is_better(f"p50 {case}", _p50_ms(turns.during), "ms", {"before, same run": _p50_ms(turns.quiet)})
    yield Row(f"activation to answers, {kind}", 1e3 * float(np.median(turns.swaps)), "ms")
    yield lower_is_better(f"memory beside histories after swaps of {kind}", after, "MiB", {"before": before})
    yield Row(f"most memory {case}", peak[0], "MiB")


def _swap(made: World, keeper: Keeper, name: str, load: Load, turns: _Turns) -> None:
    begin = time.perf_counter()
    keeper.want(made.targets[name])
    _until(lambda: made.live.running is not None and made.live.running.name == name, f"{name} answers")
    turns.swaps.append(time.perf_counter() - begin)
    time.sleep(AFTER_SECONDS)
    turns.during += load.between(begin, time.perf_counter())


def _shadow(made: World, rounds: int, quiet_seconds: float) -> Iterator[Row]:
    """Requests with every one of them shadowed, and without, in turn."""
    quiet: list[float] = []
    shadowed: list[float] = []
    for _ in range(rounds):
        with Load(made) as load:
            time.sleep(quiet_seconds)
        quiet += load.seconds
        shadow = made.shadow()
        shadow.start()
        with Load(made, shadow) as load:
            time.sleep(quiet_seconds)
        shadow.close()
        shadowed += load.seconds
    case = f"with every request shadowed (C={made.sizes.candidates}, {made.sizes.rate:g}/s)"
    yield lower_is_better(f"p99 {case}", _p99_ms(shadowed), "ms", {"without": _p99_ms(quiet)})
    yield lower_is_better(f"p50 {case}", _p50_ms(shadowed), "ms", {"without": _p50_ms(quiet)})
    name = "muse_shadow_requests_total"
    read = made.metrics.registry.get_sample_value
    compared, dropped = (read(name, {"outcome": outcome}) or 0.0 for outcome in ("compared", "dropped"))
    yield Row("requests that the shadow dropped", 100 * dropped / max(compared + dropped, 1), "%")


def _p99_ms(seconds: list[float]) -> float:
    return 1e3 * float(np.percentile(seconds, 99))


def _p50_ms(seconds: list[float]) -> float:
    return 1e3 * float(np.median(seconds))


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not condition():
        if time.perf_counter() > deadline:
            message = f"waited {PATIENCE_SECONDS:.0f} s in vain: {what}; look at the log"
            raise RuntimeError(message)
        time.sleep(LOOK_SECONDS)


def _settled(made: World) -> float:
    """MiB once one engine is left, without what that one holds: it packs histories and keeps answers for requests."""
    _until(lambda: len(made.engines.stats()) == 1, "one engine is left")
    time.sleep(SETTLE_SECONDS)
    (stats,) = made.engines.stats()
    packed = stats.packed.bytes if stats.packed else 0
    return resident_mib(psutil.Process()) - (stats.pool.bytes + packed) / MIB
