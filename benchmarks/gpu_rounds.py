"""All ways in turns over the same questions: end to end and on the device, and how right each is."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muse_stream.benchmarks.gpu_clock import Clock
from muse_stream.benchmarks.gpu_ours import Ours, best, same
from muse_stream.benchmarks.gpu_peer import Peer
from muse_stream.benchmarks.gpu_world import Question
from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.gsu_truth import SLACK, kth_scores, recall
from muse_stream.benchmarks.vectors import I64

WARM_UPS = 3  # rounds that do not count: after the second it is known who is slow
SLOW, SLOW_ROUNDS = 5.0, 3  # a way that takes so many times as long as the fastest one is measured in so few rounds
QUESTIONS = 128  # candidates of a question whose answers are checked, or one per user


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer, for each set of users its own calls; a question goes through `prepare` first, not timed."""

    prepare: Callable[[int, Question], Any]
    ask: Callable[[int, Any], object]
    device_seconds: Callable[[int, Any], float | None] | None


@dataclass(frozen=True, slots=True)
class Times:
    """Medians of one way; on the device None where it cannot be told. `rounds` is how many calls were counted."""

    seconds: float
    device_seconds: float | None
    rounds: int


@dataclass(slots=True)
class _Taken:
    seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)


def way_of_peer(peers: Sequence[Peer], k: int, clock: Clock) -> Way:
    """A peer's: one object per set of users."""

    def ask(number: int, ready: Any) -> object:  # noqa: ANN401
        peer = peers[number]
        return peer.fetch(peer.search(peer.send(ready), k))

    def device_seconds(number: int, ready: Any) -> float:  # noqa: ANN401
        sent = peers[number].send(ready)
        clock.wait()
        first = clock.mark()
        found = peers[number].search(sent, k)
        last = clock.mark()
        del found
        return clock.seconds(first, last)

    has_device_time = peers[0].has_device_time
    return Way(lambda number, one: peers[number].prepare(one.asked), ask, device_seconds if has_device_time else None)


def way_of_ours(ours: Ours, k: int) -> Way:
    """Ours: one engine has all users."""
    return Way(
        lambda _number, question: question,
        lambda _number, question: ours.search(question, k),
        None if ours.metered is None else lambda _number, question: ours.device_seconds(question, k),
    )


def take_turns(
    ways: Mapping[str, Way], rounds: Iterable[tuple[int, Question]], clock: Clock, *, cold: bool
) -> dict[str, Times]:
    """Medians; a round is a set's number and a question to it. Another way begins each round."""
    taken, slow = {name: _Taken() for name in ways}, set[str]()
    for number, asked in enumerate(rounds):
        start = number % len(ways)
        seconds = {}
        for name in [*ways][start:] + [*ways][:start]:
            into = _Taken() if number < WARM_UPS else taken[name]
            if name not in slow or WARM_UPS <= number < WARM_UPS + SLOW_ROUNDS:
                seconds[name] = _turn(ways[name], *asked, clock, into, cold=cold)
        if number == 1:
            slow = {name for name in ways if seconds[name] > SLOW * min(seconds.values())}
    return {name: _medians(one) for name, one in taken.items()}


def _turn(way: Way, number: int, question: Question, clock: Clock, taken: _Taken, *, cold: bool) -> float:
    """One call end to end, and one on the device; the seconds of the first."""
    ready = way.prepare(number, question)
    settle(clock, cold=cold)
    began = time.perf_counter()
    way.ask(number, ready)
    seconds = time.perf_counter() - began
    taken.seconds.append(seconds)
    if way.device_seconds is not None:
        settle(clock, cold=cold)
        on_device = way.device_seconds(number, ready)
        taken.device_seconds += [] if on_device is None else [on_device]
    return seconds


def settle(clock: Clock, *, cold: bool) -> None:
    """Nothing is under way, and where users are cold nothing is left in the device's cache."""
    clock.wait()
    if cold:
        clock.forget()


def _medians(taken: _Taken) -> Times:
    on_device = statistics.median(taken.device_seconds) if taken.device_seconds else None
    return Times(statistics.median(taken.seconds), on_device, len(taken.seconds))


def peer_recall(
    rows: Sequence[Vectors], asked: Sequence[Vectors], picked: Sequence[I64], k: int, slack: float
) -> float:
    """Share of the K best rows found, 0..1, over some candidates of each user."""
    each = max(QUESTIONS // len(rows), 1)
    right = []
    for own, candidates, chosen in zip(rows, asked, picked, strict=True):
        some = Vectors(candidates.int8[:each], candidates.inv_norms[:each], candidates.floats[:each])
        right.append(recall(own, some, kth_scores(own, some, k), chosen[:each], slack))
    return float(np.mean(right))


def check(
    ours: Mapping[str, Ours], peers: Mapping[str, Peer], rows: Sequence[Vectors], question: Question, k: int
) -> dict[str, float]:
    """Everybody's recall on one question. Raises RuntimeError: ours miss something, or differ from each other."""
    found = {name: way.search(question, k) for name, way in ours.items()}
    for name, result in found.items():
        if not same(result, next(iter(found.values()))):
            message = f"{name} and {next(iter(found))} give different answers"
            raise RuntimeError(message)
    picked = {name: best(question, result) for name, result in found.items()}
    told = {name: peer_recall(rows, question.asked, one, k, 0.0) for name, one in picked.items()}
    if any(value < 1 for value in told.values()):
        message = f"ours miss some of the best rows: {told}"
        raise RuntimeError(message)
    for name, peer in peers.items():
        answer = peer.fetch(peer.search(peer.send(peer.prepare(question.asked)), k))
        told[name] = peer_recall(rows, question.asked, answer, k, SLACK)
    return told
