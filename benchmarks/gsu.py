"""Time of one exact top-K search, by history length and candidates, beside other libraries' searches.

Ours is the whole call, from the batch to the result: of hot users over their packed rows; with `--cold` beside it that
of users without, whose rows are gathered out of the shared table in every search. Peers get each user's rows ready (see
`gsu_peers`). Rounds take turns, users rotate within a round, and no question comes twice, so that nobody lives off a
cache and no answer of ours stands (see `incremental`). The best peer of a row is the fastest one that is exact and has
found all of the K best; `times_ms` and `recalls` of a row are everybody's.

`limit_ms` is what the machine needs at least, measured in the same run (see `gsu_limits`), and `of_limit` the part of
our time that it is: where computing is the limit, the part of the CPU's peak that we reach.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muse_stream.benchmarks import gpu, gsu_data, gsu_plot
from muse_stream.benchmarks.gsu_limits import Limits, read
from muse_stream.benchmarks.gsu_peers import HALF, PEERS
from muse_stream.benchmarks.gsu_rounds import WARM_UPS, measure, recalls
from muse_stream.benchmarks.gsu_world import COLD, HOT, User, World
from muse_stream.benchmarks.report import Line, Row, lower_is_better

CUDA = "cuda"
LENGTHS, CANDIDATES = "1000,10000,100000", "1,10,100,500,1000"
HOT_USERS, COLD_USERS = 3, 10  # cold: what all of them touch is more than the last-level cache holds
HOT_ITEMS, COLD_ITEMS = 300_000, 4_000_000
SMALL, SMALL_TIMES = 2_000_000, 5  # products of a row and a candidate: below, so many times as many rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Row):
    """A row with all that was measured of its case.

    Attributes:
        data: Kind of data.
        heat: `hot` or `cold`.
        length: Behaviours of the history.
        candidates: Candidates of the search.
        k: Results per candidate.
        limit_ms: Least time that the machine allows.
        of_limit: The part of our time that this is.
        times_ms: Everybody's median, ours included.
        recalls: Everybody's share of the K best, ties by score right.

    """

    data: str
    heat: str
    length: int
    candidates: int
    k: int
    limit_ms: float
    of_limit: float
    times_ms: dict[str, float]
    recalls: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to measure in every world."""

    lengths: list[int]
    grid: list[tuple[int, int]]  # candidates, K
    peers: tuple[str, ...]
    rounds: int
    quick: bool


def run(
    *,
    lengths: str = "",
    candidates: str = "",
    k: str = "50",
    data: str = "mixture",
    dimension: int = 128,
    items: int = 0,
    backend: str = "auto",
    threads: int = 0,
    peers: str = ",".join(PEERS),
    rounds: int = 9,
    cold: bool = False,
    plot: str = "",
    quick: bool = False,
) -> list[Line]:
    """One row per kind of data, length, number of candidates and K: median milliseconds of a search.

    Args:
        lengths: Behaviours per history, separated by commas; not given: 1000,10000,100000, with cuda 100000.
        candidates: Candidates per search, separated by commas; not given: 1,10,100,500,1000, with cuda also 2000.
        k: Results per candidate, separated by commas.
        data: What is searched, separated by commas: mixture, isotropic, purchases.
        dimension: Width of a vector; purchases have their own.
        items: Items in the table; 0 = 300 000, or 4 000 000 with cold; purchases have their own.
        backend: Ours; with `cuda` this is `bench gpu`, with the options that it shares.
        threads: For ours and the peers; 0 = one per core.
        peers: The libraries to compare with, separated by commas.
        rounds: Per case, each over three users, ten with cold; five times as many for small searches.
        cold: Gather in every search, and compare with hot users as well.
        plot: Write a plot of the first kind of data and K to this PNG file.
        quick: Two rounds.

    """
    if backend == CUDA:
        return _on_gpu(lengths, candidates, k, dimension, items, quick=quick)
    if plot:
        gsu_plot.check()
    lengths, candidates = lengths or LENGTHS, candidates or CANDIDATES
    threads = threads or len(os.sched_getaffinity(0))
    limits = Limits.measure(threads)
    machine = limits.rows()
    rows: list[Line] = [*machine]
    grid = [(count, best) for best in _numbers(k) for count in _numbers(candidates)]
    plan = _Plan(_numbers(lengths), grid, tuple(peers.split(",")) if peers else (), rounds, quick)
    for kind in data.split(","):
        rng = np.random.default_rng(0)
        made = gsu_data.make(kind, rng, items or (COLD_ITEMS if cold else HOT_ITEMS), dimension)
        rows += _cells(World(made, rng, backend, threads, cold=cold), limits, plan)
    if plot:
        gsu_plot.draw([row for row in rows if isinstance(row, Cell)], machine[0], plot)
    return rows


