"""Ours and the peers in turns over the same questions, and how right each is."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from muse_stream.benchmarks.gsu_threads import everywhere
from muse_stream.benchmarks.gsu_truth import SLACK, kth_scores, recall
from muse_stream.benchmarks.gsu_world import Case, User, World

WARM_UPS = 3  # rounds that do not count: the second makes a user hot, the third is the first of its kind
SLOW_ROUNDS, SLOW = 3, 3.0  # a peer that takes so many times as long as the fastest one is measured in so few rounds
QUESTIONS = 100  # of which recall is counted, or more


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer: what is timed, and whether it is a peer's."""

    search: Callable[[Case], Any]
    is_peer: bool = False


def ways_of(world: World, case: Case, k: int) -> dict[str, Way]:
    """Our engines, then the peers of a case's user; every user has the same."""
    ways: dict[str, Way] = {}
    for engine in world.engines:
        ways[engine] = Way(partial(world.search, engine, k))
    for name in case.user.peers:
        ways[name] = Way(partial(_ask, name, k), is_peer=True)
    return ways


def _ask(peer: str, k: int, case: Case) -> object:
    return case.user.peers[peer](case.candidates, k)


def measure(world: World, rounds: Sequence[Sequence[Case]], k: int) -> dict[str, float]:
    """Median milliseconds of our engines and the peers. Raises `RuntimeError`: an answer of ours stood already."""
    before = world.served()
    medians = take_turns(ways_of(world, rounds[0][0], k), rounds)
    if world.served() > before:
        message = f"{world.served() - before} candidates were not searched for: they had been asked before"
        raise RuntimeError(message)
    return medians


def take_turns(ways: dict[str, Way], rounds: Sequence[Sequence[Case]]) -> dict[str, float]:
    """Median milliseconds of each way; another one begins each round."""
    taken = _take_turns(ways, rounds)
    everywhere()
    return {name: 1e3 * statistics.median(seconds) for name, seconds in taken.items()}


def _take_turns(ways: dict[str, Way], rounds: Sequence[Sequence[Case]]) -> dict[str, list[float]]:
    """Seconds of each way's counted calls."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    first = {name: statistics.median(_turn(way, rounds[0])) for name, way in ways.items()}
    fastest = min((first[name] for name, way in ways.items() if way.is_peer), default=0.0)
    slow = {name for name, way in ways.items() if way.is_peer and first[name] > SLOW * fastest}
    for number in range(1, len(rounds)):
        start = number % len(ways)
        names = [*ways][start:] + [*ways][:start]
        for name in names:
            if name not in slow or WARM_UPS <= number < WARM_UPS + SLOW_ROUNDS:
                seconds = _turn(ways[name], rounds[number])
                taken[name] += seconds if number >= WARM_UPS else []
    return taken


def _turn(way: Way, cases: Sequence[Case]) -> list[float]:
    everywhere()
    taken = []
    for case in cases:
        began = time.perf_counter()
        way.search(case)
        taken.append(time.perf_counter() - began)
    return taken


def recalls(world: World, users: Sequence[User], candidates: int, k: int) -> dict[str, float]:
    """The share of the K best that our engines and the peers find, 0..1, in questions that are asked for this alone.

    Never ask what is timed: answers of ours would stand.

    Raises:
        RuntimeError: Ours does not find all.

    """
    found: dict[str, list[float]] = {}
    for number in range(-(-QUESTIONS // candidates)):
        case = world.case(users[number % len(users)], candidates)
        for name, share in _recalls(world, case, k).items():
            found.setdefault(name, []).append(share)
    for name in world.engines:
        if min(found[name]) < 1:
            message = f"{name} is not exact: recall {min(found[name])}"
            raise RuntimeError(message)
    return {name: sum(shares) / len(shares) for name, shares in found.items()}


def _recalls(world: World, case: Case, k: int) -> dict[str, float]:
    user, candidates = case.user, case.candidates
    kth, found = kth_scores(user.rows, candidates, k), {}
    for name in world.engines:
        best = len(user.rows) - 1 - world.search(name, k, case).positions
        found[name] = recall(user.rows, candidates, kth, best, 0.0)
    for name, peer in user.peers.items():
        found[name] = recall(user.rows, candidates, kth, peer.best(peer(candidates, k)), SLACK)
    return found
