"""The worker's log as an operator's tools read it; every request counts as slow here."""

import json
import re
import urllib.parse
from typing import Any

import pytest

from tests.streams.worker.client import Client
from tests.streams.worker.installation import Worker, until

pytestmark = pytest.mark.kafka

USER, ITEM = "klara.kolumna@example.org", "a-very-special-item"


def lines(worker: Worker) -> list[dict[str, Any]]:
    return [json.loads(line) for line in worker.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]


@pytest.mark.usefixtures("world")
def test_a_slow_request_has_a_line_with_its_stages(worker: Worker, client: Client) -> None:
    client.ask(3, [3])
    until(lambda: any(line["message"] == "slow request" for line in lines(worker)), "a line", worker)
    line = next(line for line in lines(worker) if line["message"] == "slow request")
    assert re.fullmatch("[0-9a-f]{12}", line["user"])
    assert {"request", "ms", "candidates", "decode_ms", "queue_ms", "produce_ms"} <= line.keys()
    parts = sum(value for name, value in line.items() if name.endswith("_ms"))
    assert parts == pytest.approx(line["ms"], rel=0.05, abs=0.1)


@pytest.mark.usefixtures("world")
def test_nothing_that_is_asked_or_written_is_in_the_log(worker: Worker, client: Client) -> None:
    client.put(client.topics.behaviours, USER.encode(), b'{"user": "' + USER.encode() + b'", "item": [1]}')
    client.behave(USER, ITEM)
    client.ask(USER, [ITEM], want="both")
    client.ask(USER, [ITEM, ""])
    client.put(client.topics.requests, USER.encode(), b'{"request_id": "bad", "user": 1}')
    client.answer("bad")
    worker.post("/v1/score", json.dumps({"user": USER, "request_id": "h", "candidates": [ITEM], "k": 0}).encode())
    assert worker.get(f"/v1/users/{urllib.parse.quote(USER)}/sequence").status == 200
    assert worker.get(f"/v1/users/{urllib.parse.quote(USER)}/sequence?limit=0").status == 400
    text = worker.log.read_text(encoding="utf-8")
    assert USER not in text
    assert ITEM not in text


def test_lines_are_counted(worker: Worker) -> None:
    found = worker.metrics()
    assert found["muse_log_lines_total", "warning"] > 0
    assert found["muse_log_lines_total", "critical"] == 0
    assert ("muse_log_lines_held_back_total", "") in found
