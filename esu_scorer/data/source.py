"""Where samples come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.features import FeatureSpec

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a table or an artefact says of the data.

    Attributes:
        name: Of the data set, with what tells it from others (a seed, a dial).
        spec: Features in the order of a block's columns.
        caveat: What every table of results must say beside them; empty = nothing.
        samples: Samples by part where they are known without reading everything; else missing.

    """

    name: str
    spec: FeatureSpec
    caveat: str
    samples: Mapping[Part, int]


class Source(Protocol):
    """A data set. Reading it twice with the same seed gives the same blocks."""

    info: SourceInfo

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        """Samples of a part.

        Args:
            part: Which.
            seed: Shuffle with it, within a window of samples that the source chooses; None = in the source's order.

        Raises:
            DataError: Bad input; the text names file, column and row.

        """
        ...

    def vectors(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]]:
        """Items `[n] int64` and their vectors `[n, d] int8`, in pieces; an item without one does not come."""
        ...
