"""From what was seen of users to features, by the code that serves: the engine's search, then the columns of a pass.

Invariant: features of one request follow from its history, its candidates and the items' moment alone; which others are
searched beside it changes no bit (`gsu_engine.contract`).
"""

from dataclasses import dataclass

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.gsu_engine import GsuEngine
from muse_stream.streams.export.items import ItemTables
from muse_stream.streams.export.searches import Searches, Wanted
from muse_stream.streams.serving.features import RequestFeatures, features_of
from muse_stream.streams.serving.gather import score_batch


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model reads: its features, K and R, and the vector space of its cosines."""

    spec: FeatureSpec
    k: int
    r: int
    space: str


class Sampler:
    """Collects what is wanted at one moment of the items, and computes it together."""

    def __init__(self, tables: ItemTables, engine: GsuEngine, shape: Shape, length: int) -> None:
        """Prepare; `length` newest behaviours of each history come along."""
        self._catalogue, self._shape, self._length = tables.catalogue, shape, length
        self._searches = Searches(tables.spaces[shape.space], engine)

    def takes(self, wanted: Wanted) -> bool:
        """Whether this one can be computed together with those that wait."""
        return self._searches.takes(wanted)

    def add(self, wanted: Wanted) -> None:
        """Let it wait; `takes` must allow it."""
        self._searches.add(wanted)

    def compute(self) -> list[RequestFeatures]:
        """Features of all that wait, in the order in which they came; none wait afterwards."""
        shape, catalogue = self._shape, self._catalogue
        requests = self._searches.search(shape.k, shape.r, shape.spec.user_names)
        if not requests:
            return []
        columns = score_batch(requests, catalogue, retrieved=shape.k, recent=shape.r)
        parts = zip(requests, columns.split(), strict=True)
        return [features_of(request, part, catalogue, self._length) for request, part in parts]
