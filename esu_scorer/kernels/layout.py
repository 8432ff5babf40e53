"""What the kernels of a pass read and write: the network as flat arrays, a batch's columns, buffers of one thread."""

from typing import NamedTuple

from muse_stream.esu_scorer.kernels.jit import F32, I32, I64, Flags

# Rows of `Network.pieces`: the tower's layers follow from TOWER on. USER is the part of its first layer that reads what
# is the same for all candidates of a user: its result is what the first layer's sums begin with.
QUERY, RECENT_KEYS, BEHAVIOURS, USER, TOWER = range(5)
PANELS, DEPTH, OUTPUTS, WEIGHTS, BIAS, GAMMA = range(6)  # columns; the last three are places in `Network.weights`

# `Network.shape`
UNIT, RELEASED, MEAN, RECENT_TIERS, RETRIEVED_TIERS, PADDED, CANDIDATE_FEATURES, USER_FEATURES, CANDIDATE_AT = range(9)
NONE, TARGET_ATTENTION, SA_TA = range(3)  # values of UNIT

# `Network.scalars`
SCALE, TAU, BETA = 0, 1, 2

TILE_ROWS = 96  # candidates whose inputs and layers stay in a core's second-level cache: about 180 KB as released


class Network(NamedTuple):
    """Prepared weights."""

    weights: F32  # all packed panels (see `kernels.tile`), biases and gammas
    pieces: I64  # [TOWER + layers, 6]
    shape: I64  # [9] flags and widths; PADDED is 2D up to whole blocks of `kernels.vectors`
    scalars: F32  # [5] scale of scores, tau, three betas
    tiers: F32  # [2, 22] SimTier's weights: of recent cosines, of retrieved ones
    features: I64  # [F + U, COLUMNS] see `kernels.lookup`; the first two also serve behaviours


class Columns(NamedTuple):
    """A `ScoreBatch`, every column contiguous."""

    user_features: I64
    recent_item: I64
    recent_category: I64
    recent_mask: Flags
    bounds: I64
    candidate_features: I64
    recent_cosine: F32
    recent_cosine_present: Flags
    retrieved_item: I64
    retrieved_category: I64
    retrieved_cosine: F32
    retrieved_mask: Flags


class Arena(NamedTuple):
    """Buffers for one thread and one R and K."""

    cells: I32  # [rows at once, K] number of the behaviour
    slots: I32  # hash table
    item_of: I64  # [behaviours]
    category_of: I64
    behaviours: F32  # [behaviours, PADDED], zeros behind 2D
    projected: F32  # [behaviours, ...] keys, then values
    recent: F32  # [R, PADDED] of one user
    recent_keys: F32  # [R, ...]
    recent_which: I32  # [R] 0, 1, 2, ...
    user: F32  # [1, ...] one user's inputs
    user_sums: F32  # [1, ...] what the first layer begins with
    inputs: F32  # [TILE_ROWS, ...] of the tower
    queries: F32  # [TILE_ROWS, ...] of the recent branch, then of the unit
    first: F32  # [TILE_ROWS, ...] results of a layer
    second: F32  # [TILE_ROWS, ...] of the next
    which: I32  # [K] one candidate's behaviours
    counts: I64  # [22] behaviours per tier
    scores: F32  # [max(R, K)]
    cosines: F32  # [K]
    logs: F32  # [max(R, K) + 1] log(1 + n)
