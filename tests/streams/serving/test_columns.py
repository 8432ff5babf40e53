"""Cosines that stay on the device reach the model there, with the bits that the host has; or the host's do."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.esu_scorer import Cosines, ModelInfo, ScoreBatch, Scorer
from muse_stream.gsu_engine import GsuEngine
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.columns import DeviceColumns
from muse_stream.streams.serving.columns import cosines_for, wants_columns
from tests.gsu_engine.cuda.numpy_device import NumpyDevice
from tests.gsu_engine.cuda.stand_in import StandInBackend
from tests.streams.serving.parts import World
from tests.streams.serving.test_pipeline import ask, found_by

CUDA = 2  # DLPack's number


@dataclass(frozen=True)
class OnDevice:
    """A NumPy array that says it lies on a GPU."""

    array: NDArray[np.float32]
    number: int = 0

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self.number

    def __getitem__(self, part: tuple[slice, slice]) -> "OnDevice":
        return OnDevice(self.array[part], self.number)


@dataclass
class OnGpu:
    """A model that says it scores on a GPU, and reads what is there."""

    scorer: Scorer
    device: str = "cuda"
    given: list[tuple[ScoreBatch, Cosines | None]] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return self.scorer.info

    def score(self, batch: ScoreBatch, cosines: Cosines | None = None) -> NDArray[np.float32]:
        self.given.append((batch, cosines))
        if cosines is None:
            return self.scorer.score(batch)
        assert isinstance(cosines.recent, OnDevice)
        assert isinstance(cosines.retrieved, OnDevice)
        return self.scorer.score(batch, Cosines(cosines.recent.array, cosines.retrieved.array))


@pytest.fixture
def on_gpu(world: World, monkeypatch: pytest.MonkeyPatch) -> OnGpu:
    """The world's engine and model, moved to one device."""

    class Device(NumpyDevice):
        def column(self, buffer: Any, at_bytes: int, rows: int, width: int) -> Any:
            return OnDevice(super().column(buffer, at_bytes, rows, width))

    monkeypatch.setattr("tests.gsu_engine.cuda.stand_in.CountingDevice", Device)
    backend = StandInBackend(ReferenceBackend(), by_kernels=True)
    world.engine = GsuEngine(world.table, cap=1_000, backend=backend)
    assert isinstance(world.scorer, Scorer)
    model = OnGpu(world.scorer)
    world.scorer = model  # type: ignore[assignment]
    for user in (1, 2):
        world.behave(user, [2, 9, 4, 30, 9, 17, 2])
    return model


def bits(array: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(array).view(np.uint32)


def assert_taken(model: OnGpu) -> None:
    """The model read the device's columns, and they are the host's to the bit."""
    ((batch, cosines),) = model.given
    assert cosines is not None
    assert isinstance(cosines.recent, OnDevice)
    assert isinstance(cosines.retrieved, OnDevice)
    np.testing.assert_array_equal(bits(cosines.retrieved.array), bits(batch.retrieved_cosine))
    np.testing.assert_array_equal(bits(cosines.recent.array), bits(batch.recent_cosine))


def assert_scored_as_on_the_host(world: World, model: OnGpu, *asks: Any) -> None:
    answers = found_by(world, *asks)
    world.scorer = model.scorer
    for answer, expected in zip(answers, found_by(world, *asks), strict=True):
        assert (answer.probabilities is None) == (expected.probabilities is None)
        if answer.probabilities is not None and expected.probabilities is not None:
            assert answer.probabilities.tolist() == expected.probabilities.tolist()


def test_cosines_of_a_whole_pass_stay(world: World, on_gpu: OnGpu) -> None:
    assert_scored_as_on_the_host(world, on_gpu, ask(1, [9, 5, 28]), ask(2, [4]))
    assert_taken(on_gpu)


def test_more_results_than_the_model_reads_are_cut_on_the_device(world: World, on_gpu: OnGpu) -> None:
    wide = on_gpu.info.k + 5
    assert_scored_as_on_the_host(world, on_gpu, ask(1, [9, 5], k=wide, want="both"))
    assert_taken(on_gpu)


def test_the_scored_ones_are_cut_out_where_they_lie_together(world: World, on_gpu: OnGpu) -> None:
    others = [ask(1, [3, 4], want="retrieved"), ask(2, [8], want="retrieved")]
    assert_scored_as_on_the_host(world, on_gpu, others[0], ask(1, [9, 5]), ask(2, [7]), others[1])
    assert_taken(on_gpu)


def test_the_hosts_are_read_where_others_lie_between(world: World, on_gpu: OnGpu) -> None:
    assert_scored_as_on_the_host(world, on_gpu, ask(1, [9]), ask(1, [3], want="retrieved"), ask(2, [7]))
    ((_, cosines),) = on_gpu.given
    assert cosines is None


def test_the_hosts_are_read_where_the_cpu_answered_a_part(world: World, on_gpu: OnGpu) -> None:
    assert_scored_as_on_the_host(world, on_gpu, ask(1, [9]), ask(99, [7]))
    ((_, cosines),) = on_gpu.given
    assert cosines is None, "an unknown user has no window"


def test_nothing_stays_where_nothing_is_scored_or_the_model_is_on_the_cpu(
    world: World, on_gpu: OnGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    search = world.engine.search

    def watched(*arguments: Any, **options: Any) -> Any:
        asked.append(options["on_device"])
        return search(*arguments, **options)

    monkeypatch.setattr(world.engine, "search", watched)
    found_by(world, ask(1, [9], want="retrieved"))
    found_by(world, ask(1, [9]))
    world.scorer = on_gpu.scorer
    found_by(world, ask(1, [9]))
    world.scorer = None
    found_by(world, ask(1, [9], want="retrieved"))
    assert asked == [False, True, False, False]
    assert not wants_columns(None)


@pytest.mark.parametrize(
    ("device", "number", "taken"),
    [("cuda", 0, True), ("cuda:0", 0, True), ("cuda:1", 1, True), ("cuda:1", 0, False), ("cpu", 0, False)],
)
def test_columns_are_taken_on_their_own_device_alone(on_gpu: OnGpu, device: str, number: int, *, taken: bool) -> None:
    on_gpu.device = device
    column = OnDevice(np.zeros((5, on_gpu.info.k + on_gpu.info.r), np.float32), number)
    assert (cosines_for(on_gpu, DeviceColumns(column, column), 1, 3, 3) is not None) == taken
