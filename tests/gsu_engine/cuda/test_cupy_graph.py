"""Captures through CuPy: what is recorded and held, what a capture cannot take, and that the device survives it."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine.cuda.cupy_device import CupyDevice, open_device
from muse_stream.gsu_engine.cuda.device import Launch
from muse_stream.gsu_engine.errors import CaptureError, DeviceLostError
from tests.gsu_engine.cuda import fake_cupy
from tests.gsu_engine.cuda.fake_cupy import GPU
from tests.gsu_engine.cuda.test_cupy_device import LAUNCH_FAILED, content, cupy, device

__all__ = ["cupy", "device"]  # fixtures


class Rig:
    """A graph that sends bytes up and fetches them again."""

    def __init__(self, device: CupyDevice, size: int = 512) -> None:
        self.buffer = device.allocate(size)
        launches = [Launch("begin", 7, 128, 2_048, self.buffer.address), Launch("end", 3, 64, 0, self.buffer.address)]
        self.graph = device.capture(self.buffer, launches, self.buffer)


def test_a_capture_runs_nothing_and_a_replay_is_one_call(device: CupyDevice) -> None:
    rig = Rig(device)
    assert GPU.asked == ["set 512"]
    assert GPU.capturing is None
    copy = rig.graph.replay(content(512))
    assert copy is not None
    assert GPU.asked == ["set 512", "graph", "record"]
    assert GPU.done == 0, "nothing was waited for"
    assert np.array_equal(copy.wait(), content(512))
    assert [kernel.launched for kernel in GPU.kernels.values()] == [
        [((7,), (128,), (np.uint64(rig.buffer.address),), 2_048)],
        [((3,), (64,), (np.uint64(rig.buffer.address),), 0)],
    ]


def test_a_replay_sends_what_it_is_given_and_less_than_there_is_room_for(device: CupyDevice) -> None:
    rig = Rig(device)
    first, data = rig.graph.replay(content(512)), content(100, seed=1)
    assert first is not None
    first.wait()
    second = rig.graph.replay(data)
    data[:] = 0
    assert second is not None
    assert second.wait()[:100].tolist() == content(100, seed=1).tolist()
    assert np.array_equal(first.wait(), content(512)), "what was fetched before is the caller's own"


def test_a_graph_is_busy_until_its_bytes_were_fetched(device: CupyDevice) -> None:
    rig = Rig(device)
    first = rig.graph.replay(content(512))
    assert first is not None
    assert rig.graph.replay(content(512, seed=1)) is None
    GPU.run(len(GPU.queue))
    assert rig.graph.replay(content(512, seed=1)) is None, "it is done, but somebody may still fetch"
    assert np.array_equal(first.wait(), content(512))
    assert rig.graph.replay(content(512, seed=1)) is not None


def test_a_graph_whose_bytes_nobody_wants_is_busy_until_it_is_done(device: CupyDevice) -> None:
    rig = Rig(device)
    rig.graph.replay(content(512))
    assert rig.graph.replay(content(512, seed=1)) is None
    GPU.run(len(GPU.queue))
    copy = rig.graph.replay(content(512, seed=1))
    assert copy is not None
    assert np.array_equal(copy.wait(), content(512, seed=1))


def test_a_graph_that_goes_while_it_runs_is_held_with_its_memory_until_it_is_done(device: CupyDevice) -> None:
    rig = Rig(device)
    copy = rig.graph.replay(content(512))
    assert copy is not None
    del rig
    gc.collect()
    other = device.allocate(512)
    for seed in range(3):
        device.write(other, 0, content(512, seed))
    assert np.array_equal(copy.wait(), content(512))
    del copy
    device.read(other, 0, 8).wait()
    device.write(other, 0, content(8))
    gc.collect()
    assert len(GPU.blocks) == 1, "that of the last write"


def test_replays_alone_let_go_of_what_they_hold(device: CupyDevice) -> None:
    rig = Rig(device)
    for seed in range(20):
        copy = rig.graph.replay(content(512, seed))
        assert copy is not None
        copy.wait()
    assert len(device._under_way) <= 1


def _pageable(*arguments: Any) -> None:
    fake_cupy.memcpyAsync(arguments[0], 1 << 50, *arguments[2:])


def _synchronous(*arguments: Any) -> None:
    event = fake_cupy.Event()
    event.behind = 0
    event.synchronize()


CANNOT: dict[str, Callable[..., object]] = {
    "a copy of CuPy's": lambda to, *_: fake_cupy.MemoryPointer(
        fake_cupy.PooledMemory(fake_cupy.MemoryPool(), to, 512), 0
    ).copy_from_host_async(0, 5),
    "pageable memory": _pageable,
    "waiting": _synchronous,
    "page-locked memory that is new": lambda *_: fake_cupy.PinnedMemoryPool().malloc(5),
    "device memory that is new": lambda *_: fake_cupy.MemoryPool().malloc(5),
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_a_capture_cannot_take_is_told_and_the_device_works_on(
    device: CupyDevice, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device._cuda.runtime, "memcpyAsync", CANNOT[what])
    with pytest.raises(CaptureError):
        Rig(device)
    monkeypatch.undo()
    assert GPU.capturing is None
    copy = Rig(device).graph.replay(content(512))
    assert copy is not None
    assert np.array_equal(copy.wait(), content(512))


def test_a_device_that_fails_in_a_capture_is_lost_and_captures_no_more(
    device: CupyDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        GPU.failing = LAUNCH_FAILED
        GPU.check()

    monkeypatch.setattr(device._cuda.runtime, "memcpyAsync", fail)
    with pytest.raises(DeviceLostError, match="words for 719"):
        Rig(device)
    assert GPU.capturing is None


def test_a_failure_comes_to_those_who_replay_and_to_those_who_wait(device: CupyDevice) -> None:
    rig = Rig(device)
    copy = rig.graph.replay(content(512))
    assert copy is not None
    GPU.failing = LAUNCH_FAILED
    with pytest.raises(DeviceLostError, match="words for 719"):
        copy.wait()
    del copy
    assert rig.graph.replay(content(512)) is None, "nothing is known of its memory any more"
    with pytest.raises(DeviceLostError, match="words for 719"):
        Rig(device)


def test_time_between_marks_is_the_devices_own(device: CupyDevice) -> None:
    first = device.mark()
    device.launch("begin", 1, 32, 0, 0)
    device.launch("end", 1, 32, 0, 0)
    last = device.mark()
    assert GPU.done == 0, "a mark does not wait"
    assert last.seconds_since(first) == 0.002
    GPU.failing = LAUNCH_FAILED
    with pytest.raises(DeviceLostError, match="words for 719"):
        last.seconds_since(first)


def test_columns_are_handed_out_behind_the_devices_stream_and_keep_their_memory(device: CupyDevice) -> None:
    buffer = device.allocate(1_024)
    column = device.column(buffer, 64, 6, 5)
    part = column[slice(2, 5), slice(0, 3)]
    free = device.free_bytes()
    del buffer
    gc.collect()
    assert device.free_bytes() == free
    for one, shape, at in ((column, (6, 5), 64), (part, (3, 3), 64 + 4 * 10)):
        handed: Any = one.__dlpack__(stream=17)
        assert (handed.behind, handed.stream) == (device.stream, 17)
        assert (handed.array.shape, handed.array.pitch, handed.array.dtype) == (shape, 5, np.float32)
        assert handed.array.memory.ptr % 512 == at
        assert one.__dlpack_device__() == (2, 0)
    del column, part, one, handed
    gc.collect()
    assert device.free_bytes() == free + 1_024


@pytest.mark.gpu
def test_a_gpu_replays_what_was_captured() -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    device = open_device()
    buffer = device.allocate(1 << 16)
    graph = device.capture(buffer, [], buffer)
    for seed in range(50):
        first = device.mark()
        copy = graph.replay(content(1 << 16, seed))
        assert copy is not None
        last = device.mark()
        assert np.array_equal(copy.wait(), content(1 << 16, seed))
        assert last.seconds_since(first) > 0
    torch = pytest.importorskip("torch", reason="Torch is not installed")
    if torch.cuda.is_available():
        column = device.column(buffer, 0, 64, 256)[slice(1, 9), slice(0, 100)]
        found = torch.from_dlpack(column).view(torch.int32).cpu().numpy()
        whole = content(1 << 16, 49).view(np.int32).reshape(64, 256)
        assert np.array_equal(found, whole[1:9, :100])
