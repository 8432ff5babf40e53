"""Small blocks with what is awkward: repeats, items without vectors, empty windows and histories, shared rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.retrieval import Retrieved
from tests.gsu_engine.oracle import cosine, inverse_norm

Vectors = dict[int, NDArray[np.int8]]


def behaviours_of(items: NDArray[np.int64]) -> Behaviours:
    count = len(items)
    return Behaviours(items, items % 3, np.zeros(count, np.uint8), np.arange(count, dtype=np.int64))


def random_vectors(rng: np.random.Generator, items: int, width: int = 64) -> Vectors:
    """Few distinct directions, so that scores tie; every fourth item has none."""
    directions = rng.integers(-127, 128, (5, width)).astype(np.int8)
    return {item: directions[rng.integers(5)] for item in range(1, items + 1) if item % 4}


def random_histories(rng: np.random.Generator, behaviours: Behaviours, users: int) -> Histories:
    cuts = np.sort(rng.integers(0, len(behaviours) + 1, users - 1))
    edges = np.concatenate(([0], cuts, [len(behaviours)])).astype(np.int64)
    return Histories(rng.permutation(users).astype(np.int64), edges[:-1], edges[1:], behaviours)


def random_block(rng: np.random.Generator, histories: Histories, items: int, samples: int) -> Block:
    owner = rng.integers(0, len(histories.user), samples)
    lengths = (histories.highs - histories.lows)[owner]
    stop = rng.integers(0, lengths + 1)
    candidate = rng.integers(0, items + 2, samples)
    return Block(
        histories,
        owner,
        rng.integers(0, stop + 1),
        stop,
        np.stack([candidate, candidate % 3], axis=1),
        np.zeros((samples, 0), np.int64),
        np.zeros(samples, np.int64),
        rng.random(samples) < 0.5,
    )


def expected(block: Block, vectors: Vectors, k: int, recent: int) -> Retrieved:
    """The answer by the definition, behaviour by behaviour."""
    size = len(block)
    want = Retrieved(
        np.full((size, k), -1, np.int64),
        np.zeros((size, k), np.float32),
        np.zeros((size, recent), np.float32),
        np.zeros((size, recent), np.bool_),
    )
    for sample in range(size):
        low = int(block.histories.lows[block.owner[sample]])
        places = range(int(block.start[sample]), int(block.stop[sample]))
        items = {place: int(block.histories.behaviours.item[low + place]) for place in places}
        scores = _scores(items, vectors.get(int(block.item[sample])), vectors)
        best = sorted(scores, key=lambda place: (-scores[place], -place))[:k]
        want.places[sample, : len(best)] = best
        want.cosine[sample, : len(best)] = [scores[place] for place in best]
        for column, place in enumerate(list(reversed(places))[:recent]):
            if place in scores:
                want.recent_cosine[sample, column], want.recent_present[sample, column] = scores[place], True
    return want


def _scores(items: dict[int, int], candidate: NDArray[np.int8] | None, vectors: Vectors) -> dict[int, np.float32]:
    if candidate is None:
        return {}
    norm = inverse_norm(candidate)
    known = {place: vectors[item] for place, item in items.items() if item in vectors}
    return {place: cosine(row, inverse_norm(row), candidate, norm) for place, row in known.items()}


def assert_same(found: Retrieved, want: Retrieved) -> None:
    for name in Retrieved.__slots__:
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name), err_msg=name)


def pieces(vectors: Vectors, size: int = 7) -> Sequence[tuple[NDArray[np.int64], NDArray[np.int8]]]:
    items = sorted(vectors)
    return [
        (np.array(items[low : low + size], np.int64), np.stack([vectors[item] for item in items[low : low + size]]))
        for low in range(0, len(items), size)
    ]
