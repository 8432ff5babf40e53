"""One candidate against its user's recent and its own retrieved behaviours, and SimTier of its cosines."""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.esu_scorer.kernels.activations import softmax
from muse_stream.esu_scorer.kernels.distinct import NOBODY
from muse_stream.esu_scorer.kernels.jit import F32, I32, Flags, Int, inner
from muse_stream.esu_scorer.kernels.layout import BETA, MEAN, PADDED, SA_TA, SCALE, TAU, UNIT, Arena, Columns, Network
from muse_stream.esu_scorer.kernels.vectors import BLOCK, FLOAT_BYTES, TIERS, products, tier, weighted_sum

ATTENTION_FLOOR = np.float32(1e-7)  # as in `network.masks`


@inner
def place(array: F32, row: Int, column: Int) -> Int:
    """Address of a cell."""
    return array.ctypes.data + row * array.strides[0] + column * FLOAT_BYTES


@inner
def score_rows(query: Int, blocks: Int, keys: F32, which: I32, count: Int, scores: F32) -> None:
    """Products of the query at an address with the keys of `count` behaviours, which begin their rows."""
    products(query, blocks, keys.ctypes.data, keys.strides[0], which.ctypes.data, count, scores.ctypes.data)


@inner
def add_rows(weights: F32, rows: F32, first: Int, which: I32, count: Int, blocks: Int, out: Int) -> None:
    """Sum of `rows[which, first:]` by weight to an address."""
    data, stride = place(rows, 0, first), rows.strides[0]
    weighted_sum(weights.ctypes.data, blocks, data, stride, which.ctypes.data, count, out)


@inner
def attend_recent(network: Network, arena: Arena, recent: Int, row: Int) -> None:
    """The recent branch: keys are values as well."""
    blocks, which = network.shape[PADDED] // BLOCK, arena.recent_which
    score_rows(place(arena.queries, row, 0), blocks, arena.recent_keys, which, recent, arena.scores)
    softmax(arena.scores, recent, ATTENTION_FLOOR)
    add_rows(arena.scores, arena.recent_keys, 0, which, recent, blocks, place(arena.inputs, row, 0))


@inner
def attend_retrieved(network: Network, columns: Columns, arena: Arena, candidate: Int, cell_row: Int, row: Int) -> None:
    """The unit and the mean over the retrieved."""
    padded = network.shape[PADDED]
    which, scores, close, count = arena.which, arena.scores, arena.cosines, 0
    for column in range(arena.cells.shape[1]):
        if arena.cells[cell_row, column] != NOBODY:
            which[count] = arena.cells[cell_row, column]
            close[count] = columns.retrieved_cosine[candidate, column]
            count += 1
    at, blocks = padded, padded // BLOCK
    if network.shape[UNIT] > 0:
        score_rows(place(arena.queries, row, padded), blocks, arena.projected, which, count, scores)
        fuse(network, scores, close, count)
        softmax(scores, count, ATTENTION_FLOOR)
        add_rows(scores, arena.projected, padded, which, count, blocks, place(arena.inputs, row, at))
        at += padded
    if network.shape[MEAN] > 0:
        scores[:count] = np.float32(1) / np.float32(max(count, 1))
        add_rows(scores, arena.behaviours, 0, which, count, blocks, place(arena.inputs, row, at))


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
    """SimTier of the cosines at which `present` and `also` are True in their rows `who`, to `inputs[row, at:]`."""
    candidate, other = who
    counts = arena.counts
    counts[:] = 0
    for column in range(cosines.shape[1]):
        if present[candidate, column] and also[other, column]:
            counts[tier(cosines[candidate, column])] += 1
    for number in range(TIERS):
        arena.inputs[row, at + number] = arena.logs[counts[number]] * weights[number]
