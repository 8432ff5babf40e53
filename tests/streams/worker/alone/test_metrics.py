"""What a real worker exports after a load: few series, closed labels, no user, item or request in a label."""

import re
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from muse_stream.monitoring.catalogue import CATALOGUE
from tests.streams.worker.alone.world import World
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Worker, until

pytestmark = pytest.mark.kafka

PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"
SERIES_MAX, VALUES_MAX = 2_000, 64
PARTITIONS = 16
"""Of the worker that the bound on series is meant for; the one tested has fewer."""
USERS: list[int | str] = [7_700_001, 7_700_002, 7_700_003, "walter-77", "walter-78"]
ITEMS = range(8_800_001, 8_800_006)


def load(client: Client) -> set[str]:
    """Behaviours and requests of every kind; all ids that occur in them."""
    topics, asked = client.topics, []
    for number, user in enumerate(USERS * 4):
        client.put(topics.behaviours, str(user).encode(), b'{"item": "walter-88')
        client.behave(user, ITEMS[number % len(ITEMS)], event_id=f"event-{number}-77")
        asked += [
            client.send(user, list(ITEMS), want="both", explain=True),
            client.send(user, [*ITEMS, "walter-99"], k=3, want="retrieved", deadline_ms=1),
            client.send(user, [], prefetch=True),
            client.send(user, [ITEMS[0]], not_before=None, space="nowhere-77"),
        ]
    client.put(topics.requests, b"walter-77", b'{"request_id": "walter-bad"')
    for name in asked:
        client.answer(name)
    events = {f"event-{number}-77" for number in range(len(USERS) * 4)}
    texts = {"walter-88", "walter-99", "walter-bad", "nowhere-77"}
    return {*map(str, USERS), *map(str, ITEMS), *asked, *events, *texts}


def scraped(worker: Worker) -> list[Metric]:
    with urllib.request.urlopen(worker.url + "/metrics", timeout=30) as page:  # noqa: S310
        return list(text_string_to_metric_families(page.read().decode()))


def samples(families: list[Metric]) -> list[Sample]:
    return [sample for family in families for sample in family.samples]


@pytest.fixture(scope="module")
def ids(world: World, client: Client, worker: Worker) -> set[str]:
    del world
    found = load(client)
    until(lambda: worker.metrics()["muse_ingest_records_rejected_total", "bad_json"] > 0, "rejects", worker)
    return found


@pytest.fixture(scope="module")
def families(ids: set[str], worker: Worker) -> list[Metric]:
    del ids
    return scraped(worker)


def test_a_worker_has_few_series_also_with_sixteen_partitions(families: list[Metric], worker: Worker) -> None:
    found = samples(families)
    of_partitions = [sample for sample in found if "partition" in sample.labels]
    owned = len(worker.owned())
    assert owned > 1
    assert {int(sample.labels["partition"]) for sample in of_partitions} == worker.owned()
    assert len(found) + len(of_partitions) / owned * (PARTITIONS - owned) < SERIES_MAX


def test_no_label_has_many_values(families: list[Metric]) -> None:
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in samples(families):
        for label, value in sample.labels.items():
            values[sample.name, label].add(value)
    crowded = {key: len(found) for key, found in values.items() if len(found) > VALUES_MAX}
    assert crowded == {}


def test_no_label_names_a_user_an_item_or_a_request(families: list[Metric], ids: set[str]) -> None:
    values = {value for sample in samples(families) for value in sample.labels.values()}
    assert {word for value in values for word in [value, *re.split(r"[^\w-]+", value)] if word in ids} == set()


def test_everything_exported_is_defined_and_documented(families: list[Metric]) -> None:
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families
        if not family.name.startswith(("process_", "python_"))
    }
    optional = {definition.name for definition in CATALOGUE if definition.name.startswith("muse_snapshot_")}
    assert names | optional == {definition.name for definition in CATALOGUE}
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in sorted(names) if f"| `{name}` |" not in page] == []


def test_a_request_moved_what_it_should(families: list[Metric]) -> None:
    value = {sample.name: sample.value for sample in samples(families) if not sample.labels}
    assert value["muse_retrieval_candidates_total"] > 0
    assert 0 < value["muse_retrieval_candidates_without_vector_total"] <= value["muse_retrieval_candidates_total"]
    assert 0 < value["muse_request_saturation_ratio"] <= 1
    assert value["muse_ingest_rebalance_duration_seconds_count"] >= 1
    assert value["muse_ingest_commit_duration_seconds_count"] >= 1
    assert value["muse_ingest_replay_progress_ratio"] == 1
    assert value["muse_ingest_broker_ok"] == 1
    assert 0 < value["muse_store_disk_free_bytes"] < value["muse_store_disk_size_bytes"]
    assert value["muse_store_write_seconds_total"] > 0
