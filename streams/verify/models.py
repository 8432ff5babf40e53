"""The artefact that a digest names, found among directories; what the last step of its network reads.

Invariant: a model is used under the digest that it has: loading computes it from what was read.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import ScoreBatch, ServedModel, load_model
from muse_stream.esu_scorer.artefact import MANIFEST_FILE
from muse_stream.esu_scorer.errors import EsuError
from muse_stream.esu_scorer.scorer import Stages

Models = Callable[[str], ServedModel | None]
"""The model of a digest; None where it is not here."""
AGAIN_SECONDS = 30.0
"""So long a digest that was not found is not looked for: a store may be far away."""

log = logging.getLogger(__name__)


@runtime_checkable
class WithStages(Protocol):
    """A model that shows what it computes on the way."""

    def stages(self, batch: ScoreBatch) -> Stages:
        """The named stages of a pass."""
        ...


class _OnlyDigest(msgspec.Struct):
    digest: str = ""


def unknown(digest: str) -> Iterable[Path]:
    """Knows no digest."""
    del digest
    return ()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where artefacts are looked for.

    Attributes:
        directories: An artefact itself each, or with artefacts as children.
        elsewhere: Gives directories of a digest that is in none of these, the likeliest first.

    """

    directories: Sequence[Path]
    elsewhere: Callable[[str], Iterable[Path]] = unknown


class Shelf:
    """Models by digest, each loaded when it is first asked for. Artefacts that come later are found too."""

    def __init__(self, sources: Sources, device: str = "cpu", threads: int = 1) -> None:
        """Look nowhere yet; `device` and `threads` as `load_model` takes them."""
        self._sources, self._device, self._threads = sources, device, threads
        self._loaded: dict[str, ServedModel] = {}
        self._missed: dict[str, float] = {}

    def __call__(self, digest: str) -> ServedModel | None:
        """The model of a digest. What cannot be loaded is logged, not here, and looked for again after a while."""
        missed = self._missed.get(digest)
        if digest not in self._loaded and (missed is None or time.monotonic() - missed > AGAIN_SECONDS):
            self._missed[digest] = time.monotonic()
            self._look(digest)
        return self._loaded.get(digest)

    def add(self, model: ServedModel) -> None:
        """Put a model on the shelf that lies in no directory."""
        self._loaded[model.info.digest] = model

    def _look(self, digest: str) -> None:
        """Take the first that is whole: a copy that was damaged does not hide another one."""
        try:
            named = (path for path in self._paths() if _named(path) == digest)
            for path in chain(named, self._sources.elsewhere(digest)):
                if self._load(path, digest):
                    return
        except (EsuError, OSError) as error:
            _refused(digest, error)

    def _load(self, path: Path, digest: str) -> bool:
        try:
            model = load_model(path, device=self._device, threads=self._threads)
        except (EsuError, OSError) as error:
            _refused(digest, error)
            return False
        if model.info.digest == digest:
            self._loaded[digest] = model
        return digest in self._loaded

    def _paths(self) -> Iterator[Path]:
        for directory in self._sources.directories:
            if (directory / MANIFEST_FILE).is_file():
                yield directory
            elif directory.is_dir():
                yield from sorted(path for path in directory.iterdir() if (path / MANIFEST_FILE).is_file())


def _refused(digest: str, error: Exception) -> None:
    log.warning("model %s… cannot be used: %s", digest[:16], error)


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
