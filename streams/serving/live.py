"""What answers a pass: a model, the engine and the vectors of its space, as one bundle.

Invariant: a pass takes the bundle once and uses nothing else, so no answer mixes two models or two vector spaces; a
swap is the replacement of one reference between two passes. Who still computes with a bundle holds it, so a bundle that
nobody holds has answered its last pass.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import ModelInfo, ServedModel
from muse_stream.gsu_engine import HistorySource, SearchBatch, SearchResult
from muse_stream.streams.serving.gather import Catalogue, Ids


class Engine(Protocol):
    """The part of the GSU engine that requests use."""

    def search(
        self, batch: SearchBatch, k: int, recent: int, source: HistorySource, *, on_device: bool = False
    ) -> SearchResult:
        """Retrieve for every pair of the batch; scores stay on a device too where that is wanted and can be."""
        ...

    def prefetch(self, user: int, source: HistorySource) -> None:
        """Make a user resident."""
        ...


class Vectors(Protocol):
    """Vectors of items in the served space."""

    def lookup(self, items: Ids) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Vectors `[n, d]` and inverse norms `[n]`, 0 = absent."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Live:
    """Everything that follows from which model is in service.

    Attributes:
        space: The vector space served.
        engine: Retrieval in that space.
        vectors: Candidates' vectors in that space.
        catalogue: Features of items in the model's order, and categories.
        model: What scores; None while there is none.

    """

    space: str
    engine: Engine
    vectors: Vectors
    catalogue: Catalogue
    model: ServedModel | None

    @property
    def info(self) -> ModelInfo | None:
        """What the model is."""
        return self.model.info if self.model else None

    @property
    def recent(self) -> int:
        """R of the model, 0 without one."""
        return self.model.info.r if self.model else 0

    @property
    def retrieved(self) -> int:
        """K of the model, 0 without one."""
        return self.model.info.k if self.model else 0
