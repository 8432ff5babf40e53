"""Another model takes the slot after everything was tried, or not at all; what ran before is let go or stays."""

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from muse_stream.esu_scorer import EsuError, ModelInfo, ScoreBatch, ServedModel
from muse_stream.esu_scorer.errors import StoreUnreachableError
from muse_stream.monitoring import model_check
from muse_stream.streams.worker.swapping import attempt, keeper
from muse_stream.streams.worker.swapping.target import Target
from tests.streams.serving.test_pipeline import ask
from tests.streams.worker.swapping.conftest import until
from tests.streams.worker.swapping.world import ITEMS, World, artefact


def test_another_model_of_the_same_space_takes_over_and_the_former_is_let_go(world: World) -> None:
    world.begin()
    world.behave(1, [2, 9, 4])
    (before,) = world.ask(ask(1, [9, 5], want="both", k=2))
    first, engine = weakref.ref(world.live.live.model), world.live.live.engine
    wanted = world.put("second", artefact("v1", 2))
    world.keeper().want(wanted)
    until(lambda: world.reloads("swapped") == 1, "a swap")
    (after,) = world.ask(ask(1, [9, 5], want="both", k=2))
    assert after.live.info is not None
    assert (after.live.info.digest, after.live.engine) == (wanted.digest, engine), "one engine serves both"
    np.testing.assert_array_equal(after.result.positions, before.result.positions)
    assert not np.array_equal(after.probabilities, before.probabilities)  # type: ignore[arg-type]
    del before
    until(lambda: first() is None, "the former model is free")
    assert world.value("muse_model_reload_duration_seconds_count") == 1


def test_the_former_model_is_freed_in_the_keepers_thread_and_not_in_that_of_the_last_pass(world: World) -> None:
    world.begin()
    passing, freed = [world.live.live], list[str]()
    weakref.finalize(passing[0].model, lambda: freed.append(threading.current_thread().name))
    world.keeper().want(world.put("second", artefact("v1", 2)))
    until(lambda: world.reloads("swapped") == 1, "a swap")
    assert not freed, "a pass goes on with it"
    passing.clear()
    until(lambda: freed, "the former model is free")
    assert freed == ["muse-live-model"]


def test_the_space_goes_with_the_model_and_the_former_engine_is_freed(world: World) -> None:
    world.begin()
    world.behave(1, [2, 9, 4] * 20)
    world.behave(2, [7, 8])
    world.ask(ask(1, [9], k=2), ask(2, [9], k=2))
    engine = weakref.ref(world.live.live.engine)
    gc.disable()
    try:
        world.keeper().want(world.put("second", artefact("v2", 2)))
        until(lambda: world.reloads("swapped") == 1, "a swap")
        assert [one.table.space for one in world.engines.stats()][-1] == "v2"
        until(lambda: engine() is None, "the former engine is free, without the garbage collector")
    finally:
        gc.enable()
    (stats,) = world.engines.stats()
    assert (stats.table.space, stats.pool.users) == ("v2", 2), "who was resident is resident"
    world.behave(1, [30])
    (found,) = world.ask(ask(1, [30], k=1))
    assert found.result.positions[0, 0] == 60, "the new engine is told of what comes"


def test_going_back_is_an_activation_like_any_other(world: World) -> None:
    first = world.begin()
    world.behave(1, [2, 9, 4])
    (before,) = world.ask(ask(1, [9, 5], want="both", k=2))
    kept = world.keeper()
    for target in (world.put("second", artefact("v2", 2)), first):
        kept.want(target)
        until(lambda: world.live.running and world.live.running.name == target.name, f"{target} runs")  # noqa: B023
    (after,) = world.ask(ask(1, [9, 5], want="both", k=2))
    assert after.live.space == "v1"
    np.testing.assert_array_equal(after.result.scores, before.result.scores)
    np.testing.assert_array_equal(after.probabilities, before.probabilities)


def test_what_runs_already_is_not_loaded_again(world: World) -> None:
    first = world.begin()
    kept = world.keeper()
    kept.want(first)
    kept.want(replace(first, at_ms=5))
    kept.want(world.put("second", artefact("v1", 2)))
    until(lambda: world.reloads("swapped") == 1, "the second")
    assert world.fetched == ["second"]


