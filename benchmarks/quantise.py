"""What int8 rows keep of float32 vectors: recall@50 and error of the cosine, beside plain truncation.

Both sides of a search are int8, as in the engine. The peer is the form in which the public data set comes: a unit
vector times 127, cut off to whole numbers. `--file` takes vectors of your own.
"""

from pathlib import Path

import numpy as np

from muse_stream.benchmarks.report import Row, higher_is_better, lower_is_better
from muse_stream.benchmarks.vectors import F32, unit_vectors
from muse_stream.gsu_engine import quantise

K = 50
TRUNCATED = "trunc(127 v)"


def run(
    *, dimensions: str = "128,256,512,1024", items: int = 50_000, candidates: int = 200, file: str = ""
) -> list[Row]:
    """Two rows per width.

    Args:
        dimensions: Widths of generated vectors, separated by commas.
        items: Vectors that are searched.
        candidates: Vectors that are searched with.
        file: A .npy file `[n, d]` of float vectors; its last rows are the candidates. Replaces the generated ones.

    """
    if file:
        loaded = np.load(Path(file)).astype(np.float32)
        return _rows(_unit(loaded[:-candidates]), _unit(loaded[-candidates:]))
    found = []
    for dimension in map(int, dimensions.split(",")):
        vectors = unit_vectors(np.random.default_rng(dimension), items + candidates, dimension)
        found += _rows(vectors[:items], vectors[items:])
    return found


def _rows(vectors: F32, candidates: F32) -> list[Row]:
    truth = candidates @ vectors.T  # (C, n)
    best = _best(truth)
    ours = _unit(quantise(candidates)) @ _unit(quantise(vectors)).T
    theirs = _unit(_truncate(candidates)) @ _unit(_truncate(vectors)).T
    name = f"d={vectors.shape[1]}"
    recalls = [_recall(_best(scores), best) for scores in (ours, theirs)]
    errors = [float(np.abs(np.take_along_axis(scores - truth, best, axis=1)).mean()) for scores in (ours, theirs)]
    return [
        higher_is_better(f"{name}: recall@{K}", recalls[0], "share", {TRUNCATED: recalls[1]}),
        lower_is_better(f"{name}: mean error of the {K} best cosines", errors[0], "", {TRUNCATED: errors[1]}),
    ]


def _truncate(vectors: F32) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    return np.trunc(127 * np.clip(vectors, -1, 1)).astype(np.int8)


def _unit(vectors: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> F32:
    """Rows divided by their norm; a row of zeros stays one."""
    wide: F32 = vectors.astype(np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    np.divide(wide, norms, out=wide, where=norms > 0)
    return wide


def _best(scores: F32) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.argpartition(scores, -K, axis=1)[:, -K:]


def _recall(
    found: np.ndarray[tuple[int, ...], np.dtype[np.int64]], truth: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> float:
    shared = [len(np.intersect1d(one, other)) for one, other in zip(found, truth, strict=True)]
    return float(np.mean(shared)) / K
