"""Requests through a real Kafka to a real worker: how long they take, stage by stage, while behaviours arrive.

An open loop: requests arrive by a Poisson process and latency counts from the moment at which one was meant to be sent.
Kafka, worker, this load generator and the sender of behaviours share the machine, so every figure includes all of them.
There is no peer for the whole path. What the worker says of itself comes from the answers (`stages_ms`) and from its
metrics page. The stages of one request add up to its time; what is left over is a row of its own: Kafka both ways, the
clients, waiting for the worker's event loop. Requests that shared a pass each show the whole pass.
"""

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil

from muse_stream.benchmarks import serve_page as page
from muse_stream.benchmarks.report import Row
from muse_stream.benchmarks.serve_load import LIMIT_MS, Case, Fired, Shot, State, fire, schedule, users_of
from muse_stream.benchmarks.serve_rows import Watched, highest_rates, latency_rows, p99_ms, worker_rows
from muse_stream.benchmarks.serve_stage import FIRST, MOVED, OTHER, Sizes, Stage, set_up
from muse_stream.benchmarks.serve_swap import AFTER_SECONDS, PATIENCE_SECONDS, Operator, Turns, take_turns
from muse_stream.benchmarks.serve_swap_rows import swap_rows
from muse_stream.streams.demo.requester import Requester

QUICK_SECONDS = 2.0
QUICK_ITEMS = 30_000
CANDIDATE_LISTS = 64
SPACE_SWAPS = 2  # forth and back
ANSWERED_SECONDS = LIMIT_MS / 1e3 + 5  # the worker refuses what is older than the limit
LOOK_SECONDS = 0.2


def run(
    *,
    seconds: float = 30.0,
    rates: str = "10,20,50",
    lengths: str = "10000,100000",
    states: str = "resident,cold,prefetch",
    candidates: int = 200,
    items: int = 120_000,
    behaviours_per_second: float = 10_000.0,
    driver: str = "kafka-python",
    swaps: int = 0,
    quick: bool = False,
) -> list[Row]:
    """Rows per history length, users' state and request rate, after freshness without requests.

    Args:
        seconds: Measured per case.
        rates: Requests per second, separated by commas.
        lengths: Behaviours per history, separated by commas.
        states: Users asked for: `resident`; `cold`, whose history is in the store alone; `prefetch`, cold with a
            prefetch request 50 ms ahead.
        candidates: Candidates per request.
        items: Items with vectors.
        behaviours_per_second: Arriving beside the requests.
        driver: Client with which the worker reads behaviours.
        swaps: Models activated, one after the other, under each load once more: so many of one vector space, forth and
            back, then one of another space and back. Quiet times between them are as long as a case, together.
        quick: 2 s per case, 20 requests/s alone, 30 000 items.

    """
    if quick:
        seconds, rates, items = min(seconds, QUICK_SECONDS), "20", min(items, QUICK_ITEMS)
    sizes = Sizes(items, tuple(map(int, lengths.split(","))), behaviours_per_second, driver, swaps=swaps > 0)
    chosen = [State(state) for state in states.split(",")]
    cases = [
        Case(length, state, rate)
        for length, state, rate in itertools.product(sizes.lengths, chosen, map(float, rates.split(",")))
    ]
    with set_up(sizes, _say) as stage, stage.behaviours(), Requester(stage.client) as requester:
        measuring = _Measuring(stage, requester, seconds, candidates)
        rows = measuring.alone()
        rows += [row for case in cases for row in measuring.case(case)]
        if swaps:
            with Operator(stage.client, (FIRST, OTHER, MOVED)) as operator:
                rows += [row for case in cases for row in measuring.swaps(case, operator, swaps)]
        return rows + highest_rates(measuring.p99s_ms)


