"""A small source, a brute-force cosine search and a recipe for the tests of training."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer import FeatureSpec, MuseConfig
from muse_stream.esu_scorer.data import Behaviours, Block, Histories, Part, Source, SourceInfo
from muse_stream.esu_scorer.models.recipe import Recipe
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Retrieval, Retrieved, Rows
from muse_stream.esu_scorer.training import TrainingConfig

Int64 = npt.NDArray[np.int64]

SPEC = FeatureSpec.of({"item": 8, "category": 8, "band": 4}, {"country": 4})
ITEMS, CATEGORIES = 60, 6
SIZES: dict[Part, int] = {"train": 400, "validation": 120, "test": 60}
SMALL = TrainingConfig(
    batch=50, checkpoint_batches=3, refresh_batches=2, report_batches=2, threads=1, dense_rate=1e-3, table_rate=1e-2
)


def item_vectors() -> npt.NDArray[np.int8]:
    """Of items 1..ITEMS; items of one category are alike."""
    rng = np.random.default_rng(9)
    centres = rng.normal(size=(CATEGORIES, 16))
    vectors = centres[np.arange(ITEMS) % CATEGORIES] + 0.5 * rng.normal(size=(ITEMS, 16))
    scaled: npt.NDArray[np.int8] = (127 * vectors / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.int8)
    return scaled


@dataclass
class SmallSource:
    """Users with lifelong histories; a click where the candidate's category is the user's oldest one."""

    name: str = "small"
    users: int = 12
    history: int = 40
    samples: Mapping[Part, int] = field(default_factory=lambda: dict(SIZES))
    block: int = 37
    salt: int = 0
    spec: FeatureSpec = SPEC

    def __post_init__(self) -> None:
        self.info = SourceInfo(self.name, self.spec, "", dict(self.samples))

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        total = self.samples.get(part, 0)
        order = np.arange(total) if seed is None else np.random.default_rng(seed).permutation(total)
        whole = self.whole(part)
        for begin in range(0, total, self.block):
            yield whole.take(order[begin : begin + self.block])

    def whole(self, part: Part) -> Block:
        rng = np.random.default_rng([self.salt, len(part)])
        history = np.random.default_rng([self.salt, 77])
        item = history.integers(1, ITEMS + 1, self.users * self.history)
        behaviours = Behaviours(
            item=item,
            category=(item - 1) % CATEGORIES + 1,
            action=np.ones(len(item), np.uint8),
            time_ms=1_000 * (1 + np.tile(np.arange(self.history), self.users)),
        )
        lows = np.arange(self.users) * self.history
        count = self.samples.get(part, 0)
        owner, candidate = rng.integers(0, self.users, count), rng.integers(1, ITEMS + 1, count)
        stop = rng.integers(self.history // 2, self.history + 1, count)
        category = (candidate - 1) % CATEGORIES + 1
        liked = behaviours.category[lows[owner]] == category
        return Block(
            histories=Histories(100 + np.arange(self.users), lows, lows + self.history, behaviours),
            owner=owner,
            start=np.zeros(count, np.int64),
            stop=stop,
            candidate_features=np.stack([candidate, category, candidate % 5], axis=1),
            user_features=(owner % 3)[:, None],
            time_ms=1_000 * (1 + stop),
            label=liked ^ (rng.random(count) < 0.1),
        )

    def vectors(self) -> Iterator[tuple[Int64, npt.NDArray[np.int8]]]:
        yield np.arange(1, ITEMS + 1), item_vectors()


class BruteForce:
    """Cosines of every pair; the newer of two that are equal first. Notes what it was told of."""

    def __init__(self, vectors: Iterable[tuple[Int64, npt.NDArray[Any]]]) -> None:
        pieces = list(vectors)
        items = np.concatenate([items for items, _ in pieces])
        values = np.concatenate([rows for _, rows in pieces]).astype(np.float64)
        self.table = np.zeros((int(items.max()) + 1, values.shape[1]))
        self.table[items] = values / np.linalg.norm(values, axis=1, keepdims=True)
        self.followed: list[float] = []
        self.retrieved = 0

    def follow(self, model: Model) -> None:
        self.followed.append(float(model.embeddings.table("item").weight.detach().sum()))

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        self.retrieved += len(block)
        places = np.full((len(block), k), -1)
        cosine, near = np.zeros((len(block), k), np.float32), np.zeros((len(block), recent), np.float32)
        present = np.zeros((len(block), recent), bool)
        for row in range(len(block)):
            low, start, stop = block.histories.lows[block.owner[row]], block.start[row], block.stop[row]
            window = block.histories.behaviours.item[low + start : low + stop]
            cosines = (self.table[window] @ self.table[block.item[row]]).astype(np.float32)
            best = np.lexsort((-np.arange(len(window)), -cosines))[:k]
            places[row, : len(best)], cosine[row, : len(best)] = start + best, cosines[best]
            newest = cosines[::-1][:recent]
            near[row, : len(newest)], present[row, : len(newest)] = newest, True
        return Retrieved(places, cosine, near, present)


def make(vectors: Iterable[tuple[Int64, npt.NDArray[Any]]]) -> Retrieval:
    return BruteForce(vectors)


class Following:
    """A cosine search whose answers depend on the tables that it was last told of, as those of a learnt rule do."""

    def __init__(self, search: Retrieval) -> None:
        self.search = search
        self.turn = 0

    def follow(self, model: Model) -> None:
        weight = model.embeddings.table("item").weight.detach()
        self.turn = int(weight.double().sum().item() * 1e7) % 3

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        found = self.search.retrieve(block, k + 3, recent)
        rows = slice(self.turn, self.turn + k)
        return Retrieved(found.places[:, rows], found.cosine[:, rows], found.recent_cosine, found.recent_present)


def following(source: Source, make: MakeRetrieval, rows: Mapping[str, Rows]) -> Following:
    return Following(make(source.vectors()))


RECIPE = Recipe("muse", MuseConfig(tower=(16, 8)), following, k=5, recent=4, length=30)


class Broken(Following):
    """Gives a cosine that is no number from the second batch on."""

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        found = super().retrieve(block, k, recent)
        if isinstance(self.search, BruteForce) and self.search.retrieved > 50:
            found.recent_cosine[:, 2] = np.nan
        return found


def broken(source: Source, make: MakeRetrieval, rows: Mapping[str, Rows]) -> Broken:
    return Broken(make(source.vectors()))
