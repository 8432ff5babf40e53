"""Against a real broker and a real worker: what was served comes out again, and a planted weight does not."""

import itertools
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from muse_stream.esu_scorer import Artefact, Scorer
from muse_stream.streams.cli import main
from muse_stream.streams.export.cluster import open_reader
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.verify.follow import Follower, Sample
from muse_stream.streams.verify.ledger import Wanted
from muse_stream.streams.verify.once import Shows, verify_once
from muse_stream.streams.verify.world import shelf_of
from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.encode import candidate_with, encode_item, encode_user
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.requests import Candidate, FilterFields, NotBefore
from tests.streams.verify.served import planted
from tests.streams.worker.client import TIME_MS, Client
from tests.streams.worker.installation import DIMENSION, Installation, until
from tests.streams.worker.scoring import scoring

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
USERS: list[Id] = [5, 6, "anna"]
OPTIONS: list[dict[str, Any]] = [
    {"want": "both"},
    {"want": "both", "k": 7, "filters": FilterFields(exclude_candidate=True)},
    {"want": "scores", "context": {"country": 2}},
    {"want": "retrieved", "k": 120, "filters": FilterFields(since_ms=TIME_MS + 20, actions=["click"])},
]


@pytest.fixture(scope="module")
def installation(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with scoring(tmp_path_factory.mktemp("verify"), kafka) as made:
        yield made


def traffic(installation: Installation, turns: int, seed: int = 4) -> list[Answer]:
    """Answers of all kinds, while users, items and histories change between them."""
    (worker,), dice = installation.workers, np.random.default_rng(seed)
    found = []
    with Client(installation) as client:
        client._numbers = itertools.count(1_000 * seed)  # request ids that no other client of this user had
        for turn in range(turns):
            for item in range(1, 21):
                vector = dice.integers(-127, 128, DIMENSION, np.int8) if item % 4 else None
                pair = encode_item(item, category=turn + 1, features={"band": item % 3 + 1}, vector=vector)
                last = client.put(installation.topics.items, *pair)
            worker.wait_items(installation.topics.items, last.offset + 1)
            for user, options in zip([*USERS, 5], OPTIONS, strict=True):
                client.put(installation.topics.users, *encode_user(user, {"country": turn + 1}))
                for _ in range(9):
                    written = client.behave(user, int(dice.integers(1, 25)))
                own = candidate_with(30, dice.integers(-127, 128, DIMENSION, np.int8))
                plain: list[Id | Candidate] = [*dice.permutation(24)[:5].__add__(1).tolist(), own]
                seen = NotBefore(written.partition, written.offset)
                found.append(client.ask(user, plain, not_before=seen, **options))
        found.append(client.ask(5, [], prefetch=True))
        client.ask(5, [1], k=1_000)
    return found


@pytest.fixture(scope="module")
def answers(installation: Installation) -> list[Answer]:
    installation.workers[0].wait_ready()
    return traffic(installation, 4)


def verify(installation: Installation, *arguments: str) -> tuple[int, dict[str, Any]]:
    config = str(installation.directory / "clients.yaml")
    result = CliRunner().invoke(main, ["verify-served", *arguments, "--config", config, "--json"])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


def test_all_that_was_served_comes_out_again(installation: Installation, answers: list[Answer], tmp_path: Path) -> None:
    code, report = verify(installation, "--out", str(tmp_path / "mismatches"), "--at-least", "1")
    assert (code, report["mismatches"], report["not_rebuildable"], report["model_not_here"]) == (0, [], {}, {})
    assert report["computed"] == report["compared"] == len(answers)
    assert report["not_computed"] == {"malformed": 1}
    assert report["retrieval"]["compared"] == 12
    assert report["scores"]["compared"] == 12
    assert (tmp_path / "mismatches").read_text() == ""


def test_one_weight_of_the_model_is_found(installation: Installation, answers: list[Answer]) -> None:
    assert answers
    path = installation.settings.model.path
    assert path is not None

    def nudge(weight: torch.Tensor) -> torch.Tensor:
        weight[0] += 0.01
        return weight

    other = Scorer(planted(Artefact.load(path), {"network.tower.linears.0.bias": nudge}))
    report = verify_once(installation.settings, lambda digest: other, Wanted(), Shows())
    assert report.scores.mismatched == report.scores.compared == 12
    assert report.retrieval.mismatched == report.window.mismatched == 0


def test_without_the_model_the_retrieval_is_compared(
    installation: Installation, answers: list[Answer], tmp_path: Path
) -> None:
    code, report = verify(installation, "--models", str(tmp_path))
    model = next(answer.model for answer in answers if answer.model)
    assert (code, report["model_not_here"], report["scores"]["compared"]) == (0, {model.digest: 12}, 0)
    assert report["retrieval"]["compared"] == 12


def running(follower: Follower, stop: threading.Event) -> threading.Thread:
    """The running mode in a thread, once it has caught up."""
    thread = threading.Thread(target=follower.run, args=[lambda: not stop.is_set()], name="follower")
    thread.start()
    until(lambda: follower.ready or not thread.is_alive(), "it has caught up")
    assert follower.ready
    return thread


def test_the_running_mode_compares_answers_as_they_come(installation: Installation, answers: list[Answer]) -> None:
    assert answers
    stop, settings = threading.Event(), installation.settings
    (port,) = free_ports(1)
    with closing(open_reader(settings)) as reader:
        follower = Follower(settings, shelf_of(settings, ()), Sample(1.0, 0.5), reader)
        end = follower.metrics.serve("127.0.0.1", port)
        thread = running(follower, stop)
        try:
            fresh = traffic(installation, 2, seed=9)
            until(lambda: follower.report.computed >= len(fresh), "all of them are compared")
            page = scraped(port)
        finally:
            stop.set()
            thread.join()
            end()
    report = follower.report
    assert (report.mismatches, report.not_rebuildable, report.model_not_here) == ([], {}, {})
    assert report.compared == report.computed == len(fresh)
    assert report.retrieval.compared == report.scores.compared == 6
    assert page["muse_verify_compared_total", "scores"] == 6
    assert page["muse_verify_mismatched_total", "scores"] == 0
    assert page["muse_verify_waiting_answers", ""] == 0


def scraped(port: int) -> dict[tuple[str, str], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
