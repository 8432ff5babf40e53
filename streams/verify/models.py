"""The artefact that a digest names, found among directories; what the last step of its network reads.

Invariant: a model is used under the digest that it was found by: `Artefact.load` computes it from what it read.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Artefact, ScoreBatch, Scorer, ServedModel
from muse_stream.esu_scorer.artefact import MANIFEST_FILE
from muse_stream.esu_scorer.errors import EsuError
from muse_stream.esu_scorer.scorer import Stages

Models = Callable[[str], ServedModel | None]
"""The model of a digest; None where it is not here."""

log = logging.getLogger(__name__)


@runtime_checkable
class WithStages(Protocol):
    """A model that shows what it computes on the way."""

    def stages(self, batch: ScoreBatch) -> Stages:
        """The named stages of a pass."""
        ...


class _OnlyDigest(msgspec.Struct):
    digest: str = ""


class Shelf:
    """Artefacts below some directories, each loaded when it is first asked for.

    A directory is an artefact itself, or has artefacts as children. Those that come later are found too.
    """

    def __init__(self, directories: Iterable[Path], device: str = "cpu") -> None:
        """Look nowhere yet; `device` as `Scorer` takes it."""
        self._directories, self._device = list(directories), device
        self._loaded: dict[str, ServedModel] = {}

    def __call__(self, digest: str) -> ServedModel | None:
        """The model of a digest. What cannot be loaded is logged and not here."""
        if digest not in self._loaded:
            for path in self._paths():
                if _named(path) == digest:
                    self._load(digest, path)
        return self._loaded.get(digest)

    def add(self, model: ServedModel) -> None:
        """Put a model on the shelf that lies in no directory."""
        self._loaded[model.info.digest] = model

    def _load(self, digest: str, path: Path) -> None:
        try:
            self._loaded[digest] = Scorer(Artefact.load(path), self._device)
        except (EsuError, OSError) as error:
            log.warning("%s says that it is %s… and cannot be used: %s", path, digest[:16], error)

    def _paths(self) -> Iterator[Path]:
        for directory in self._directories:
            if (directory / MANIFEST_FILE).is_file():
                yield directory
            elif directory.is_dir():
                yield from sorted(path for path in directory.iterdir() if (path / MANIFEST_FILE).is_file())


def _named(path: Path) -> str:
    """The digest that a manifest claims."""
    try:
        return msgspec.json.decode((path / MANIFEST_FILE).read_bytes(), type=_OnlyDigest).digest
    except (OSError, msgspec.DecodeError):
        return ""


def step_gaps(model: ServedModel, batch: ScoreBatch) -> NDArray[np.float32]:
    """How far apart the two numbers are that the last Dice reads, `[T] float32`; infinite where a model has no such.

    There Dice is a step (docs/model.md): where both are equal to rounding, a score has two right values.
    """
    found = model.stages(batch).stages.get("before_step") if isinstance(model, WithStages) else None
    if found is None:
        return np.full(batch.candidate_count, np.inf, np.float32)
    gaps: NDArray[np.float32] = np.abs(found[:, 1] - found[:, 0])
    return gaps