class Spoilt:
    """A model that says or answers something else."""

    def __init__(self, model: ServedModel, info: ModelInfo | None = None, score: float | None = None) -> None:
        self._model, self._info, self._score = model, info, score

    @property
    def info(self) -> ModelInfo:
        return self._info or self._model.info

    @property
    def device(self) -> str:
        return "cpu"

    def score(self, batch: ScoreBatch, cosines: object = None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        scores = self._model.score(batch)
        return scores if self._score is None else np.full_like(scores, self._score)


def cut(path: Path) -> None:
    """Leave the half of a file, as an upload does that was broken off."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 + len(data) // 4] ^= 0x40
    path.write_bytes(bytes(data))


def with_digest(world: World) -> Target:
    return replace(world.put("bad", artefact("v1", 2)), digest="0" * 64)


def missing(world: World) -> Target:
    return Target("bad", "0" * 64)


def half_written(world: World) -> Target:
    target = world.put("bad", artefact("v1", 2))
    cut(world.directory / "bad" / "tensors.safetensors")
    return target


def half_a_manifest(world: World) -> Target:
    target = world.put("bad", artefact("v1", 2))
    cut(world.directory / "bad" / "artefact.json")
    return target


def corrupt(world: World) -> Target:
    target = world.put("bad", artefact("v1", 2))
    flipped(world.directory / "bad" / "tensors.safetensors")
    return target


def of_another_space(world: World) -> Target:
    return world.put("bad", artefact("v9", 2))


def too_wide(world: World) -> Target:
    return world.put("bad", artefact("v1", 2, k=1_001))


def scoring_beyond_one(world: World) -> Target:
    world.loaded = lambda model: Spoilt(model, score=1.5)
    return world.put("bad", artefact("v1", 2))


def scoring_no_number(world: World) -> Target:
    world.loaded = lambda model: Spoilt(model, score=float("nan"))
    return world.put("bad", artefact("v1", 2))


REFUSED: dict[Callable[[World], Target], str] = {
    with_digest: "was activated",
    missing: "no artefact file",
    half_written: "safetensors",
    half_a_manifest: "artefact.json",
    corrupt: "bad",
    of_another_space: "items.spaces",
    too_wide: "K = 1001",
    scoring_beyond_one: "one probability each",
    scoring_no_number: "one probability each",
}


@pytest.mark.parametrize("make", list(REFUSED), ids=lambda m: m.__name__)
def test_what_cannot_serve_is_refused_and_the_old_one_stays(
    world: World, make: Callable[[World], Target], caplog: pytest.LogCaptureFixture
) -> None:
    first = world.begin()
    world.behave(1, [2, 9, 4])
    running = world.live.running
    target, kept = make(world), world.keeper()
    kept.want(target)
    until(lambda: world.reloads("refused") == 1, "a refusal")
    until(lambda: world.live.refusal, "the reason is shown")
    assert world.live.running is running
    assert world.live.refusal is not None
    assert REFUSED[make] in world.live.refusal.reason
    assert not world.live.refusal.is_retried
    assert "first stays" in caplog.text
    found = model_check(world.live.reading)
    assert found.ok, "a worker with a good model stays ready"
    assert f"refused {target}" in found.detail
    assert len(world.engines.stats()) == 1
    (answer,) = world.ask(ask(1, [9], k=1))
    assert answer.probabilities is not None
    kept.want(first)
    until(lambda: world.live.refusal is None, "what runs was wanted again")


def test_features_that_are_not_collected_are_refused_and_named(world: World) -> None:
    world.begin()
    target = world.put("bad", artefact("v1", 2))
    info = world.live.live.info
    assert info is not None
    other = info.spec.of({"item": 4, "category": 4, "colour": 4}, {"country": 4})
    world.loaded = lambda model: Spoilt(model, replace(info, spec=other, digest=target.digest))
    world.keeper().want(target)
    until(lambda: world.live.refusal, "a refusal")
    assert world.live.refusal is not None
    assert "colour" in world.live.refusal.reason
    assert "features.item" in world.live.refusal.reason


def test_columns_come_in_the_order_of_each_model(world: World) -> None:
    world.begin()
    world.behave(1, [2, 9])
    world.keeper().want(world.put("second", artefact("v1", 2, "band")))
    until(lambda: world.reloads("swapped") == 1, "a swap")
    items = np.array([9, 5])
    assert world.live.live.catalogue.features_of(items).tolist() == [[9, 5, 9 % 7 + 1], [5, 1, 5 % 7 + 1]]
    (found,) = world.ask(ask(1, [9, 5], k=2))
    assert found.probabilities is not None


def test_a_location_that_cannot_be_reached_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "PAUSES_SECONDS", (0.0,))
    world.begin()
    trouble: list[Exception] = [StoreUnreachableError("away"), ConnectionError("reset"), TimeoutError("slow")]

    retried: list[bool] = []

    def fail(name: str) -> None:
        retried.extend([world.live.refusal.is_retried] if world.live.refusal else [])
        if trouble:
            raise trouble.pop(0)

    world.before_fetch = fail
    world.keeper().want(world.put("second", artefact("v1", 2)))
    until(lambda: world.reloads("swapped") == 1, "a swap in the end")
    assert (world.reloads("unreachable"), world.reloads("refused")) == (3, 0)
    assert world.live.refusal is None
    assert retried == [True, True, True]


def test_a_newer_target_ends_the_work_on_an_older_one(world: World) -> None:
    world.begin()
    waits, goes_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "second":
            waits.set()
            assert goes_on.wait(60)

    world.before_fetch = hold
    kept = world.keeper()
    kept.want(world.put("second", artefact("v1", 2)))
    assert waits.wait(60)
    kept.want(world.put("third", artefact("v1", 3)))
    goes_on.set()
    until(lambda: world.reloads("swapped") == 1, "the newer one")
    assert world.reloads("superseded") == 1
    assert world.live.running is not None
    assert world.live.running.name == "third"


def test_a_space_is_waited_for_until_its_vectors_are_there(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attempt, "COVERAGE_LOOK_SECONDS", 0.005)
    world.tables["v2"].forget(np.arange(31, ITEMS + 1))
    world.begin()
    world.keeper().want(world.put("second", artefact("v2", 2)))
    until(lambda: world.live.progress and world.live.progress.step == "filling", "it waits")
    assert "coverage 0.50" in model_check(world.live.reading).detail
    assert "50.0 %" in caplog.text
    assert world.live.live.space == "v1"
    world.tables["v2"].put(np.arange(31, ITEMS + 1), world.vectors["v2"][31:])
    until(lambda: world.reloads("swapped") == 1, "a swap once they are there")
    assert world.live.live.space == "v2"


def test_waiting_for_vectors_ends_with_another_target_and_frees_the_engine(world: World) -> None:
    world.tables["v2"].forget(np.arange(1, ITEMS))
    first = world.begin()
    kept = world.keeper()
    kept.want(world.put("second", artefact("v2", 2)))
    until(lambda: world.live.progress and world.live.progress.step == "filling", "it waits")
    kept.want(first)
    until(lambda: world.reloads("superseded") == 1, "it gives up")
    until(lambda: len(world.engines.stats()) == 1, "the engine of the other space is closed")


def test_captured_requests_are_answered_before_the_swap(world: World) -> None:
    world.begin()
    world.behave(1, [2, 9, 4])
    asks = [ask(1, [9, 5], k=2), ask(7, [3], want="retrieved")]
    world.captured.note(asks)
    seen: list[int] = []

    class Watched(Spoilt):
        def score(self, batch: ScoreBatch, cosines: object = None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
            seen.append(batch.candidate_count)
            assert world.live.running is not None
            assert world.live.running.name == "first"
            return super().score(batch)

    world.loaded = Watched
    world.keeper().want(world.put("second", artefact("v2", 2)))
    until(lambda: world.reloads("swapped") == 1, "a swap")
    assert seen == [1, 200, 2]


def test_a_fault_of_the_program_is_told_apart_and_the_old_one_stays(world: World) -> None:
    world.begin()

    def fault(model: ServedModel) -> ServedModel:
        message = "no such thing"
        raise KeyError(message)

    world.loaded = fault
    world.keeper().want(world.put("second", artefact("v1", 2)))
    until(lambda: world.reloads("failed") == 1, "a failure")
    assert world.live.running is not None
    assert world.live.running.name == "first"


def test_the_base_of_refusals_is_that_of_the_store() -> None:
    assert issubclass(StoreUnreachableError, EsuError), "so it must be told apart before the others"
