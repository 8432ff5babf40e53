"""Requests go on while models and vector spaces are swapped: none fails, none mixes two of them."""

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from muse_stream.esu_scorer import Artefact, Scorer
from muse_stream.gsu_engine import GsuEngine
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Ask, Found, Pipeline
from muse_stream.streams.worker.swapping.columns import ModelColumns
from tests.streams.serving.test_pipeline import ask
from tests.streams.worker.swapping.conftest import until
from tests.streams.worker.swapping.world import ITEMS, World, artefact

USERS = (1, 2, 3)
ROUNDS = 2


def asks() -> list[Ask]:
    """New ones each time: an ask's deadline and clock are its own."""
    return [ask(user, [user, 9, 30 + user], want="both", k=4) for user in USERS]


def pipeline_with(world: World, live: Live) -> Pipeline:
    return Pipeline(replace(world.parts(), live=lambda: live))


class Judge:
    """Answers again with an engine and a model of its own for each artefact, and compares."""

    def __init__(self, world: World, names: tuple[str, ...]) -> None:
        self._pipelines: dict[str, Pipeline] = {}
        for name in names:
            model = Scorer(Artefact.load(world.directory / name))
            table = world.tables[model.info.space]
            columns = ModelColumns(world.catalogue, model.info.spec)
            engine = GsuEngine(table, backend="reference", pool_bytes=1 << 22)
            live = Live(table.space, engine, table, columns, model)
            self._pipelines[model.digest] = pipeline_with(world, live)

    def objections(self, asked: Ask, found: Found) -> list[str]:
        """What in an answer is not of the model and the space that it names."""
        info = found.live.info
        assert info is not None
        if found.live.space != info.space:
            return [f"space {found.live.space}, the model is of {info.space}"]
        (right,) = self._pipelines[info.digest]([Ask(asked.partition, asked.request, np.inf, asked.clock)])
        assert isinstance(right, Found)
        said = []
        k = info.k
        if not np.array_equal(found.result.positions[:, :k], right.result.positions[:, :k]):
            said.append("retrieved are others than in that space")
        if not np.array_equal(found.result.scores[:, :k], right.result.scores[:, :k]):
            said.append("cosines are not of that space")
        if found.probabilities is None or right.probabilities is None:
            said.append("no scores")
        elif not np.allclose(found.probabilities, right.probabilities, rtol=0, atol=1e-6):
            said.append("scores are not of that model and that space")
        return said


@dataclass
class Load:
    """Threads that ask all the time, and one that appends for others."""

    world: World
    failed: list[Exception | str] = field(default_factory=list)
    answered: list[tuple[Ask, Found]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        works = (self.request, self.request, self.behave)
        self.threads = [threading.Thread(target=self.guarded, args=(work,)) for work in works]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def guarded(self, work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except Exception as error:
            self.failed.append(error)

    def request(self) -> None:
        pipeline = Pipeline(self.world.parts())
        while not self.stopping.is_set():
            batch = asks()
            self.world.captured.note(batch)
            for one, found in zip(batch, pipeline(batch), strict=True):
                if isinstance(found, Found):
                    self.answered.append((one, replace(found)))
                else:
                    self.failed.append(found)

    def behave(self) -> None:
        user = 100
        while not self.stopping.wait(0.002):
            self.world.behave(user, [1 + user % ITEMS, 9])
            if user % 5 == 0:
                self.world.behave(user, [0], erase=True)
            user = 100 + (user + 1) % 20


def seen(load: Load) -> Counter[str]:
    return Counter(found.live.info.version for _, found in load.answered if found.live.info)


def test_no_request_fails_and_no_answer_mixes_two_spaces(world: World) -> None:
    targets = [
        world.begin(),
        world.put("second", artefact("v2", 2)),
        world.put("third", artefact("v2", 3, "band")),
        world.put("fourth", artefact("v1", 4, "band", "price")),
    ]
    judge = Judge(world, ("first", "second", "third", "fourth"))
    random = np.random.default_rng(5)
    for user in USERS:
        world.behave(user, (1 + random.permutation(ITEMS)).tolist())
    kept = world.keeper()
    with Load(world) as load:
        for _ in range(ROUNDS):
            for target in (*targets[1:], targets[0]):
                kept.want(target)
                running = f"{target} runs"
                until(lambda: load.failed or _runs(world, target.name), running)  # noqa: B023
                count = len(load.answered)
                until(lambda: load.failed or len(load.answered) >= count + 12, "it answers")  # noqa: B023
    assert not load.failed
    assert set(seen(load)) == {"v1-1", "v2-2", "v2-3", "v1-4"}
    wrong = [(one.request.user, said) for one, found in load.answered for said in judge.objections(one, found)]
    assert not wrong
    load.answered.clear()
    until(lambda: len(world.engines.stats()) == 1, "one engine is left")


def _runs(world: World, name: str) -> bool:
    return world.live.running is not None and world.live.running.name == name


def test_the_judge_sees_a_planted_mixture(world: World) -> None:
    world.begin()
    world.put("second", artefact("v2", 2))
    judge = Judge(world, ("first", "second"))
    world.behave(1, (1 + np.random.default_rng(5).permutation(ITEMS)).tolist())
    second = Scorer(Artefact.load(world.directory / "second"))
    right, other = world.live.live, world.engines.bundle(second)
    one = ask(1, [1, 9, 31], want="both", k=4)
    mixtures = {
        "none": (right, []),
        "model": (replace(right, model=second), ["space v1, the model is of v2"]),
        "engine": (replace(right, engine=other.engine), ["retrieved", "cosines", "scores"]),
        "vectors": (replace(right, vectors=other.vectors), ["retrieved", "cosines", "scores"]),
        "all but the model": (
            replace(other, space="v1", model=right.model),
            ["retrieved", "cosines", "scores"],
        ),
    }
    for name, (live, expected) in mixtures.items():
        (found,) = pipeline_with(world, live)([one])
        assert isinstance(found, Found)
        said = judge.objections(one, found)
        assert [text.split(" are")[0] for text in said] == expected, name
