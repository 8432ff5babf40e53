"""Tiny requests, all at once: how many a worker answers in a second, end to end, and where the time goes.

One candidate, a history of 20 behaviours: next to nothing to compute, so that what is left is the way of a request
through Kafka, Faust, the desk, a pass and back. Kafka and the load generator share the machine. Nothing arrives beside.
"""

import sys

import numpy as np

from muse_stream.benchmarks import serve_page as page
from muse_stream.benchmarks.report import Row
from muse_stream.benchmarks.serve_stage import Sizes, Stage, set_up
from muse_stream.streams.demo.requester import Asked, Requester

LENGTH, ITEMS = 20, 2_000
WARM_REQUESTS = 200
MIDDLE = (0.1, 0.9)  # of the answers: the first wait for the first pass, the last for stragglers
ANSWERED_SECONDS = 120.0
DEADLINE_MS = 60_000
PASSES, PASS_SECONDS = "muse_request_pass_duration_seconds_count", "muse_request_pass_duration_seconds_sum"


def run(*, requests: int = 900, bursts: int = 5, candidates: int = 1, quick: bool = False) -> list[Row]:
    """Requests per second, and what one costs.

    Args:
        requests: Sent at once; more than `serving.queue_max` would be shed.
        bursts: One after the other; figures are of all of them.
        candidates: Per request.
        quick: Two bursts.

    """
    sizes = Sizes(ITEMS, (LENGTH,), 0.0, "kafka-python")
    with set_up(sizes, _say) as stage, Requester(stage.client) as requester:
        rng = np.random.default_rng(1)
        lists = [stage.world.candidates(rng, candidates) for _ in range(64)]
        _burst(stage, requester, lists, WARM_REQUESTS)
        before = page.read(stage.worker.url)
        found = [_burst(stage, requester, lists, requests) for _ in range(2 if quick else bursts)]
        return _rows(f"C={candidates}", found, page.Between(before, page.read(stage.worker.url)))


def _burst(stage: Stage, requester: Requester, lists: list[list[int]], count: int) -> list[Asked]:
    users = stage.sizes.ring(LENGTH)
    asked = [
        requester.send(users[number % len(users)], lists[number % len(lists)], deadline_ms=DEADLINE_MS)
        for number in range(count)
    ]
    requester.wait(asked, ANSWERED_SECONDS)
    return asked


def _rows(name: str, bursts: list[list[Asked]], between: page.Between) -> list[Row]:
    scored = [one for burst in bursts for one in burst if one.scored]
    sent = sum(map(len, bursts))
    pass_ms = between.grown(PASS_SECONDS) * 1e3
    return [
        Row(f"{name}: answered", float(np.median([_per_second(burst) for burst in bursts])), "requests/s"),
        Row(f"{name}: without a result", 100 * (sent - len(scored)) / sent, "% of requests"),
        Row(f"{name}: CPU of the worker", between.grown(page.CPU) * 1e3 / sent, "ms per request"),
        Row(f"{name}: passes", pass_ms / sent, "ms per request"),
        Row(f"{name}: pass", sent / max(1.0, between.grown(PASSES)), "requests"),
    ]


def _per_second(burst: list[Asked]) -> float:
    """Between the first tenth of the answers and the last."""
    read = np.sort([one.read_seconds for one in burst if one.scored])
    first, last = (int(share * (len(read) - 1)) for share in MIDDLE)
    return (last - first) / max(1e-9, float(read[last] - read[first]))


def _say(line: str) -> None:
    sys.stderr.write(f"burst: {line}\n")
