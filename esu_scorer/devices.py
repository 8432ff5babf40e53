"""Where a model runs, and how columns come there.

Invariant: nothing here waits for a GPU. Columns are copied from pinned memory in the order of Torch's stream; columns
that lie on the device already are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from muse_stream.esu_scorer.errors import BatchError, DeviceError

CPU = torch.device("cpu")


class Column(Protocol):
    """An array of any library that hands out its memory (https://dmlc.github.io/dlpack)."""

    def __dlpack__(self, *, stream: Any = None) -> Any:  # noqa: ANN401 - a capsule, which has no type
        """Hand out the memory, ready to be read on `stream`."""
        ...

    def __dlpack_device__(self) -> tuple[int, int]:
        """Kind and number of the device where it lies."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Cosines:
    """Cosine columns on the scorer's device, in the place of a batch's own; what lies under a mask is never read.

    Attributes:
        recent: `[T, R] float32` in the place of `recent_cosine`.
        retrieved: `[T, K] float32` in the place of `retrieved_cosine`.

    """

    recent: Column
    retrieved: Column


def device_named(name: str) -> torch.device:
    """The device of that name (`cpu`, `cuda`, `cuda:1`). Raises `DeviceError`: there is none such here."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"{name!r} is no device: expected cpu or cuda"
        raise DeviceError(msg) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        msg = f"{name}: Torch {torch.__version__} finds no usable GPU; set the device to cpu"
        raise DeviceError(msg)
    return device


def upload(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """The array on the device. On the CPU memory is shared where Torch can: it wants contiguous, writeable arrays."""
    tensor = torch.from_numpy(np.require(array, requirements=("C", "W")))
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def adopt(name: str, column: Column, like: tuple[int, ...], device: torch.device) -> Tensor:
    """A column that lies on the device, without a copy. Raises `BatchError`: it lies elsewhere, or is another one."""
    tensor: Tensor = from_dlpack(column)
    if tensor.dtype != torch.float32 or tuple(tensor.shape) != like or tensor.device.type != device.type:
        found = f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"
        msg = f"{name} must be torch.float32 {list(like)} on {device}, found {found}"
        raise BatchError(msg)
    return tensor
