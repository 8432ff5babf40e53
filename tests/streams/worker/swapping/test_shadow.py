"""The shadow compares what it is given in time, drops the rest, and never shows in an answer."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from muse_stream.esu_scorer import ScoreBatch, Scorer
from muse_stream.streams.serving.features import in_share
from muse_stream.streams.serving.pipeline import Ask, Found, Pipeline
from muse_stream.streams.wire.encode import candidate_with
from muse_stream.streams.worker.swapping.shadow import Shadow, difference
from tests.streams.serving.test_pipeline import ask
from tests.streams.worker.swapping.conftest import until
from tests.streams.worker.swapping.test_keeper import Spoilt
from tests.streams.worker.swapping.world import World, artefact


@dataclass
class Beside:
    """A shadow at work beside a world."""

    world: World
    shadow: Shadow
    waiting: int = 0

    def answer(self, *asks: Ask) -> list[Found]:
        found = self.world.ask(*asks)
        self.shadow.offer(asks, found)
        return found

    def count(self, outcome: str) -> float:
        return self.world.value("muse_shadow_requests_total", outcome=outcome) or 0.0


@pytest.fixture
def beside(world: World) -> Iterator[Beside]:
    world.begin()
    world.behave(1, [2, 9, 4] * 5)
    made = Beside(world, None)  # type: ignore[arg-type]
    made.shadow = Shadow(world.shadow, Pipeline(world.parts()), world.metrics.shadow, lambda: made.waiting)
    made.shadow.start()
    yield made
    made.shadow.close()


def load_shadow(world: World, *, space: str, seed: int, share: float = 1.0, k: int = 5) -> Scorer:
    made = artefact(space, seed, k=k)
    scorer = Scorer(made)
    world.shadow.install("shadow", world.engines.bundle(scorer), share)
    return scorer


def test_the_same_model_has_no_difference(beside: Beside) -> None:
    load_shadow(beside.world, space="v1", seed=1)
    beside.answer(ask(1, [9, 5, 3]))
    until(lambda: beside.count("compared") == 1, "a comparison")
    assert beside.world.value("muse_shadow_score_difference_ratio_count") == 3
    assert beside.world.value("muse_shadow_score_difference_ratio_sum") == 0
    assert beside.world.value("muse_shadow_rank_difference_ratio_sum") == 0


@pytest.mark.parametrize(("space", "k"), [("v1", 5), ("v1", 9), ("v2", 5)])
def test_another_model_is_compared_as_if_it_had_answered(beside: Beside, space: str, k: int) -> None:
    world = beside.world
    scorer = load_shadow(world, space=space, seed=2, k=k)
    answered = world.live.running
    asked = ask(1, [9, 5, 3])
    (found,) = beside.answer(asked)
    until(lambda: beside.count("compared") == 1, "a comparison")
    assert found.live is world.live.live
    world.live.install("shadow", world.engines.bundle(scorer))
    (other,) = world.ask(asked)
    assert answered is not None
    assert other.probabilities is not None
    assert found.probabilities is not None
    expected = difference(found.probabilities, other.probabilities)
    total = world.value("muse_shadow_score_difference_ratio_sum")
    assert total == pytest.approx(float(expected.absolute.sum()), abs=1e-6)
    assert world.value("muse_shadow_rank_difference_ratio_sum") == pytest.approx(expected.rank)


def test_a_share_by_user_is_taken(beside: Beside) -> None:
    load_shadow(beside.world, space="v1", seed=2, share=0.3)
    users = list(range(1, 40))
    for user in users:
        beside.answer(ask(user, [9]))
        done = sum(in_share(one, 0.3) for one in users[:user])
        until(lambda: beside.count("compared") == done, "it is compared")  # noqa: B023
    taken = sum(in_share(user, 0.3) for user in users)
    assert 0 < taken < len(users)
    assert beside.count("compared") == taken


def test_nothing_is_taken_without_a_shadow_or_without_scores(beside: Beside) -> None:
    beside.answer(ask(1, [9]))
    load_shadow(beside.world, space="v1", seed=2)
    beside.answer(ask(1, [9], want="retrieved"))
    beside.answer(ask(1, [9]))
    until(lambda: beside.count("compared") == 1, "only the last")


def test_it_is_the_first_to_go_under_load(beside: Beside) -> None:
    load_shadow(beside.world, space="v1", seed=2)
    beside.waiting = 1
    beside.answer(ask(1, [9]), ask(2, [9]))
    assert beside.count("dropped") == 2


def test_a_slow_shadow_holds_nobody_up_and_drops(beside: Beside) -> None:
    goes_on = threading.Event()

    class Slow(Spoilt):
        def score(self, batch: ScoreBatch, cosines: object = None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
            assert goes_on.wait(60)
            return super().score(batch)

    world = beside.world
    model = Slow(Scorer(artefact("v1", 2)))
    world.shadow.install("slow", world.engines.bundle(model))
    for _ in range(12):
        beside.answer(ask(1, [9]))
    assert beside.count("dropped") >= 10, "one is scored, one waits"
    goes_on.set()
    until(lambda: beside.count("compared") + beside.count("dropped") == 12, "the others")


def test_a_fault_is_counted_and_logged_once(beside: Beside, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Spoilt):
        def score(self, batch: ScoreBatch, cosines: object = None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
            message = "no weights"
            raise RuntimeError(message)

    world = beside.world
    world.shadow.install("broken", world.engines.bundle(Broken(Scorer(artefact("v1", 2)))))
    for number in range(1, 4):
        beside.answer(ask(1, [9]))
        until(lambda: beside.count("failed") == number, "a failure")  # noqa: B023
    assert caplog.text.count("did not score") == 1


def test_own_vectors_of_another_space_do_not_fit(beside: Beside) -> None:
    world = beside.world
    load_shadow(world, space="v2", seed=2)
    own = world.vectors["v1"][4]
    beside.answer(ask(1, [candidate_with(500, own)], k=1))
    until(lambda: beside.count("unfit") == 1, "it is left out")


def test_a_keeper_fills_and_empties_the_slot(world: World) -> None:
    world.begin()
    world.behave(1, [2, 9])
    world.ask(ask(1, [9]))
    kept = world.keeper(world.shadow)
    target = world.put("next", artefact("v2", 2))
    kept.want(target)
    until(lambda: world.shadow.running, "the shadow runs")
    assert world.reloads("swapped", slot="shadow") == 1
    assert [one.pool.users for one in world.engines.stats()] == [1, 0], "residents are not loaded for a shadow"
    kept.want(None)
    until(lambda: world.shadow.running is None, "it is empty")
    until(lambda: len(world.engines.stats()) == 1, "its engine is closed")


def test_a_shadow_that_is_activated_keeps_its_engine(world: World) -> None:
    world.begin()
    target = world.put("next", artefact("v2", 2))
    beside, answering = world.keeper(world.shadow), world.keeper()
    beside.want(target)
    until(lambda: world.shadow.running, "the shadow runs")
    engine = world.shadow.live.engine
    answering.want(target)
    until(lambda: world.live.live.space == "v2", "it answers")
    beside.want(None)
    until(lambda: world.shadow.running is None, "the shadow ends")
    assert world.live.live.engine is engine
    until(lambda: len(world.engines.stats()) == 1, "the engine of the former space is closed")


def test_ranks_differ_by_their_mean_shift() -> None:
    scores = np.array([0.9, 0.5, 0.3, 0.1], np.float32)
    assert difference(scores, scores).rank == 0
    assert difference(scores, scores[::-1].copy()).rank == 0.5
    assert difference(scores, np.full(4, 0.2, np.float32)).rank == 0, "equal scores keep the order of the request"
    assert difference(scores[:1], scores[1:2]).rank == 0
    assert difference(scores, scores[[1, 0, 2, 3]]).rank == pytest.approx(0.125)
