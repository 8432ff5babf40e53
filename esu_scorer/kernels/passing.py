"""A whole pass over a range of candidates, in one call: ids in, probabilities out.

    retrieved behaviours of all its candidates ── distinct ones: embedded, keys and values projected once
    each user met ── recent behaviours: embedded, keys projected; its part of the tower's first layer
    tiles of candidates ── embedded, queries projected; attention and SimTier one by one; the tower layer by layer

Invariant: a candidate's probability depends on its own row and its user's alone, to the bit: who shares the range, a
tile or a thread changes nothing.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.esu_scorer.kernels.activations import dice, exp, silu
from muse_stream.esu_scorer.kernels.attention import attend_recent, attend_retrieved, put_tiers
from muse_stream.esu_scorer.kernels.distinct import number_behaviours
from muse_stream.esu_scorer.kernels.jit import F32, I64, Int, Real, inner, kernel
from muse_stream.esu_scorer.kernels.layout import (
    BEHAVIOURS,
    BIAS,
    CANDIDATE_AT,
    CANDIDATE_FEATURES,
    DEPTH,
    GAMMA,
    MEAN,
    OUTPUTS,
    PADDED,
    PANELS,
    QUERY,
    RECENT_KEYS,
    RECENT_TIERS,
    RELEASED,
    RETRIEVED_TIERS,
    TILE_ROWS,
    TOWER,
    UNIT,
    USER,
    USER_FEATURES,
    WEIGHTS,
    Arena,
    Columns,
    Network,
)
from muse_stream.esu_scorer.kernels.lookup import ask_index, ask_row, embed
from muse_stream.esu_scorer.kernels.tile import LANES, multiply
from muse_stream.esu_scorer.kernels.vectors import TIERS

ITEM, CATEGORY = 0, 1
PROBABILITY_FLOOR = np.float32(1e-7)  # as in `network.tower`


@inner
def add_product(network: Network, piece: Int, inputs: F32, rows: Int, outputs: F32) -> None:
    """Add a linear layer's products to what lies in `outputs`."""
    layer = network.pieces[piece]
    size = layer[PANELS] * layer[DEPTH] * LANES
    flat = network.weights[layer[WEIGHTS] : layer[WEIGHTS] + size]
    multiply(inputs, rows, flat.reshape(layer[PANELS], layer[DEPTH], LANES), outputs)


@inner
def apply(network: Network, piece: Int, inputs: F32, rows: Int, outputs: F32) -> None:
    """A linear layer: `outputs [rows, OUTPUTS]`."""
    bias, width = network.pieces[piece, BIAS], network.pieces[piece, PANELS] * LANES
    for row in range(rows):
        for i in range(width):
            outputs[row, i] = network.weights[bias + i]
    add_product(network, piece, inputs, rows, outputs)


@inner
def project_behaviours(network: Network, columns: Columns, arena: Arena, base: Int, end: Int) -> None:
    """The distinct behaviours of the candidates `base:end`: cells, embeddings, keys and values."""
    if network.shape[UNIT] == 0 and network.shape[MEAN] == 0:
        return
    size = np.int64(2)
    while size < 2 * (end - base) * arena.cells.shape[1]:
        size *= 2
    count = number_behaviours(
        columns.retrieved_item[base:end],
        columns.retrieved_category[base:end],
        columns.retrieved_mask[base:end],
        arena.cells,
        arena.slots[:size],
        arena.item_of,
        arena.category_of,
    )
    for first in range(0, count, TILE_ROWS):
        last = min(first + TILE_ROWS, count)
        for number in range(first, last):
            ask_index(network.features[ITEM], arena.item_of[number])
            ask_index(network.features[CATEGORY], arena.category_of[number])
        for number in range(first, last):
            ask_row(network.features[ITEM], arena.item_of[number])
            ask_row(network.features[CATEGORY], arena.category_of[number])
        for number in range(first, last):
            embed_behaviour(network, arena.item_of[number], arena.category_of[number], arena.behaviours[number])
        if network.shape[UNIT] > 0:
            outputs = arena.projected[first:last]
            apply(network, BEHAVIOURS, arena.behaviours[first:last], last - first, outputs)
            if network.shape[RELEASED] > 0:
                for row in range(last - first):
                    silu(outputs[row, : network.pieces[BEHAVIOURS, OUTPUTS]])


@inner
def embed_behaviour(network: Network, item: Int, category: Int, out: F32) -> None:
    """`[item; category]`."""
    embed(network.features[CATEGORY], category, out, embed(network.features[ITEM], item, out, 0))


