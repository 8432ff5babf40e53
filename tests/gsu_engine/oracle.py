"""The answer, computed behaviour by behaviour with plain Python, from the published definition alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.contract import SearchBatch, SearchResult

Vectors = dict[int, NDArray[np.int8]]


@dataclass
class History:
    """A user's live behaviours: item ids at positions start, start + 1, ..."""

    start: int
    items: list[int]

    @property
    def stop(self) -> int:
        return self.start + len(self.items)

    def item(self, position: int) -> int:
        return self.items[position - self.start]


def inverse_norm(vector: NDArray[np.int8]) -> np.float32:
    squares = sum(int(x) * int(x) for x in vector)
    return np.float32(1.0 / math.sqrt(squares)) if squares else np.float32(0)


def cosine(
    row: NDArray[np.int8], row_norm: np.float32, candidate: NDArray[np.int8], candidate_norm: np.float32
) -> np.float32:
    dot = int(np.dot(row.astype(np.int64), candidate.astype(np.int64)))
    return np.float32(np.float32(np.float32(dot) * row_norm) * candidate_norm)


def answer(batch: SearchBatch, histories: dict[int, History], vectors: Vectors, k: int, recent: int) -> SearchResult:
    norms = {item: inverse_norm(vector) for item, vector in vectors.items()}
    known = {item: vector for item, vector in vectors.items() if norms[item] > 0}
    result = SearchResult.empty(len(batch.vectors), k, recent)
    for pair, user in enumerate(batch.users.tolist()):
        start, stop = int(batch.starts[pair]), int(batch.stops[pair])
        items = [histories[user].item(p) for p in range(start, stop)]
        allowed = _allowed(batch, pair, stop - start)
        for t in range(int(batch.bounds[pair]), int(batch.bounds[pair + 1])):
            if batch.inv_norms[t] == 0:
                continue
            cosines = {
                item: cosine(known[item], norms[item], batch.vectors[t], batch.inv_norms[t])
                for item in set(items) & known.keys()
            }
            own = 0 if batch.excluded is None else int(batch.excluded[t])
            eligible = [i in cosines and i != own and allowed[at] for at, i in enumerate(items)]
            found = [(cosines[i], start + at) for at, i in enumerate(items) if eligible[at]]
            found.sort(key=lambda pair: (-float(pair[0]), -pair[1]))
            result.count[t] = len(found[:k])
            for rank, (score, position) in enumerate(found[:k]):
                result.scores[t, rank], result.positions[t, rank] = score, position
            for column, item in enumerate(reversed(items[-recent:] if recent else [])):
                if item in cosines:
                    result.recent_scores[t, column] = cosines[item]
                    result.recent_present[t, column] = True
    return result


def _allowed(batch: SearchBatch, pair: int, rows: int) -> Sequence[bool]:
    mask = None if batch.allowed is None else batch.allowed[pair]
    if mask is None:
        return [True] * rows
    if mask.dtype == np.uint8:
        return [bool(mask[i // 8] >> (i % 8) & 1) for i in range(rows)]
    return [bool(x) for x in mask]


def assert_identical(got: SearchResult, expected: SearchResult) -> None:
    """Bit for bit: scores are compared as integers, so that 0 and -0 differ."""
    np.testing.assert_array_equal(got.count, expected.count)
    np.testing.assert_array_equal(got.positions, expected.positions)
    np.testing.assert_array_equal(got.scores.view(np.uint32), expected.scores.view(np.uint32))
    np.testing.assert_array_equal(got.recent_present, expected.recent_present)
    np.testing.assert_array_equal(got.recent_scores.view(np.uint32), expected.recent_scores.view(np.uint32))
    assert got.count.dtype == np.int32
    assert got.positions.dtype == np.int64
    assert got.scores.dtype == got.recent_scores.dtype == np.float32
