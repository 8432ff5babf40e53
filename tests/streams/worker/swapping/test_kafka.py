"""A worker while requests come: another model in another space, one that it refuses, back again, a shadow; two models
of one space in turn.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from muse_stream.streams.models.control import Activation, Slot
from muse_stream.streams.models.opening import open_writer
from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.encode import encode_item
from tests.streams.worker.client import Client
from tests.streams.worker.installation import DIMENSION, Installation, Worker, until
from tests.streams.worker.swapping.world import ITEMS, artefact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from muse_stream.streams.kafka.embedded import EmbeddedKafka

USERS = (1, 2, 3)
MODELS = {"first": ("v1", 1), "second": ("v2", 2), "broken": ("v2", 3), "other": ("v1", 4)}
"""Space and seed by name."""
PAUSE_SECONDS = 0.02
LOAD_PAUSE_SECONDS = 0.004
SWAPS = ("other", "first") * 3
ANSWERS_BETWEEN = 20


@pytest.fixture
def installation(kafka: "EmbeddedKafka", tmp_path: Path) -> Iterator[Installation]:
    for name, (space, seed) in MODELS.items():
        artefact(space, seed).save(tmp_path / "store" / name)
    sections: dict[str, Any] = {
        "model": {"path": str(tmp_path / "store"), "active": "first", "store": str(tmp_path / "store")},
        "features": {"user": ["country"], "item": ["price", "band"]},
        "items": {"spaces": {"v1": DIMENSION, "v2": DIMENSION}},
    }
    with Installation(tmp_path, {"brokers": kafka.bootstrap}, **sections) as made:
        yield made


class Operator:
    """Publishes what a slot is to have, as `muse-stream models` does."""

    def __init__(self, installation: Installation) -> None:
        self.digests = {name: artefact(space, seed).digest for name, (space, seed) in MODELS.items()}
        self._installation = installation
        self._times = itertools.count(1)

    def activate(self, name: str, slot: Slot = "live", share: float | None = None) -> None:
        writer = open_writer(self._installation.settings)
        activation = Activation(
            slot=slot,
            name=name,
            digest=self.digests[name],
            space=MODELS[name][0],
            by="test",
            at_ms=next(self._times),
            share=share,
        )
        writer.activate(activation)
        writer.close()


def vectors_of(client: Client, worker: Worker) -> "dict[str, NDArray[np.int8]]":
    """Write items with a vector in both spaces, and histories; what the vectors are."""
    random = np.random.default_rng(3)
    vectors = {space: random.integers(-127, 128, (ITEMS + 1, DIMENSION), np.int8) for space in ("v1", "v2")}
    for item in range(1, ITEMS + 1):
        more = {"v2": vectors["v2"][item]}
        features = {"price": item % 3 + 1, "band": item % 7 + 1}
        pair = encode_item(item, category=item % 5 + 1, features=features, vector=vectors["v1"][item], more=more)
        client.producer.send(client.topics.items, *pair)
    for user in USERS:
        for item in random.permutation(ITEMS)[:20].tolist():
            client.behave(user, item + 1)
    worker.wait_items(client.topics.items, ITEMS)
    return vectors


@contextmanager
def at_work(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """A thread for each, told when to end."""
    stopping = threading.Event()
    threads = [threading.Thread(target=work, args=(stopping,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def trickle(client: Client, pause_seconds: float = PAUSE_SECONDS) -> AbstractContextManager[None]:
    """Requests all the time, for each user in turn."""

    def ask(stopping: threading.Event) -> None:
        for user in itertools.cycle(USERS):
            if stopping.wait(pause_seconds):
                return
            client.send(user, question(user), want="both", k=5)

    return at_work(ask)


def question(user: int) -> list[int]:
    """Candidates for a user."""
    return [user, 9, 30 + user]


def behaviours(client: Client) -> AbstractContextManager[None]:
    """Behaviours of users for whom nobody asks, all the time."""

    def behave(stopping: threading.Event) -> None:
        for number in itertools.count():
            if stopping.wait(LOAD_PAUSE_SECONDS):
                return
            client.behave(100 + number % 20, 1 + number % ITEMS)

    return at_work(behave)


def shown(worker: Worker, slot: str) -> dict[str, str]:
    return worker.get("/v1/status").body["models"][slot] or {}


def latest(client: Client, operator: Operator) -> str:
    """Name of the model that answered a request sent now."""
    found = client.ask(1, [9], want="scores")
    assert found.model is not None
    return next(name for name, digest in operator.digests.items() if digest == found.model.digest)


def mixed(answer: Answer, vectors: "dict[str, NDArray[np.int8]]") -> bool:
    """Whether a cosine is not of the space that the answer names."""
    table = vectors[str(answer.space)].astype(np.float64)
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    return any(
        abs(float(table[int(candidate)] @ table[item]) - cosine) > 1e-6
        for candidate, found in zip(answer.candidates or [], answer.retrieved or [], strict=True)
        for item, cosine in zip(found.item, found.cosine, strict=True)
    )


def test_answers_switch_and_none_fails_or_mixes(installation: Installation) -> None:
    operator = Operator(installation)
    operator.activate("second")
    worker = installation.worker().start().wait_ready()
    with Client(installation) as client:
        vectors = vectors_of(client, worker)
        assert latest(client, operator) == "second", "what is activated counts over the settings"
        with trickle(client):
            operator.activate("first")
            until(lambda: shown(worker, "live")["name"] == "first", "the first answers", worker)
            assert latest(client, operator) == "first"
            (installation.directory / "store" / "broken" / "tensors.safetensors").write_bytes(b"half")
            operator.activate("broken")
            until(lambda: "refused broken" in shown(worker, "live")["note"], "a refusal", worker)
            assert (worker.ready(), latest(client, operator)) == (True, "first")
            operator.activate("second")
            until(lambda: shown(worker, "live")["name"] == "second", "back again", worker)
            operator.activate("first", "shadow", 1.0)
            until(lambda: shown(worker, "shadow"), "a shadow", worker)
            compared = "muse_shadow_requests_total", "compared"
            until(lambda: worker.metrics()[compared] > 3, "comparisons", worker)
        until(lambda: all(client.answers.get(one) for one in client.asked), "all answers", worker)
        answers = [client.answers[one] for one in client.asked]
        assert {(len(each), each[0].status) for each in answers} == {(1, Status.OK)}
        judge([each[0] for each in answers], operator, vectors)
    reloads = worker.metrics()
    assert reloads["muse_model_reload_total", "swapped,live"] == 2, "none of them at the start"
    assert reloads["muse_model_reload_total", "refused,live"] == 1


def judge(answers: list[Answer], operator: Operator, vectors: "dict[str, NDArray[np.int8]]") -> None:
    """Digest, space, cosines and scores of every answer belong together; both models have answered."""
    spaces = {operator.digests["first"]: "v1", operator.digests["second"]: "v2"}
    scores: dict[tuple[str, str | None, int], set[tuple[float, ...]]] = defaultdict(set)
    for answer in answers:
        assert answer.model is not None
        assert answer.space == spaces[answer.model.digest]
        if answer.retrieved is not None:
            assert not mixed(answer, vectors)
            scores[answer.model.digest, answer.user, len(answer.candidates or ())].add(tuple(answer.scores or ()))
    assert {digest for digest, _, _ in scores} == set(spaces)
    spreads = [np.ptp(np.array(sorted(found)), axis=0).max() for found in scores.values()]
    assert max(spreads) < 1e-6, "the same question and model, another score"


def test_under_load_every_score_is_of_the_model_that_the_answer_names(installation: Installation) -> None:
    operator = Operator(installation)
    worker = installation.worker().start().wait_ready()
    with Client(installation) as client:
        vectors_of(client, worker)
        alone: dict[str, dict[str, list[float] | None]] = {}
        for name in ("other", "first"):
            swap(operator, worker, name)
            found = [client.ask(user, question(user), want="both", k=5) for user in USERS]
            alone[operator.digests[name]] = {str(answer.user): answer.scores for answer in found}
        before = len(client.asked)
        with trickle(client, LOAD_PAUSE_SECONDS), behaviours(client):
            for name in SWAPS:
                swap(operator, worker, name)
                count = len(client.answers)
                until(lambda: len(client.answers) > count + ANSWERS_BETWEEN, "answers", worker)  # noqa: B023
        asked = client.asked[before:]
        until(lambda: all(client.answers.get(one) for one in asked), "all answers", worker)
        answers = [client.answers[one] for one in asked]
    assert {(len(each), each[0].status) for each in answers} == {(1, Status.OK)}
    fits = [[digest for digest in alone if agrees(each[0], alone[digest])] for each in answers]
    assert fits == [[each[0].model.digest] for each in answers if each[0].model], "of that model, and of that one alone"
    assert {digest for (digest,) in fits} == set(alone)
    assert worker.metrics()["muse_model_reload_total", "swapped,live"] == 2 + len(SWAPS)


def swap(operator: Operator, worker: Worker, name: str) -> None:
    """Activate a model and wait until it answers."""
    operator.activate(name)
    until(lambda: shown(worker, "live")["name"] == name, f"{name} answers", worker)


def agrees(answer: Answer, alone: dict[str, list[float] | None]) -> bool:
    """Whether the scores are those that a model gave this user while it alone was in service."""
    return bool(np.allclose(answer.scores or [], alone[str(answer.user)] or [], rtol=0, atol=1e-6))