class _Measuring:
    """Runs the cases one after another on one stage; keeps the p99 of each."""

    def __init__(self, stage: Stage, requester: Requester, seconds: float, candidates: int) -> None:
        self._stage, self._requester, self._seconds = stage, requester, seconds
        self._rng = np.random.default_rng(3)
        self._candidates = candidates
        self.p99s_ms: dict[Case, float] = {}
        self._lists = [stage.world.candidates(self._rng, candidates) for _ in range(CANDIDATE_LISTS)]
        self._rings = {length: itertools.cycle(stage.sizes.ring(length)) for length in stage.sizes.lengths}

    def alone(self) -> list[Row]:
        """Behaviours arrive and nobody asks."""
        _say("no requests")
        self._wait_arriving()
        return worker_rows("no requests", self._watch(lambda: time.sleep(self._seconds)))

    def case(self, case: Case) -> list[Row]:
        """One load. Raises `RuntimeError`: an answer was computed from less than the whole history."""
        name = self._name(case)
        _say(name)
        users = self._users(case)
        shots = schedule(case, self._rng, users, self._seconds)
        fired: list[Fired] = []
        watched = self._watch(lambda: fired.extend(self._fire(shots)))
        counted = [one for one in fired if one.shot.counted]
        _check_whole(counted, case.length)
        if counted:
            self.p99s_ms[case] = p99_ms(counted)
        return latency_rows(name, counted) + worker_rows(
            name, watched, requests=sum(not shot.prefetch for shot in shots)
        )

    def swaps(self, case: Case, operator: Operator, count: int) -> Iterator[Row]:
        """The same load while models are activated. Raises `RuntimeError`: a request failed, a model was refused."""
        kinds = {"swaps": (OTHER, count), "swaps of space": (MOVED, SPACE_SWAPS)}
        for kind, (other, swaps) in kinds.items():
            name = f"{self._name(case)}, {kind}"
            _say(name)
            names = [other if number % 2 == 0 else FIRST for number in range(swaps + swaps % 2)]
            fired, turns = self._swapped(case, operator, names)
            asked = [one for one in fired if not one.shot.prefetch]
            _check_whole(asked, case.length)
            yield from swap_rows(name, asked, turns)

    def _swapped(self, case: Case, operator: Operator, names: list[str]) -> tuple[list[Fired], Turns]:
        """Send requests for as long as swaps take."""
        longest = self._seconds + len(names) * (PATIENCE_SECONDS + AFTER_SECONDS)
        shots, ended = schedule(case, self._rng, self._users(case), longest), threading.Event()
        wanted = itertools.takewhile(lambda _: not ended.is_set(), shots)
        with ThreadPoolExecutor(1) as sender:
            firing = sender.submit(self._fire, wanted)
            try:
                turns = take_turns(operator, names, self._seconds / len(names), self._stage.worker.pid)
            finally:
                ended.set()
            return firing.result(), turns

    def _name(self, case: Case) -> str:
        return f"history {case.length}, C={self._candidates}, {case.state}, {case.rate:g}/s"

    def _users(self, case: Case) -> Iterator[int]:
        resident = self._stage.sizes.resident(case.length)
        if case.state is State.RESIDENT:
            for user in resident:
                self._requester.ask(user, self._lists[0])
        return users_of(case, self._rng, self._rings[case.length], resident)

    def _fire(self, shots: Iterable[Shot]) -> list[Fired]:
        fired = fire(self._requester, shots, self._lists)
        self._requester.wait([one.asked for one in fired], ANSWERED_SECONDS)
        return fired

    def _watch(self, work: Callable[[], object]) -> Watched:
        self._stage.worker.check_running()
        url = self._stage.worker.url
        before = page.read(url)
        psutil.cpu_percent(None)
        work()
        machine = psutil.cpu_percent(None)
        return Watched(page.Between(before, page.read(url)), machine)

    def _wait_arriving(self) -> None:
        first = page.read(self._stage.worker.url)
        while True:
            time.sleep(LOOK_SECONDS)
            rows = page.Between(first, page.read(self._stage.worker.url)).grown(page.ROWS, "behaviours")
            if rows >= self._stage.sizes.behaviours_per_second:
                return


def _check_whole(fired: list[Fired], length: int) -> None:
    lengths = [one.asked.answer.history_length or 0 for one in fired if one.asked.answer and one.asked.scored]
    if lengths and min(lengths) < length:
        message = f"an answer was computed from {min(lengths)} behaviours, the user has {length}"
        raise RuntimeError(message)


def _say(line: str) -> None:
    sys.stderr.write(f"serve: {line}\n")
