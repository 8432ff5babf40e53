"""A log that is not kept for ever: snapshot over HTTP, log trimmed, disk lost, restored, caught up, audited."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kafka import TopicPartition

from muse_stream.streams.cli import main
from muse_stream.streams.clients import open_admin
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Installation, Worker, until

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
PARTITIONS = 2
USERS = range(1, 9)


@pytest.fixture
def installation(kafka: "EmbeddedKafka", tmp_path: Path) -> Iterator[Installation]:
    sections: dict[str, Any] = {
        "topics": {"partitions": PARTITIONS},
        "snapshots": {"location": f"file://{tmp_path}/snapshots", "interval_hours": 1_000},
        "state": {"cap": 40, "duplicate_window": 30},
    }
    with Installation(tmp_path, {"brokers": kafka.bootstrap}, **sections) as made:
        yield made


def behave(client: Client, worker: Worker, rounds: range) -> dict[int, int]:
    """Behaviours of every user, half of them sent twice; the positions once the worker has them."""
    ends: dict[int, int] = {}
    for item in rounds:
        for user in USERS:
            event_id = f"{item}" if item % 2 else None
            for _ in range(2 if event_id else 1):
                written = client.behave(user, item, event_id=event_id)
                ends[written.partition] = written.offset + 1
    topic = client.topics.behaviours
    until(lambda: all(worker.position(topic, at) == end for at, end in ends.items()), "all is stored", worker)
    return ends


def command(worker: Worker, *arguments: str) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--config", str(worker.config), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def trim(installation: Installation, needed: dict[int, int]) -> None:
    """Let the log begin where snapshots still need it."""
    topic = installation.topics.behaviours
    with open_admin(installation.settings) as admin:
        admin.delete_records({TopicPartition(topic, number): offset for number, offset in needed.items()})


def needed_from(worker: Worker) -> dict[int, int]:
    return {one["partition"]: one["needed_from"] for one in command(worker, "snapshot", "list")["partitions"]}


def compared(worker: Worker) -> list[tuple[str, int, bool]]:
    report = command(worker, "audit", "--url", worker.url)
    assert report["ok"], report
    return [(one["compared"], one["begin"], one["ok"]) for one in report["partitions"]]


def test_a_lost_disk_costs_nothing_although_the_log_was_trimmed(installation: Installation) -> None:
    worker = installation.worker().start().wait_ready()
    with Client(installation) as client:
        saved = behave(client, worker, range(1, 31))
        made = command(worker, "snapshot", "save", "--url", worker.url)
        assert {one["partition"]: one["position"] for one in made["partitions"]} == saved
        assert worker.metrics()["muse_snapshot_offset", "0"] == saved[0]
        needed = needed_from(worker)
        assert all(0 < needed[number] <= saved[number] for number in range(PARTITIONS))
        trim(installation, needed)
        ends = behave(client, worker, range(25, 51))
        worker.kill()
        shutil.rmtree(worker.state)
        worker.start().wait_ready()
        topic = installation.topics.behaviours
        assert {number: worker.position(topic, number) for number in range(PARTITIONS)} == ends
        assert compared(worker) == [("snapshot", needed[number], True) for number in range(PARTITIONS)]
        assert worker.stop() == 0
