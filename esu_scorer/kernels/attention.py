"""One candidate against its user's recent and its own retrieved behaviours, and SimTier of its cosines."""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.esu_scorer.kernels.activations import softmax
from muse_stream.esu_scorer.kernels.distinct import NOBODY
from muse_stream.esu_scorer.kernels.jit import F32, I32, Flags, Int, inner
from muse_stream.esu_scorer.kernels.layout import (
    BETA,
    MEAN,
    SA_TA,
    SCALE,
    TAU,
    UNIT,
    WIDTH,
    Arena,
    Columns,
    Network,
)

ATTENTION_FLOOR = np.float32(1e-7)  # as in `network.masks`
BINS = 22  # as in `network.simtier`
TEN = np.float32(10)


@inner
def score_rows(query: F32, row: Int, first: Int, keys: F32, which: I32, count: Int, width: Int, scores: F32) -> None:
    """Products of `query[row, first:]` with the keys of `count` behaviours."""
    for i in range(count):
        total, number = np.float32(0), which[i]
        for j in range(width):
            total += query[row, first + j] * keys[number, j]
        scores[i] = total


@inner
def add_rows(weights: F32, values: F32, first: Int, which: I32, count: Int, width: Int, out: F32, row: Int, at: Int) -> None:
    """Sum of `values[which, first:]` by weight into `out[row, at:]`."""
    for j in range(width):
        out[row, at + j] = np.float32(0)
    for i in range(count):
        weight, number = weights[i], which[i]
        for j in range(width):
            out[row, at + j] += weight * values[number, first + j]


@inner
def attend_recent(network: Network, arena: Arena, recent: Int, row: Int) -> None:
    """The recent branch: keys are values as well."""
    width, which = network.shape[WIDTH], arena.recent_which
    score_rows(arena.queries, row, 0, arena.recent_keys, which, recent, width, arena.scores)
    softmax(arena.scores, recent, ATTENTION_FLOOR)
    add_rows(arena.scores, arena.recent_keys, 0, which, recent, width, arena.inputs, row, 0)


@inner
def attend_retrieved(network: Network, columns: Columns, arena: Arena, candidate: Int, cell_row: Int, row: Int) -> None:
    """The unit and the mean over the retrieved."""
    width, unit = network.shape[WIDTH], network.shape[UNIT]
    which, scores, close, count = arena.which, arena.scores, arena.cosines, 0
    for column in range(arena.cells.shape[1]):
        if arena.cells[cell_row, column] != NOBODY:
            which[count] = arena.cells[cell_row, column]
            close[count] = columns.retrieved_cosine[candidate, column]
            count += 1
    at = width
    if unit > 0:
        score_rows(arena.queries, row, width, arena.projected, which, count, width, scores)
        fuse(network, scores, close, count)
        softmax(scores, count, ATTENTION_FLOOR)
        add_rows(scores, arena.projected, width, which, count, width, arena.inputs, row, at)
        at += width
    if network.shape[MEAN] > 0:
        scores[:count] = np.float32(1) / np.float32(max(count, 1))
        add_rows(scores, arena.behaviours, 0, which, count, width, arena.inputs, row, at)


@inner
def fuse(network: Network, scores: F32, close: F32, count: Int) -> None:
    """What the softmax is taken of: scaled scores, for SA-TA mixed with the cosines."""
    scale, tau = network.scalars[SCALE], network.scalars[TAU]
    ours, theirs, both = network.scalars[BETA], network.scalars[BETA + 1], network.scalars[BETA + 2]
    if network.shape[UNIT] != SA_TA:
        for i in range(count):
            scores[i] *= scale
        return
    for i in range(count):
        score, similarity = scores[i] * scale, close[i] / tau
        scores[i] = ours * score + theirs * similarity + both * score * similarity


@inner
def put_tiers(
    cosines: F32, present: Flags, also: Flags, who: tuple[Int, Int], weights: F32, arena: Arena, row: Int, at: Int
) -> None:
    """SimTier of a candidate's cosines, where `present` and `also` are True in their rows `who`, to `inputs[row, at:]`."""
    candidate, other = who
    counts = np.zeros(BINS, np.int64)
    for column in range(cosines.shape[1]):
        if present[candidate, column] and also[other, column]:
            tier = np.int64(np.ceil(cosines[candidate, column] * TEN)) + 10
            counts[min(max(tier, 0), BINS - 1)] += 1
    for tier in range(BINS):
        arena.inputs[row, at + tier] = arena.logs[counts[tier]] * weights[tier]
