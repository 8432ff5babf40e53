"""Checkpoints of a run: a directory each, whole or not there, the newest two kept.

    checkpoints/batch-000012000/state.safetensors  `weight/<parameter>`, `optimiser/<parameter>/<part>`, `rng` (Torch's)
    checkpoints/batch-000012000/checkpoint.json    position in the data, CRC-32 of the other file

Invariant: with a checkpoint, its run's settings and its run's vocabularies, training goes on as if never stopped.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.files import new_directory

STATE_FILE, POSITION_FILE = "state.safetensors", "checkpoint.json"
KEPT = 2
READ_BYTES = 1 << 20


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a run has come.

    Attributes:
        batches: Steps done.
        samples: Samples learnt from, over all epochs.
        epoch: Epoch of the next batch, from 0.
        epoch_samples: Samples done of this epoch.
        seen: CRC-32 of these samples, so that another source is noticed.

    """

    batches: int = 0
    samples: int = 0
    epoch: int = 0
    epoch_samples: int = 0
    seen: int = 0


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    position: Position
    checksum: int


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """Position and tensors of a run."""

    position: Position
    tensors: Mapping[str, Tensor]

    def save(self, directory: Path) -> None:
        """Write into `directory`, then remove all but the newest two. Raises `OSError`."""
        path = directory / f"batch-{self.position.batches:09d}"
        if path.exists():
            return
        with new_directory(path) as staging:
            save_file({name: tensor.contiguous() for name, tensor in self.tensors.items()}, staging / STATE_FILE)
            saved = _Saved(self.position, _checksum(staging / STATE_FILE))
            (staging / POSITION_FILE).write_bytes(msgspec.json.encode(saved))
        for old in _all(directory)[:-KEPT]:
            shutil.rmtree(old)

    @classmethod
    def newest(cls, directory: Path) -> Checkpoint | None:
        """Read the newest; None where there is none. Raises `TrainingError`: it is damaged."""
        found = _all(directory)
        return cls._load(found[-1]) if found else None

    @classmethod
    def _load(cls, path: Path) -> Checkpoint:
        try:
            saved = msgspec.json.decode((path / POSITION_FILE).read_bytes(), type=_Saved)
            checksum = _checksum(path / STATE_FILE)
            if checksum != saved.checksum:
                _refuse(path, f"{STATE_FILE} has CRC-32 {checksum:08x}, expected {saved.checksum:08x}")
            return cls(saved.position, load_file(path / STATE_FILE))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, SafetensorError) as error:
            _refuse(path, str(error), error)


def _refuse(path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    msg = f"checkpoint {path} is damaged: {reason}; remove this directory to go on from the checkpoint before it"
    raise TrainingError(msg) from cause


def _all(directory: Path) -> list[Path]:
    """Oldest first; staging directories of a killed run begin with a dot."""
    return sorted(directory.glob("batch-*"))


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            total = zlib.crc32(piece, total)
    return total
