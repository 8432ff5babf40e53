"""Where a request's time goes: its stages are all of it, also where it shared its pass with others."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from muse_stream.monitoring.catalogue import REQUEST_STAGES
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Worker, until

pytestmark = pytest.mark.kafka
SHARE = 0.05
POSTS, RECORDS, AT_ONCE = 120, 120, 8
CANDIDATES = [3, 14, 15, 9, 26]
NAME, STAGE = "muse_request_duration_seconds", "muse_request_stage_duration_seconds_sum"
Times = dict[str, float]
Samples = dict[tuple[str, str], float]


def post(worker: Worker, number: int) -> tuple[float, Times]:
    """Milliseconds that a client waited, and what the answer says of them."""
    body = {"user": number % 8 + 1, "request_id": f"stages-{number}", "candidates": CANDIDATES, "want": "both"}
    began = time.perf_counter()
    found = worker.post("/v1/score", json.dumps(body).encode())
    assert found.status == 200
    return (time.perf_counter() - began) * 1e3, found.body["stages_ms"]


def grown(before: Samples, after: Samples, name: str, label: str = "") -> float:
    return after[name, label] - before[name, label]


@pytest.mark.usefixtures("world")
def test_the_stages_add_up_to_the_whole_request(worker: Worker, client: Client) -> None:
    before = worker.metrics()
    names = [client.send(number % 8 + 1, CANDIDATES, want="both") for number in range(RECORDS)]
    with ThreadPoolExecutor(AT_ONCE) as several:
        posted = list(several.map(lambda number: post(worker, number), range(POSTS)))
    recorded = [client.answer(name).stages_ms for name in names]
    until(
        lambda: grown(before, worker.metrics(), f"{NAME}_count") == POSTS + RECORDS, "all of them are counted", worker
    )
    after = worker.metrics()

    whole = grown(before, after, f"{NAME}_sum")
    parts = {stage: grown(before, after, STAGE, stage) for stage in REQUEST_STAGES}
    assert sum(parts.values()) == pytest.approx(whole, rel=SHARE), parts

    told = [stages for _, stages in posted] + recorded
    for stage in ("accept", "decode", "catch_up", "queue", "state_read", "gsu", "features", "esu"):
        assert sum(stages[stage] for stages in told) / 1e3 == pytest.approx(parts[stage], rel=SHARE), stage

    assert grown(before, after, "muse_request_batch_size_count") < POSTS + RECORDS, "passes were shared"
    for waited_ms, stages in posted:
        assert sum(stages.values()) < waited_ms, "a pass that was shared is no longer than who waited for it"
