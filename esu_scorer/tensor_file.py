"""A safetensors file into memory of its own, while other threads run.

The format: 8 bytes length of the header, little-endian; the header, a JSON object of `name: {dtype, shape,
data_offsets}`; the tensors' bytes, one after the other, without gaps.

Invariants: nothing is read past what the header says and everything that it says is read; not a copy of the file's
bytes is made. The interpreter is given away while bytes are read, and while the memory goes back to the system once no
tensor of the file is left: a model of hundreds of MB that is swapped holds up no request. The library's own reading
copies all of it without giving the interpreter away.
"""

from __future__ import annotations

import math
import mmap
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from torch import Tensor

from muse_stream.esu_scorer.errors import ArtefactCorruptError

LENGTH_BYTES = 8
HEADER_BYTES_MAX = 100_000_000
"""The format's own bound."""
METADATA = "__metadata__"
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
HUGE_PAGES_FROM_BYTES = 2 << 20
"""One huge page: below, they would only take more memory."""


Whole = Annotated[int, msgspec.Meta(ge=0)]


class _Place(msgspec.Struct, frozen=True):
    """Where a tensor lies behind the header."""

    dtype: str
    shape: tuple[Whole, ...]
    data_offsets: tuple[Whole, Whole]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, which share one piece of memory.

    Raises:
        ArtefactCorruptError: It is not a whole safetensors file.
        OSError: It cannot be read; `FileNotFoundError`: there is none.

    """
    with FileIO(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            places, room = _header(file, size)
            memory = _filled(file, room)
        except (ValueError, msgspec.DecodeError) as error:
            msg = f"{path} ({size} bytes) is not a whole safetensors file: {error}; copy the artefact again"
            raise ArtefactCorruptError(msg) from error
    return {name: _tensor(memory, place) for name, place in places.items()}


def _header(file: FileIO, size: int) -> tuple[dict[str, _Place], int]:
    """Places of the tensors, and how many bytes they have together. Raises `ValueError`, `msgspec.DecodeError`."""
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    room = size - LENGTH_BYTES - length
    if length > HEADER_BYTES_MAX or room < 0:
        msg = f"its header is said to have {length} bytes, at most {HEADER_BYTES_MAX} and not more than the file can be"
        raise ValueError(msg)
    raw = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
    raw.pop(METADATA, None)
    places = {name: msgspec.json.decode(value, type=_Place) for name, value in raw.items()}
    end = 0
    for name, place in sorted(places.items(), key=lambda pair: pair[1].data_offsets):
        _check_place(name, place, end)
        end = place.data_offsets[1]
    if end != room:
        msg = f"its tensors have {end} bytes, the file has room for {room}"
        raise ValueError(msg)
    return places, room


def _check_place(name: str, place: _Place, end: int) -> None:
    first, last = place.data_offsets
    if place.dtype not in DTYPES:
        msg = f"{name} has dtype {place.dtype}, known are {', '.join(DTYPES)}"
        raise ValueError(msg)
    size = math.prod(place.shape) * DTYPES[place.dtype].itemsize
    if (first, last) != (end, end + size):
        msg = f"{name} is at bytes {first} to {last}, expected {end} to {end + size}"
        raise ValueError(msg)


def _filled(file: FileIO, size: int) -> mmap.mmap:
    """The rest of the file, in memory that is given back as soon as nobody holds it. Raises `ValueError`."""
    memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_PAGES_FROM_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a system without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    with memoryview(memory) as view:
        done = 0
        while done < size:
            count = file.readinto(view[done:size])
            if not count:
                msg = f"it ended after {done} of {size} bytes of tensors"
                raise ValueError(msg)
            done += count
    return memory


def _tensor(memory: mmap.mmap, place: _Place) -> Tensor:
    dtype, (first, last) = DTYPES[place.dtype], place.data_offsets
    if first == last:
        return torch.empty(place.shape, dtype=dtype)
    found = torch.frombuffer(memory, dtype=torch.uint8, count=last - first, offset=first)
    if first % dtype.itemsize:
        found = found.clone()
    return found.view(dtype).reshape(place.shape)
