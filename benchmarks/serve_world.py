"""Made-up items and histories for requests: vectors in clusters, categories, features, users of a given length.

Invariant: the same sizes give the same world, to the bit. Every item has a vector, which is the dearest case (in public
data 15 % of the items of a history have one), and a history draws from all items alike, so that of 100 000 behaviours
among 120 000 items a third are repeats.
"""

from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Artefact, FeatureSpec
from muse_stream.gsu_engine import quantise
from muse_stream.streams.demo.feed import Records
from muse_stream.streams.wire import encode

I64 = NDArray[np.int64]

DIMENSION = 128
SPACE = "v1"
OTHER_SPACE = "v2"
ITEMS_PER_CATEGORY = 120
NOISE = 1.0  # of a cluster's own spread: cosines within a category are around 0.5, across around 0
FEATURES = 1_000  # distinct ids of each other feature
FIRST_TIME_MS = 1_700_000_000_000
SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class World:
    """The items.

    Attributes:
        item: `[n] int64` ids 1..n.
        category: `[n] int64`.
        features: `[n, 2] int64`, the public data set's further item features.
        vectors: `[n, 128] int8`.

    """

    item: I64
    category: I64
    features: I64
    vectors: NDArray[np.int8]

    @classmethod
    def of(cls, items: int) -> "World":
        """Draw a world of so many items."""
        rng = np.random.default_rng(0)
        categories = -(-items // ITEMS_PER_CATEGORY)
        category = rng.integers(1, categories + 1, items)
        centres = rng.standard_normal((categories + 1, DIMENSION), np.float32)
        vectors = centres[category] + np.float32(NOISE) * rng.standard_normal((items, DIMENSION), np.float32)
        features = rng.integers(1, FEATURES + 1, (items, 2))
        return cls(np.arange(1, items + 1), category, features, quantise(vectors))

    def candidates(self, rng: np.random.Generator, count: int) -> list[int]:
        """Distinct items."""
        drawn: list[int] = rng.choice(self.item, count, replace=False).tolist()
        return drawn

    def item_records(self, *, other_space: bool = False) -> Records:
        """Records of the items topic; `other_space`: with the vectors of another item in a second space each."""
        names = FeatureSpec.taobao_mm().candidate_names[2:]
        others = ({OTHER_SPACE: other} for other in self.vectors[::-1]) if other_space else repeat(None)
        columns = zip(self.item.tolist(), self.category.tolist(), self.features.tolist(), self.vectors, strict=True)
        return Records.of(
            encode.encode_item(
                item,
                category=category,
                features=dict(zip(names, ids, strict=True)),
                vector=vector,
                space=SPACE,
                more=more,
            )
            for (item, category, ids, vector), more in zip(columns, others, strict=False)
        )

    def artefact(self, *, seed: int = 0, space: str = SPACE, version: str = "benchmark-untrained") -> Artefact:
        """A seeded, untrained model of the released network's shape that knows every item."""
        spec = FeatureSpec.taobao_mm()
        others = {name: np.arange(1, FEATURES + 1) for name in (*spec.candidate_names[2:], *spec.user_names)}
        vocabularies = {"item": self.item, "category": np.unique(self.category), **others}
        return Artefact.untrained(spec, vocabularies, seed=seed, space=space, version=version)

    def histories(self, users: list[int], length: int, partition_count: int) -> list[encode.Encoded]:
        """Frames that give each user `length` behaviours."""
        rng = np.random.default_rng(length)
        frames = []
        for user in users:
            rows = rng.integers(0, len(self.item), length)
            frames += encode.encode_behaviours(
                np.full(length, user, np.int64),
                self.item[rows],
                FIRST_TIME_MS + SECOND_MS * np.arange(length),
                rng.integers(0, 6, length).astype(np.uint8),
                partition_count=partition_count,
                category=self.category[rows],
            )
        return frames


def user_records(users: list[int]) -> Records:
    """Records of the users topic: every feature of the released network."""
    rng = np.random.default_rng(1)
    names = FeatureSpec.taobao_mm().user_names
    ids = rng.integers(1, FEATURES + 1, (len(users), len(names))).tolist()
    return Records.of(
        encode.encode_user(user, dict(zip(names, row, strict=True))) for user, row in zip(users, ids, strict=True)
    )
