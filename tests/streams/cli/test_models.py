"""`muse-stream models` against a real broker and a store on disk; the workers' reports are written by the writer."""

import json
import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from muse_stream.esu_scorer import Artefact, FeatureSpec
from muse_stream.streams.cli import main
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.topics import TopicNames
from muse_stream.streams.models.control import Activation, Loading, Refused, Running, WorkerReport
from muse_stream.streams.models.opening import follow
from muse_stream.streams.settings import Settings

from ..models.cluster import create, writing

pytestmark = [pytest.mark.kafka]
RUNNER = CliRunner()
SPEC = FeatureSpec.of({"item": 8, "category": 8, "brand": 4}, {"age": 4})
WAIT_SECONDS = 30.0


class Shop:
    """One installation: a control topic, a store with the models one, two, three, and the command line."""

    def __init__(self, broker: str, prefix: str, directory: Path) -> None:
        self.store = directory / "store"
        self.config = directory / "muse.yaml"
        tree = {
            "kafka": {"brokers": broker},
            "topics": {"prefix": prefix},
            "features": {"item": ["brand"], "user": ["age"]},
            "items": {"spaces": {"v1": 64}},
            "model": {"store": str(self.store)},
            "state": {"directory": str(directory / "state")},
        }
        self.config.write_text(json.dumps(tree), encoding="utf-8")
        self.settings = Settings.load(self.config)
        self.digests = {name: self.add(name, seed) for seed, name in enumerate(("one", "two", "three"))}

    def add(self, name: str, seed: int, space: str = "v1", spec: FeatureSpec = SPEC) -> str:
        made = Artefact.untrained(spec, {"item": np.arange(1, 9)}, seed=seed, space=space, version=f"version-{name}")
        made.save(self.store / name)
        return made.digest

    def run(self, *arguments: str) -> Result:
        return RUNNER.invoke(main, ["models", *arguments, "--config", str(self.config)])

    def json(self, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
        result = self.run(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return found

    def running(self, name: str) -> Running:
        return Running(name, self.digests[name], "v1")

    def report(self, worker: str, name: str, **more: Any) -> None:
        with writing(self.settings) as writer:
            writer.report(WorkerReport(worker=worker, at_ms=1, live=self.running(name), **more))

    def live(self) -> Activation | None:
        """What a worker that starts now would be told."""
        follower = follow(self.settings)
        follower.start()
        follower.caught_up.result(WAIT_SECONDS)
        follower.close()
        return follower.current("live")


@pytest.fixture
def shop(kafka: EmbeddedKafka, topics: TopicNames, tmp_path: Path) -> Shop:
    made = Shop(kafka.bootstrap, topics.models.removesuffix("models"), tmp_path)
    create(made.settings)
    return made


def test_activate_roll_back_and_again(shop: Shop) -> None:
    shop.report("w1", "one")
    for name in ("two", "three"):
        result = shop.run("activate", name)
        assert result.exit_code == 0, result.output
        assert f"live: has {name} {shop.digests[name][:12]} (space v1)" in result.output
    live = shop.live()
    assert live is not None
    assert (live.name, live.digest, live.space) == ("three", shop.digests["three"], "v1")
    assert [ref.name for ref in live.previous] == ["two", "one"]
    assert "@" in live.by
    assert shop.json("rollback")["activation"]["name"] == "two"
    assert shop.json("rollback")["activation"]["name"] == "one"
    result = shop.run("rollback")
    assert result.exit_code == 1
    assert "one is the first that was activated" in result.output


def test_a_dry_run_changes_nothing(shop: Shop) -> None:
    found = shop.json("activate", "two", "--dry-run", "--wait", "30")
    assert (found["published"], found["activation"]["name"], found["workers"]) == (False, "two", None)
    assert "live: would have two" in shop.run("activate", "two", "--dry-run").output
    assert shop.live() is None


def test_what_cannot_be_served_is_not_published(shop: Shop) -> None:
    shop.add("elsewhere", 4, space="v2")
    shop.add("wider", 5, spec=FeatureSpec.of({"item": 8, "category": 8, "shop": 4}, {"age": 4}))
    tensors = shop.store / "three" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    for name, words in (
        ("elsewhere", "vector space 'v2', items.spaces has ['v1']"),
        ("wider", "item features ['shop'], features.item has ['brand']"),
        ("three", "is not whole"),
        ("four", "has no model 'four'"),
    ):
        result = shop.run("activate", name)
        assert result.exit_code == 1
        assert words in result.output
    assert shop.live() is None


def test_waiting_ends_when_all_run_it(shop: Shop) -> None:
    shop.report("w1", "one")
    shop.report("w2", "one")
    seen = threading.Event()

    def follow_it() -> None:
        follower = follow(shop.settings, lambda slot, activation: seen.set())
        follower.start()
        seen.wait(WAIT_SECONDS)
        loading = Loading("two", shop.digests["two"], "warming")
        shop.report("w1", "one", loading=loading)
        for worker in ("w1", "w2"):
            shop.report(worker, "two")
        follower.close()

    worker = threading.Thread(target=follow_it)
    worker.start()
    result = shop.run("activate", "two", "--wait", str(WAIT_SECONDS))
    worker.join()
    assert result.exit_code == 0, result.output
    assert {"  w1: runs it", "  w2: runs it"} <= set(result.output.splitlines())


def test_waiting_tells_a_refusal(shop: Shop) -> None:
    shop.report("w2", "two")

    def refuse() -> None:
        follower = follow(shop.settings, lambda slot, activation: told.put(activation))
        follower.start()
        activation = told.get(timeout=WAIT_SECONDS)
        assert activation is not None
        refused = Refused("two", activation.digest, "no room for the vectors", activation.at_ms)
        shop.report("w1", "one", refused=refused)
        follower.close()

    told: queue.Queue[Activation | None] = queue.Queue()
    shop.report("w1", "one")
    worker = threading.Thread(target=refuse)
    worker.start()
    found = shop.json("activate", "two", "--wait", str(WAIT_SECONDS), exit_code=1)
    worker.join()
    assert found["workers"] == [
        {"worker": "w1", "state": "refused", "text": "no room for the vectors"},
        {"worker": "w2", "state": "runs", "text": ""},
    ]
    listed = shop.run("list").output
    assert "no room for the vectors" in " ".join(listed.split())


def test_waiting_has_an_end(shop: Shop) -> None:
    result = shop.run("activate", "two", "--wait", "0")
    assert result.exit_code == 1
    assert "no worker has reported in time; what was published stays" in result.output
    shop.report("w1", "one")
    result = shop.run("rollback", "--wait", "0")
    assert "nothing to go back to" in result.output
    result = shop.run("activate", "three", "--wait", "0")
    assert result.exit_code == 1
    assert "1 of 1 workers did not follow in time" in result.output


def test_list_shows_models_slots_and_workers(shop: Shop) -> None:
    empty = shop.run("list")
    assert empty.exit_code == 0, empty.output
    assert "nothing has been activated" in empty.output
    assert "no worker has reported" in empty.output
    shop.run("activate", "two")
    shop.run("shadow", "three", "--share", "0.25")
    shop.report("w1", "two", shadow=shop.running("three"))
    (shop.store / "half").mkdir()
    found = shop.json("list")
    assert [model["name"] for model in found["models"]] == ["half", "one", "three", "two"]
    assert "half-written" in found["models"][0]["problem"]
    assert (found["slots"]["live"]["name"], found["slots"]["shadow"]["share"]) == ("two", 0.25)
    assert found["problem"] is None
    (worker,) = found["workers"]
    assert (worker["worker"], worker["live"]["name"], worker["shadow"]["name"]) == ("w1", "two", "three")
    assert worker["stale"] is False
    shown = shop.run("list").output
    for words in ("version-two", shop.digests["two"][:12], "0.25 of the requests", "half: half-written", "live: two"):
        assert words in shown


def test_a_shadow_ends(shop: Shop) -> None:
    shop.run("shadow", "three", "--share", "0.25")
    assert shop.json("shadow", "--off") == {"slot": "shadow", "activation": None, "published": True, "workers": None}
    assert shop.json("list")["slots"] == {}


@pytest.mark.parametrize(
    "arguments", [(), ("three",), ("three", "--share", "0"), ("three", "--share", "1.5"), ("three", "--off")]
)
def test_a_shadow_needs_a_model_and_a_share(arguments: tuple[str, ...]) -> None:
    result = RUNNER.invoke(main, ["models", "shadow", *arguments])
    assert result.exit_code == 2
    assert "--share" in result.output


def test_show_and_diff(shop: Shop) -> None:
    shown = shop.run("show", "two").output
    for words in ("version-two", "UNTRAINED", shop.digests["two"], "item:8, category:8, brand:4", "space       v1"):
        assert words in shown
    assert shop.json("show", "two")["manifest"]["format"] == "muse-esu"
    found = shop.json("diff", "one", "two")
    assert {"name": "version", "first": "version-one", "second": "version-two"} in found["fields"]
    assert all(tensor["name"].startswith("weight/") for tensor in found["tensors"])
    assert found["tensors"][0]["max_abs"] > 0
    assert "values differ, by at most" in shop.run("diff", "one", "two").output
    assert shop.run("diff", "one", "one").output == "no difference\n"


def test_a_trained_model_is_added_and_activated(shop: Shop, tmp_path: Path) -> None:
    made = Artefact.untrained(SPEC, {"item": np.arange(1, 9)}, seed=9, space="v1")
    made.save(tmp_path / "run" / "artefact")
    added = shop.run("add", "four", str(tmp_path / "run" / "artefact"))
    assert "models activate four --dry-run" in added.output
    assert shop.run("activate", "four").exit_code == 0
    again = shop.run("add", "four", str(tmp_path / "run" / "artefact"))
    assert again.exit_code == 1
    assert "choose another name" in again.output
    assert shop.json("add", "five", str(tmp_path / "run" / "artefact"))["digest"] == made.digest


def test_without_the_topic_the_store_is_shown(kafka: EmbeddedKafka, topics: TopicNames, tmp_path: Path) -> None:
    shop = Shop(kafka.bootstrap, topics.models.removesuffix("models"), tmp_path)
    listed = shop.run("list")
    assert listed.exit_code == 0, listed.output
    assert "version-one" in listed.output
    assert "what is active is not known" in listed.output
    refused = shop.run("activate", "one")
    assert refused.exit_code == 1
    assert "run muse-stream topics create" in refused.output


def test_without_a_store_the_setting_is_named(tmp_path: Path) -> None:
    result = RUNNER.invoke(main, ["models", "show", "one", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "set model.store" in result.output
