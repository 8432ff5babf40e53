"""Random blocks, models and a plain cosine search for the tests of models."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from muse_stream.esu_scorer import FeatureSpec, Vocabulary
from muse_stream.esu_scorer.config import MuseConfig, NetworkConfig
from muse_stream.esu_scorer.data import Behaviours, Block, Histories, Part, SourceInfo
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import Retrieved

Int64 = npt.NDArray[np.int64]

SPEC = FeatureSpec.of({"item": 4, "category": 4}, {"group": 4})
ITEMS, CATEGORIES, WIDTH = 30, 5, 8
KNOWN = {"item": Vocabulary.of(range(1, 26)), "category": Vocabulary.of(range(1, 5)), "group": Vocabulary.of([1, 2])}
ABSENT = (3, 7, 11)  # items without a vector


def category_of(items: Int64) -> Int64:
    """Of every item; one in `CATEGORIES` is not known."""
    return items % CATEGORIES


def vectors() -> tuple[Int64, npt.NDArray[np.int8]]:
    items = np.setdiff1d(np.arange(1, ITEMS + 1), ABSENT)
    return items, np.random.default_rng(5).integers(-127, 128, (len(items), WIDTH)).astype(np.int8)


def block(seed: int, *, users: int = 3, longest: int = 12, samples: int = 7, items: int = ITEMS) -> Block:
    """Random histories (also empty ones), windows (also empty ones) and candidates. `items` few = many repeats."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, users)
    highs = np.cumsum(lengths)
    item = rng.integers(1, items + 1, int(highs[-1]))
    owner = rng.integers(0, users, samples)
    stop = rng.integers(0, lengths[owner] + 1)
    start = rng.integers(0, stop + 1)
    candidate = rng.integers(1, ITEMS + 1, samples)
    zeros = np.zeros(len(item), np.int64)
    return Block(
        histories=Histories(
            np.arange(users) + 50,
            highs - lengths,
            highs,
            Behaviours(item, category_of(item), zeros.astype(np.uint8), zeros),
        ),
        owner=owner,
        start=start,
        stop=stop,
        candidate_features=np.stack((candidate, category_of(candidate)), axis=1),
        user_features=rng.integers(1, 3, (samples, 1)),
        time_ms=np.zeros(samples, np.int64),
        label=rng.random(samples) < 0.5,
    )


@dataclass
class OneBlock:
    """A source of one block."""

    block: Block
    info: SourceInfo = SourceInfo("one block", SPEC, "", {})  # noqa: RUF009

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        yield self.block

    def vectors(self) -> Iterator[tuple[Int64, npt.NDArray[np.int8]]]:
        yield vectors()


class Search:
    """Cosines of all, one sample at a time, in float64."""

    def __init__(self, pieces: Iterable[tuple[Int64, npt.NDArray[Any]]]) -> None:
        self.vectors = {
            item: row.astype(np.float64) / np.linalg.norm(row.astype(np.float64))
            for items, rows in pieces
            for item, row in zip(items.tolist(), rows, strict=True)
        }

    def cosine(self, one: int, other: int) -> float | None:
        if one not in self.vectors or other not in self.vectors:
            return None
        return float(np.float32(self.vectors[one] @ self.vectors[other]))

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        places, cosine = np.full((len(block), k), -1, np.int64), np.zeros((len(block), k), np.float32)
        near, present = np.zeros((len(block), recent), np.float32), np.zeros((len(block), recent), np.bool_)
        for row in range(len(block)):
            cosines = {place: self.cosine(item, int(block.item[row])) for place, item in enumerate_window(block, row)}
            scores = {place: value for place, value in cosines.items() if value is not None}
            best = ranked(scores)[:k]
            places[row, : len(best)], cosine[row, : len(best)] = best, [scores[place] for place in best]
            for column, place in enumerate(sorted(cosines, reverse=True)[:recent]):
                if place in scores:
                    near[row, column], present[row, column] = scores[place], True
        return Retrieved(places, cosine, near, present)


def enumerate_window(block: Block, row: int) -> list[tuple[int, int]]:
    """Places and items of a sample's window."""
    low = int(block.histories.lows[block.owner[row]])
    places = range(int(block.start[row]), int(block.stop[row]))
    return [(place, int(block.histories.behaviours.item[low + place])) for place in places]


def ranked(scores: dict[int, float]) -> list[int]:
    """Places, the highest score first, of equal ones the newer."""
    return sorted(scores, key=lambda place: (-scores[place], -place))


def listed(retrieved: Retrieved) -> list[list[int]]:
    """Places of each sample; checks that what is missing comes last."""
    for row in retrieved.places.tolist():
        assert all(place == -1 for place in row[row.index(-1) :]) if -1 in row else True
    return [[place for place in row if place >= 0] for row in retrieved.places.tolist()]


def model(config: NetworkConfig | None = None, seed: int = 2) -> Model:
    """First weights, with embeddings large enough to matter."""
    made = Model(SPEC, config or MuseConfig(tower=(8,)), {name: known.row_count for name, known in KNOWN.items()})
    made.reset(seed)
    with torch.no_grad():
        for name in KNOWN:
            made.embeddings.table(name).weight.mul_(500.0)
    return made
