"""What a `CupyDevice` hands out of its stream: moments in it, and columns for other libraries."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from muse_stream.gsu_engine.cuda.cupy_errors import translated


class CupyMark:
    """An event that knows the time."""

    def __init__(self, cuda: Any, event: Any) -> None:  # noqa: ANN401 - cupy.cuda and cupy.cuda.Event
        self._cuda, self._event = cuda, event

    def seconds_since(self, earlier: "CupyMark") -> float:
        """See `Mark.seconds_since`."""
        with translated():
            self._event.synchronize()
            return float(self._cuda.get_elapsed_time(earlier._event, self._event)) / 1e3


class CupyColumn:
    """Rows of a buffer, which they keep, as an array of CuPy's.

    CuPy hands memory out behind what its current stream has been asked for, so that is made the device's own.
    """

    def __init__(self, current: Callable[[], AbstractContextManager[None]], array: Any) -> None:  # noqa: ANN401
        """Take what makes the device's stream current, and a `cupy.ndarray`."""
        self._current, self._array = current, array

    def __dlpack__(self, **options: Any) -> Any:  # noqa: ANN401 - as the protocol says, and a capsule
        """Hand out the memory; the consumer's stream waits for ours."""
        with self._current():
            return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, int]:
        """See `Column`."""
        device: tuple[Any, int] = self._array.__dlpack_device__()
        return device

    def __getitem__(self, part: tuple[slice, slice]) -> "CupyColumn":
        """See `Column`."""
        with self._current():
            return CupyColumn(self._current, self._array[part])
