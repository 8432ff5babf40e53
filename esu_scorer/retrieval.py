"""Which behaviours a sample's network looks at: the interface that training, evaluation and export retrieve through.

The composition passes in the engine's own search; nothing in this room searches by cosine for training or serving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.network import Model

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

Vectors = Iterable[tuple[Int64, npt.NDArray[np.int8] | Float32]]
"""Items `[n] int64` and their vectors `[n, d]`, in pieces; int8 as they are, float32 for the search to quantise."""


@dataclass(frozen=True, eq=False, slots=True)
class Retrieved:
    """For each of B samples the behaviours retrieved from its window, and how near the newest ones are.

    Attributes:
        places: `[B, K] int64` rows of the user's history, best first; -1 = none.
        cosine: `[B, K] float32` to the candidate; 0 where none, or where the rule has no cosines.
        recent_cosine: `[B, R] float32`, column j = place `stop-1-j`; 0 where not present.
        recent_present: `[B, R] bool`; False before `start`, or where item or candidate has no vector.

    """

    places: Int64
    cosine: Float32
    recent_cosine: Float32
    recent_present: Bool


class Retrieval(Protocol):
    """Finds behaviours for samples. Equal samples get equal answers, whatever was asked before."""

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """The K best of each sample's window `[start, stop)`, and the cosines of its newest R.

        Args:
            block: Samples.
            k: K.
            recent: R.

        """
        ...


class Rule(Retrieval, Protocol):
    """What a model retrieves by: a retrieval that may depend on the model's own weights."""

    def follow(self, model: Model) -> None:
        """Take the model's present weights, as a copy; a rule without learnt parts ignores them.

        Called before the first `retrieve` and then from time to time while the model is trained. Between two calls
        answers stay what they are, whatever happens to the model.

        Args:
            model: The model that is retrieved for.

        """
        ...


class Rows(Protocol):
    """From ids to rows of an embedding table: a vocabulary."""

    def rows(self, ids: Int64) -> Int64:
        """Table rows of `ids`, of the same shape; 0 = unknown or missing."""
        ...


MakeRetrieval = Callable[[Vectors], Retrieval]
"""Makes a cosine search over given item vectors, all of one width. The composition passes in the engine's: it pads
vectors to a width that it has kernels for, quantises floats, and reads the pieces once."""
