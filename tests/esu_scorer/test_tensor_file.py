"""Our reading of a safetensors file gives what the library's gives, and refuses what is not one."""

import gc
import json
import mmap
import weakref
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from muse_stream.esu_scorer import tensor_file
from muse_stream.esu_scorer.errors import ArtefactCorruptError
from muse_stream.esu_scorer.tensor_file import read_tensors

TENSORS = {
    "weights": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
    "ids": torch.tensor([-(2**62), 5, 7]),
    "empty": torch.zeros(0, 4),
    "scalar": torch.tensor(3.5, dtype=torch.float64),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "flags": torch.tensor([True, False, True]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "one", metadata={"format": "pt"})
    return tmp_path / "one"


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor), name


def test_it_gives_what_the_library_gives(file: Path) -> None:
    assert_same(read_tensors(file), load_file(file))
    assert_same(read_tensors(file), TENSORS)


def test_many_bytes_in_short_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {"many": torch.arange(1 << 20), "more": torch.ones(5)}
    save_file(many, tmp_path / "one")

    class Short(FileIO):
        def readinto(self, buffer: Any) -> int | None:
            return super().readinto(memoryview(buffer)[:1_000_003])

    monkeypatch.setattr(tensor_file, "FileIO", Short)
    assert_same(read_tensors(tmp_path / "one"), many)


def test_a_file_without_tensors(tmp_path: Path) -> None:
    save_file({}, tmp_path / "one")
    assert read_tensors(tmp_path / "one") == {}


def written(path: Path, places: dict[str, Any], data: bytes) -> Path:
    """A file of this header and these bytes."""
    header = json.dumps(places).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def test_tensors_that_are_not_aligned_are_read(tmp_path: Path) -> None:
    places = {
        "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "ids": {"dtype": "I64", "shape": [2], "data_offsets": [1, 17]},
    }
    data = b"\x07" + b"".join(number.to_bytes(8, "little") for number in (1, 2))
    found = read_tensors(written(tmp_path / "one", places, data))
    assert (found["byte"].tolist(), found["ids"].tolist()) == ([7], [1, 2])
    assert found["ids"].data_ptr() % 8 == 0


def place(first: int, last: int, shape: list[int], dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ({"a": place(0, 3, [3])}, "its tensors have 3 bytes, the file has room for 4"),
        ({"a": place(0, 5, [5])}, "its tensors have 5 bytes, the file has room for 4"),
        ({"a": place(0, 2, [2]), "b": place(1, 4, [3])}, "b is at bytes 1 to 4, expected 2 to 5"),
        ({"a": place(0, 1, [1]), "b": place(2, 4, [2])}, "b is at bytes 2 to 4, expected 1 to 3"),
        ({"a": place(0, 4, [3])}, "a is at bytes 0 to 4, expected 0 to 3"),
        ({"a": place(0, 4, [1], "F8")}, "dtype F8, known are BOOL"),
        ({"a": place(0, 4, [-4])}, "Expected `int` >= 0"),
        ({"a": place(0, 4, [2**40, 2**40])}, "a is at bytes 0 to 4"),
        ({"a": {"dtype": "U8", "shape": [4]}}, "missing required field `data_offsets`"),
        ({"a": 3}, "Expected `object`"),
    ],
)
def test_a_header_that_does_not_fit_the_file(tmp_path: Path, places: dict[str, Any], told: str) -> None:
    with pytest.raises(ArtefactCorruptError, match=f"is not a whole safetensors file.*{told}"):
        read_tensors(written(tmp_path / "one", places, b"1234"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:7],
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: (2**63).to_bytes(8, "little") + data[8:],
        lambda data: data[:8] + b"\xff" + data[9:],
    ],
)
def test_a_file_that_is_cut_or_longer_or_no_such_file(file: Path, spoil: Callable[[bytes], bytes]) -> None:
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ArtefactCorruptError, match="is not a whole safetensors file"):
        read_tensors(file)


def test_a_file_that_is_cut_while_it_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(FileIO):
        def readinto(self, buffer: Any) -> int | None:
            file.write_bytes(file.read_bytes()[:-3])
            return super().readinto(buffer)

    monkeypatch.setattr(tensor_file, "FileIO", Cut)
    with pytest.raises(ArtefactCorruptError, match="it ended after"):
        read_tensors(file)


def test_the_memory_goes_with_the_last_tensor(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(mmap.mmap):
        pass

    made: list[weakref.ref[Seen]] = []

    def room(fileno: int, length: int, *, flags: int) -> Seen:
        memory = Seen(fileno, length, flags=flags)
        made.append(weakref.ref(memory))
        return memory

    monkeypatch.setattr(mmap, "mmap", room)
    tensors = read_tensors(file)
    kept = tensors["ids"]
    tensors.clear()
    gc.collect()
    assert made[0]() is not None
    assert kept.tolist() == TENSORS["ids"].tolist()
    del kept
    gc.collect()
    assert made[0]() is None
