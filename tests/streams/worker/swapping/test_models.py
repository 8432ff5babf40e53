"""Both slots from the first model on, what a worker shows of them, and what it reports to the control topic."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from muse_stream.esu_scorer import ArtefactError, ModelStore
from muse_stream.streams.errors import DeliveryError
from muse_stream.streams.models.control import Activation, Running, WorkerReport
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.swapping import following
from muse_stream.streams.worker.swapping.following import Following, report_of, target_of
from muse_stream.streams.worker.swapping.models import Models, Surroundings
from muse_stream.streams.worker.swapping.target import Progress, Refusal, RefusedError, Target
from tests.streams.serving.test_pipeline import ask
from tests.streams.worker.swapping.conftest import until
from tests.streams.worker.swapping.world import World, artefact


def settings_of(world: World, **flags: Any) -> Settings:
    spaces = {space: table.dimension for space, table in world.tables.items()}
    usual = {
        "features.item": ["price", "band"],
        "features.user": ["country"],
        "items.spaces": spaces,
        "state.directory": str(world.directory / "state"),
        "model.path": str(world.directory / "configured"),
        "model.device": "cpu",
        "engine.backend": "reference",
    }
    return Settings.load(flags={**usual, **flags})


def models_of(world: World, *, store: bool = True, **flags: Any) -> Models:
    plane: Any = Plane(world)
    place = ModelStore(str(world.directory), world.directory / "cache") if store else None
    around = Surroundings(settings_of(world, **flags), plane, world.parts(), place)
    return Models(around, world.metrics, lambda: 0)


class Plane:
    """The part of a data plane that models use."""

    def __init__(self, world: World) -> None:
        self.serving, self.engines, self.tables = world.live, world.engines, world.tables
        self.ingest = SimpleNamespace(stores=world.stores)
        self._world = world

    @property
    def live(self) -> Any:
        return self._world.live.live

    @property
    def space(self) -> str:
        return str(self.live.space)


@pytest.fixture
def models(world: World) -> Iterator[Models]:
    world.put("configured", artefact("v1", 1))
    made = models_of(world)
    yield made
    made.close()


def running(world: World) -> str:
    return world.live.running.name if world.live.running else ""


def test_what_is_activated_counts_over_the_settings(world: World, models: Models) -> None:
    models.begin(world.put("activated", artefact("v2", 2)))
    assert (running(world), world.live.live.space) == ("activated", "v2")


@pytest.mark.parametrize("trouble", ["missing", "wrong space"])
def test_the_model_of_the_settings_answers_where_the_activated_one_cannot(
    world: World, models: Models, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    target = Target("gone", "0" * 64) if trouble == "missing" else world.put("other", artefact("v9", 2))
    models.begin(target)
    assert running(world) == "configured"
    assert "cannot be used" in caplog.text
    models.start()
    models.want("live", target)
    until(lambda: world.live.refusal, "the keeper says so too")


def test_a_worker_without_a_usable_model_does_not_start(world: World) -> None:
    with pytest.raises(ArtefactError):
        models_of(world).begin(None)
    world.put("configured", artefact("v9", 1))
    with pytest.raises(RefusedError, match=r"items\.spaces"):
        models_of(world).begin(None)


def test_an_activation_without_a_store_is_refused(world: World) -> None:
    world.put("configured", artefact("v1", 1))
    made = models_of(world, store=False)
    made.begin(None)
    made.start()
    made.want("live", Target("other", "0" * 64))
    until(lambda: world.live.refusal, "a refusal")
    assert world.live.refusal is not None
    assert "model.store" in world.live.refusal.reason
    made.close()


def test_passes_are_captured_and_shadowed(world: World, models: Models) -> None:
    models.begin(None)
    models.start()
    models.want("shadow", replace(world.put("next", artefact("v2", 2)), share=1.0))
    until(lambda: models.shadow.running, "a shadow")
    world.behave(1, [2, 9])
    asked = ask(1, [9, 5])
    models.seen([asked], world.ask(asked))
    compared = "muse_shadow_requests_total"
    until(lambda: world.value(compared, outcome="compared") == 1, "a comparison")
    assert [one.slot for one in models.readings()] == ["live", "shadow"]
    shown = models.shown()
    assert (shown["live"]["name"], shown["live"]["space"], shown["shadow"]["share"]) == ("configured", "v1", 1.0)
    world.tables["v2"].forget(np.arange(1, 31))
    assert models.coverages() == {"v1": 1.0, "v2": 0.5}


def test_a_report_says_what_runs_what_comes_and_what_was_refused(world: World, models: Models) -> None:
    models.begin(None)
    info = world.live.live.info
    assert info is not None
    report = report_of("w1", models)
    assert report.live == Running("configured", info.digest, "v1")
    assert (report.shadow, report.loading, report.refused) == (None, None, None)
    target = Target("next", "a" * 64, at_ms=77)
    models.live.progress = Progress(target, "filling", 0.42)
    models.shadow.refusal = Refusal(target, "x" * 2_000)
    assert models.refused() == {"live": False, "shadow": True}
    report = report_of("w1", models)
    assert report.loading is not None
    assert (report.loading.step, report.loading.coverage) == ("filling", 0.42)
    assert report.refused is not None
    assert (report.refused.at_ms, len(report.refused.reason)) == (77, 1_000)


class Follower:
    """The control topic, in memory."""

    def __init__(self, on_change: Any) -> None:
        self.on_change = on_change
        self.slots: dict[str, Activation] = {}
        self.caught_up: Future[None] = Future()
        self.trouble = "no broker"
        self.started = self.closed = False

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True

    def current(self, slot: str) -> Activation | None:
        return self.slots.get(slot)

    def set(self, slot: str, activation: Activation | None) -> None:
        if activation is None:
            del self.slots[slot]
        else:
            self.slots[slot] = activation
        self.on_change(slot, activation)


class Writer:
    """Notes what is reported; fails the first time."""

    def __init__(self) -> None:
        self.reports: list[WorkerReport] = []
        self.left: list[str] = []
        self.failures = 1
        self.closed = threading.Event()

    def report(self, report: WorkerReport) -> None:
        if self.failures:
            self.failures -= 1
            message = "no broker"
            raise DeliveryError(message)
        self.reports.append(report)

    def leave(self, worker: str) -> None:
        self.left.append(worker)

    def close(self) -> None:
        self.closed.set()


def activation(target: Target, space: str, share: float | None = None) -> Activation:
    slot: Any = "live" if share is None else "shadow"
    return Activation(slot=slot, name=target.name, digest=target.digest, space=space, by="test", at_ms=5, share=share)


def test_activations_come_in_and_reports_go_out(world: World, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "REPEAT_SECONDS", 0.01)
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.0)
    first, second = world.put("first", artefact("v1", 1)), world.put("second", artefact("v2", 2))
    followers: list[Any] = []
    writer: Any = Writer()

    def make_follower(on_change: Any) -> Any:
        followers.append(Follower(on_change))
        return followers[0]

    made = Following(make_follower)
    (follower,) = followers
    follower.slots["live"] = activation(first, "v1")
    follower.caught_up.set_result(None)
    assert made.first() == Target("first", first.digest, 5)
    models.begin(made.first())
    models.start()
    made.follow(models, writer, "w1")
    follower.set("live", activation(second, "v2"))
    follower.set("shadow", activation(first, "v1", share=0.5))
    until(lambda: writer.reports and writer.reports[-1].live.name == "second", "the swap is reported")
    until(lambda: writer.reports[-1].shadow is not None, "and the shadow")
    follower.set("shadow", None)
    until(lambda: writer.reports[-1].shadow is None, "and its end")
    follower.set("live", None)
    made.close()
    assert running(world) == "second", "no activation any more changes nothing"
    assert follower.closed
    assert writer.left == ["w1"]
    assert writer.closed.is_set()


def test_a_start_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(following, "KNOWN_SECONDS", 0.01)
    made = Following(Follower)  # type: ignore[arg-type]
    assert made.first() is None
    assert "no broker" in caplog.text
    made.close()
    assert target_of(None) is None
