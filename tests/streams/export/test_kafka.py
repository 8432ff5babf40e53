"""Export against a real broker and a real worker: what replay finds is what was served, to the bit."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from muse_stream.streams.cli import main
from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.encode import encode_item, encode_user
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.client import Client
from tests.streams.worker.installation import DIMENSION, Installation
from tests.streams.worker.scoring import scoring

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
USERS: list[Id] = [5, 6, "anna"]


@pytest.fixture(scope="module")
def installation(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with scoring(tmp_path_factory.mktemp("export"), kafka) as made:
        yield made


@pytest.fixture(scope="module")
def answers(installation: Installation) -> list[Answer]:
    """Answers with features, while users, items and histories change between them."""
    (worker,), dice = installation.workers, np.random.default_rng(4)
    worker.wait_ready()
    found = []
    with Client(installation) as client:
        for turn in range(6):
            for item in range(1, 21):
                vector = dice.integers(-127, 128, DIMENSION, np.int8) if item % 4 else None
                pair = encode_item(item, category=turn + 1, features={"band": item}, vector=vector)
                last = client.put(installation.topics.items, *pair)
            worker.wait_items(installation.topics.items, last.offset + 1)
            for user in USERS:
                client.put(installation.topics.users, *encode_user(user, {"country": turn + 1}))
                for _ in range(9):
                    written = client.behave(user, int(dice.integers(1, 25)))
                found.append(
                    client.ask(
                        user,
                        dice.permutation(24)[:5].__add__(1).tolist(),
                        features=True,
                        want="both",
                        not_before=NotBefore(written.partition, written.offset),
                    )
                )
    return found


def write_impressions(path: Path, answers: list[Answer], *, positions: bool) -> Path:
    rows = []
    for answer in answers:
        assert answer.positions is not None
        at = {
            "behaviours_position": answer.positions.behaviours.offset,
            "users_position": answer.positions.users,
            "items_position": answer.positions.items,
        }
        for place, item in enumerate(answer.candidates or ()):
            row: dict[str, Any] = {
                "user": answer.user,
                "item": str(item),
                "time_ms": int(time.time() * 1e3),
                "label": int(place == 0),
            }
            rows.append(row | {"request_id": answer.request_id} | (at if positions else {}))
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def export(installation: Installation, *arguments: str) -> dict[str, Any]:
    config = str(installation.directory / "clients.yaml")
    result = CliRunner().invoke(main, ["export", *arguments, "--config", config, "--json"])
    assert result.exit_code == 0, result.output
    summary: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return summary


def table(directory: Path) -> pa.Table:
    return pq.read_table(directory / "train").sort_by("row")


def test_replay_gives_what_was_served_to_the_bit(
    installation: Installation, answers: list[Answer], tmp_path: Path
) -> None:
    path = write_impressions(tmp_path / "shown.parquet", answers, positions=True)
    replayed = export(installation, str(path), "--out", str(tmp_path / "replayed"))
    served = export(installation, str(path), "--out", str(tmp_path / "served"), "--served")
    assert replayed["samples"] == served["samples"] == sum(len(answer.candidates or ()) for answer in answers)
    assert replayed["left_out"] == served["left_out"] == {}
    ours, theirs = table(tmp_path / "replayed"), table(tmp_path / "served")
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    assert {name: ours[name].equals(theirs[name]) for name in ours.column_names} == dict.fromkeys(
        ours.column_names, True
    )
    assert max(map(len, ours["retrieved_position"].to_pylist())) > 10
    assert len(set(ours["206"].to_pylist())) > 3, "items changed between the answers"
    first = answers[0].retrieved
    assert first is not None
    assert ours["retrieved_cosine"].to_pylist()[0] == first[0].cosine


def test_stores_give_what_the_log_gives(installation: Installation, answers: list[Answer], tmp_path: Path) -> None:
    time.sleep(1.001 - time.time() % 1)  # a store dates arrivals to the second: the last behaviours' own is over
    path = write_impressions(tmp_path / "shown.parquet", answers, positions=False)
    by_log = export(installation, str(path), "--out", str(tmp_path / "log"))
    state = str(installation.workers[0].state)
    by_store = export(
        installation, str(path), "--out", str(tmp_path / "stores"), "--from", "stores", "--data-dir", state
    )
    assert by_log["left_out"] == by_store["left_out"] == {}
    assert by_store["samples"] == by_log["samples"] > 0
    ours, theirs = table(tmp_path / "stores"), table(tmp_path / "log")
    assert [name for name in ours.column_names if not ours[name].equals(theirs[name])] == ["behaviours_position"]
