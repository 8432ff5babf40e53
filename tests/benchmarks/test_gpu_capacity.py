"""What fits on a GPU: arithmetic and filling agree, on a stand-in of its memory."""

import pytest

from muse_stream.benchmarks import gpu_capacity
from muse_stream.benchmarks.gpu_capacity import fill, pages_of, users_that_fit
from muse_stream.gsu_engine import BackendError
from tests.gsu_engine.cuda.numpy_device import NumpyDevice


def test_three_hundred_thousand_long_histories_fit_into_the_goal() -> None:
    assert users_that_fit(128 * 10**9, 100_000, 100_000) >= 300_000


def test_pages_are_those_of_the_worst_start() -> None:
    assert [pages_of(length) for length in (1, 2, 512, 513, 514, 100_000)] == [1, 2, 2, 2, 3, 197]


@pytest.mark.parametrize(("size_bytes", "length"), [(1 << 20, 1_000), (1 << 20, 512), (1 << 19, 10)])
def test_as_many_enter_as_are_counted(size_bytes: int, length: int) -> None:
    filled = fill(NumpyDevice(memory_bytes=1 << 21), size_bytes, length, 1_000)
    assert filled == users_that_fit(size_bytes, length, 1_000)


def test_rows_are_users_and_the_filled_one_is_empty_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_device() -> None:
        message = "cuda: made up for a test"
        raise BackendError(message)

    monkeypatch.setattr(gpu_capacity, "open_device", no_device)
    rows = gpu_capacity.run(memory="128e9", lengths="100000", fill_bytes=10**9)
    assert [(row.case, row.ours is None) for row in rows] == [
        ("128e9 bytes, users of 100000 behaviours", False),
        ("vectors of 4000000 items, width 128", False),
        ("1e9 bytes filled with users of 100000 behaviours", True),
    ]
    assert "not filled: cuda: made up for a test" in capsys.readouterr().err
    monkeypatch.setattr(gpu_capacity, "open_device", lambda: NumpyDevice(memory_bytes=1 << 24))
    filled = gpu_capacity.run(memory="128e9", lengths="10000", cap=10_000, fill_bytes=1 << 20)[-1].ours
    assert filled is not None
    assert filled > 10