def _on_gpu(lengths: str, candidates: str, k: str, dimension: int, items: int, *, quick: bool) -> list[Line]:
    """`bench gpu`; raises ValueError: it takes one K."""
    if len(_numbers(k)) != 1:
        message = f"k is {k!r}: with cuda give one"
        raise ValueError(message)
    return gpu.run(
        lengths=lengths or gpu.LENGTHS,
        candidates=candidates or gpu.CANDIDATES,
        k=int(k),
        dimension=dimension,
        items=items or gpu.ITEMS,
        quick=quick,
    )


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _cells(world: World, limits: Limits, plan: _Plan) -> Iterator[Row]:
    count = COLD_USERS if COLD in world.engines else HOT_USERS
    for length in plan.lengths:
        bytes_per_second = read(length * (world.data.dimension + 4), count, limits.threads)
        users = [world.user(length, plan.peers) for _ in range(count)]
        for candidates, k in plan.grid:
            limit_ms = limits.limit_ms(length, candidates, world.data.dimension, bytes_per_second)
            yield from _measure(world, users, (candidates, min(k, length)), plan, limit_ms)


def _measure(world: World, users: list[User], asked: tuple[int, int], plan: _Plan, limit_ms: float) -> list[Row]:
    candidates, k = asked
    length = len(users[0].rows)
    times = 1 if plan.quick or length * candidates > SMALL else SMALL_TIMES
    turns = WARM_UPS + (2 if plan.quick else plan.rounds * times)
    rounds = [[world.case(user, candidates) for user in users] for _ in range(turns)]
    found = recalls(world, users, candidates, k)
    times_ms = measure(world, rounds, k)
    heat = "cold" if COLD in world.engines else "hot"
    ours = times_ms[COLD if heat == "cold" else HOT]
    exact = {name for name, peer in users[0].peers.items() if peer.exact and found[name] == 1}
    best = lower_is_better("", ours, "ms", {name: times_ms[name] for name in exact})
    cell = Cell(
        f"{world.data.kind}, {heat}, L={length} C={candidates} K={k}",
        *(ours, "ms", best.best_peer_name, best.best_peer, best.ratio),
        data=world.data.kind,
        heat=heat,
        length=length,
        candidates=candidates,
        k=k,
        limit_ms=limit_ms,
        of_limit=limit_ms / ours,
        times_ms=times_ms,
        recalls=found,
    )
    print(line(cell), file=sys.stderr)  # noqa: T201
    return [cell, *(_against(cell) if heat == "cold" else [])]


def _against(cell: Cell) -> list[Row]:
    """A cold cell beside hot users, and beside 16-bit floats over contiguous rows of FAISS's own."""
    rows = []
    for name in (HOT, HALF):
        if name in cell.times_ms:
            shown = f"{name}, recall {cell.recalls[name]:.4f}" if name == HALF else name
            case = f"{cell.case}, against {name.split(' (')[0]}"
            rows.append(lower_is_better(case, cell.ours, "ms", {shown: cell.times_ms[name]}))
    return rows


def line(cell: Cell) -> str:
    """A cell with everybody's time and recall, fastest first."""
    order = sorted(cell.times_ms, key=cell.times_ms.__getitem__)
    told = [f"{name} {cell.times_ms[name]:.4g} ms ({cell.recalls[name]:.4g})" for name in order]
    return f"{cell.case}, {cell.of_limit:.0%} of the limit {cell.limit_ms:.3g} ms: " + ", ".join(told)