@inner
def enter_user(network: Network, columns: Columns, arena: Arena, user: Int) -> Int:
    """What all candidates of a user share; returns how many recent behaviours it has."""
    width, count = network.shape[PADDED], 0
    for column in range(columns.recent_item.shape[1]):
        if columns.recent_mask[user, column]:
            item, category = columns.recent_item[user, column], columns.recent_category[user, column]
            embed_behaviour(network, item, category, arena.recent[count])
            count += 1
    apply(network, RECENT_KEYS, arena.recent, count, arena.recent_keys)
    for j in range(width):
        arena.user[0, j] = np.float32(0)
    for i in range(count):
        for j in range(width):
            arena.user[0, j] += arena.recent[i, j]
    for j in range(width):
        arena.user[0, j] /= np.float32(max(count, 1))
    at = width
    for feature in range(network.shape[USER_FEATURES]):
        at = embed(
            network.features[network.shape[CANDIDATE_FEATURES] + feature],
            columns.user_features[user, feature],
            arena.user[0],
            at,
        )
    apply(network, USER, arena.user, 1, arena.user_sums)
    return count


@inner
def fill_inputs(network: Network, columns: Columns, arena: Arena, base: Int, tile: tuple[Int, Int], state: I64) -> None:
    """The tower's inputs of a tile's candidates; `base`: whose cells come first, `state`: user and its recent count."""
    first, rows = tile[0], tile[1] - tile[0]
    width, at = network.shape[PADDED], network.shape[CANDIDATE_AT]
    for row in range(rows):
        slot = at
        for feature in range(network.shape[CANDIDATE_FEATURES]):
            identifier = columns.candidate_features[first + row, feature]
            slot = embed(network.features[feature], identifier, arena.inputs[row], slot)
    apply(network, QUERY, arena.inputs[:, at:], rows, arena.queries)
    if network.shape[RELEASED] > 0 and network.shape[UNIT] > 0:
        for row in range(rows):
            silu(arena.queries[row, width : 2 * width])
    sums = network.pieces[USER, PANELS] * LANES
    for row in range(rows):
        candidate = first + row
        while state[0] < 0 or columns.bounds[state[0] + 1] <= candidate:
            state[0] += 1
            if columns.bounds[state[0]] <= candidate < columns.bounds[state[0] + 1]:
                state[1] = enter_user(network, columns, arena, state[0])
        for i in range(sums):
            arena.first[row, i] = arena.user_sums[0, i]
        attend_recent(network, arena, state[1], row)
        attend_retrieved(network, columns, arena, candidate, candidate - base, row)
        put_all_tiers(network, columns, arena, (candidate, state[0]), row)


@inner
def put_all_tiers(network: Network, columns: Columns, arena: Arena, who: tuple[Int, Int], row: Int) -> None:
    """SimTier of the recent and of the retrieved cosines, where they are on."""
    at = network.pieces[TOWER, DEPTH] - TIERS * (network.shape[RECENT_TIERS] + network.shape[RETRIEVED_TIERS])
    if network.shape[RECENT_TIERS] > 0:
        present, there = columns.recent_cosine_present, columns.recent_mask
        put_tiers(columns.recent_cosine, present, there, who, network.tiers[0], arena, row, at)
        at += TIERS
    if network.shape[RETRIEVED_TIERS] > 0:
        present, both = columns.retrieved_mask, (who[0], who[0])
        put_tiers(columns.retrieved_cosine, present, present, both, network.tiers[1], arena, row, at)


@inner
def climb(network: Network, arena: Arena, rows: Int, scores: F32, first: Int) -> None:
    """The tower over a tile's inputs, whose first sums lie in `arena.first`."""
    add_product(network, TOWER, arena.inputs, rows, arena.first)
    below, above = arena.first, arena.second
    for piece in range(TOWER, len(network.pieces)):
        if piece > TOWER:
            apply(network, piece, below, rows, above)
            below, above = above, below
        width, gamma = network.pieces[piece, OUTPUTS], network.pieces[piece, GAMMA]
        for row in range(rows):
            dice(below[row, :width], network.weights[gamma : gamma + width])
    for row in range(rows):
        scores[first + row] = click_probability(below[row, 0], below[row, 1])


@inner
def click_probability(other: Real, click: Real) -> Real:
    """Softmax over the two logits, plus the floor, clipped; NaN stays."""
    most = click if click > other else other
    ours, theirs = exp(click - most), exp(other - most)
    share = ours / (ours + theirs) + PROBABILITY_FLOOR
    return np.float32(1) if share > np.float32(1) else share


@kernel
def score(network: Network, columns: Columns, arena: Arena, first: Int, last: Int, scores: F32) -> None:
    """Click probabilities of the candidates `first:last` into `scores[first:last]`."""
    state = np.full(2, -1, np.int64)
    step = max(len(arena.cells), 1)
    for base in range(first, last, step):
        end = min(base + step, last)
        project_behaviours(network, columns, arena, base, end)
        tile = base
        while tile < end:
            stop = min(tile + TILE_ROWS, end)
            fill_inputs(network, columns, arena, base, (tile, stop), state)
            climb(network, arena, stop - tile, scores, tile)
            tile = stop
