"""The network's fused form: a batch's whole pass in compiled code on the CPU, the GIL given away once per thread.

It gives what `network` gives, up to the order of sums. What is the same for all candidates of a request is computed
once: keys of recent behaviours, the user's part of the tower's first layer, keys and values of each distinct retrieved
behaviour. All configurations are covered.

Invariant: prepared at construction, never changed; a candidate's probability is the same to the bit whoever shares its
batch, however many threads there are.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.artefact import WEIGHT, Artefact
from muse_stream.esu_scorer.batch import Float32, Int64, ScoreBatch
from muse_stream.esu_scorer.config import BlocksConfig, blocks_of
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.kernels import layout, lookup
from muse_stream.esu_scorer.kernels.layout import Arena, Columns, Network
from muse_stream.esu_scorer.kernels.passing import score
from muse_stream.esu_scorer.kernels.tile import LANES
from muse_stream.esu_scorer.kernels.vectors import BLOCK, TIERS
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup, Vocabulary

ALONE = 64
"""Candidates from which a second thread is worth being woken (some 50 us) for half of them."""

CELLS_AT_ONCE = 1 << 16
"""Retrieved behaviours (candidates x K) whose distinct ones are held at once: at most 25 MB a thread as released."""

UNITS = {"none": layout.NONE, "target_attention": layout.TARGET_ATTENTION, "sa_ta": layout.SA_TA}
CACHE_LINE_FLOATS = 16


@dataclass(frozen=True, eq=False, slots=True)
class _Linear:
    """Weights `[outputs, depth]`, bias and, in the tower, gamma `[outputs]`."""

    weight: Float32
    bias: Float32
    gamma: Float32 | None = None


@cache
def _helpers(count: int) -> ThreadPoolExecutor | None:
    """Threads that help with a pass, the same for all models with so many: a model to come needs none of its own.

    They begin here, and so have the priority of whoever made the first model, not that of who makes another later.
    """
    if not count:
        return None
    pool = ThreadPoolExecutor(count, thread_name_prefix="muse-esu")
    met = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(met.wait)
    met.wait()
    return pool


class FusedForm:
    """Scores with one artefact. Thread-safe."""

    def __init__(self, artefact: Artefact, threads: int = 1) -> None:
        """Pack the weights; one pass uses up to `threads` threads, the caller's among them."""
        self._threads = threads
        self._tables = _Tables.of(artefact)
        self._network, buffers = _prepare(artefact, self._tables.features)
        self._helpers = _helpers(threads - 1)
        self._arenas = _arenas(buffers, self._network)

    def score(self, batch: ScoreBatch) -> Float32:
        """Click probabilities, `[T] float32`; not finite where the weights overflow. The columns are the spec's."""
        columns = Columns(*(np.ascontiguousarray(getattr(batch, name)) for name in Columns._fields))
        count = batch.candidate_count
        scores: Float32 = np.empty(count, np.float32)
        shares = min(self._threads, max(count // ALONE, 1))
        cuts = [count * share // shares for share in range(shares + 1)]

        waiting = iter(list(pairwise(cuts)))  # taken by whoever is free: one step is a single one for all threads

        def work_off() -> None:
            for first, last in waiting:
                score(self._network, columns, self._arenas.of_thread(columns), first, last, scores)

        helped = [self._helpers.submit(work_off) for _ in range(shares - 1)] if self._helpers else []
        work_off()
        for future in helped:
            if not future.cancel():  # on a busy machine a helper may not even have begun: nothing is left for it
                future.result()
        return scores


@dataclass(frozen=True, eq=False, slots=True)
class _Tables:
    """`kernels.lookup`'s features, and the arrays that they point to."""

    features: Int64
    held: tuple[npt.NDArray[np.generic], ...]

    @classmethod
    def of(cls, artefact: Artefact) -> _Tables:
        features = np.zeros((len(artefact.spec.features), lookup.COLUMNS), np.int64)
        held: list[npt.NDArray[np.generic]] = []
        for number, feature in enumerate(artefact.spec.features):
            table = np.ascontiguousarray(_weights(artefact)[f"embeddings.tables.of_{feature.name}.weight"])
            features[number, lookup.TABLE], features[number, lookup.WIDTH] = table.ctypes.data, feature.width
            held += [table, *enter_lookup(features[number], artefact.vocabulary(feature.name))]
        return cls(features, tuple(held))


def enter_lookup(feature: Int64, known: Lookup) -> list[npt.NDArray[np.generic]]:
    """Fill in how a feature's ids are looked up; returns the arrays that must be kept."""
    if isinstance(known, HashedVocabulary):
        feature[lookup.BUCKETS] = known.buckets
        return []
    assert isinstance(known, Vocabulary)  # noqa: S101
    ids = np.ascontiguousarray(known.ids)
    index = np.zeros(1 << max(2 * len(ids) - 1, 1).bit_length(), np.int32)
    lookup.fill_index(ids, index)
    feature[lookup.IDS], feature[lookup.COUNT] = ids.ctypes.data, len(ids)
    feature[lookup.INDEX], feature[lookup.SLOTS] = index.ctypes.data, len(index)
    return [ids, index]


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Widths of an arena's arrays, padded to whole panels where results lie."""

    behaviour: int
    projected: int
    recent_keys: int
    user: int
    user_sums: int
    inputs: int
    queries: int
    layers: int

    def arena(self, recent: int, retrieved: int) -> Arena:
        """Buffers for this R and K. Pages that no pass has touched take no memory."""
        rows = max(CELLS_AT_ONCE // max(retrieved, 1), 1)
        behaviours, most = rows * retrieved, max(recent, retrieved)
        tile = layout.TILE_ROWS
        floats = {
            "behaviours": (behaviours, self.behaviour),
            "projected": (behaviours, self.projected),
            "recent": (recent, self.behaviour),
            "recent_keys": (recent, self.recent_keys),
            "user": (1, self.user),
            "user_sums": (1, self.user_sums),
            "inputs": (tile, self.inputs),
            "queries": (tile, self.queries),
            "first": (tile, self.layers),
            "second": (tile, self.layers),
            "scores": (most,),
            "cosines": (retrieved,),
        }
        return Arena(
            cells=np.empty((rows, retrieved), np.int32),
            slots=np.empty(1 << max(2 * behaviours - 1, 1).bit_length(), np.int32),
            item_of=np.empty(behaviours, np.int64),
            category_of=np.empty(behaviours, np.int64),
            recent_which=np.arange(recent, dtype=np.int32),
            which=np.empty(retrieved, np.int32),
            counts=np.zeros(TIERS, np.int64),
            logs=np.log(np.arange(1, most + 2, dtype=np.float32)),
            **{name: np.zeros(shape, np.float32) for name, shape in floats.items()},
        )


class _Arenas:
    """The arenas of all threads for networks of one layout, which share them: a thread runs one pass at a time.

    So the first pass of a model that takes the place of another finds the memory that the former one's passes have
    touched; 25 MB of new pages took up to 20 ms. They go with the last model of the layout.
    """

    def __init__(self, buffers: _Buffers) -> None:
        self._buffers = buffers
        self._local = threading.local()

    def of_thread(self, columns: Columns) -> Arena:
        """This thread's, made anew when R or K are others than before."""
        wanted = columns.recent_item.shape[1], columns.retrieved_item.shape[1]
        held, arena = getattr(self._local, "arena", (None, None))
        if arena is None or held != wanted:
            arena = self._buffers.arena(*wanted)
            self._local.arena = (wanted, arena)
        return arena


_layouts: WeakValueDictionary[tuple[object, ...], _Arenas] = WeakValueDictionary()
_layouts_lock = threading.Lock()


def _arenas(buffers: _Buffers, network: Network) -> _Arenas:
    """Those of a layout: what a pass leaves in an arena is then what the next pass of any of its networks expects."""
    widths = network.features[:, lookup.WIDTH]
    layout_key = (buffers, network.pieces.tobytes(), network.shape.tobytes(), widths.tobytes())
    with _layouts_lock:
        found = _layouts.get(layout_key) or _Arenas(buffers)
        _layouts[layout_key] = found
    return found


def _weights(artefact: Artefact) -> dict[str, Float32]:
    return {name.removeprefix(WEIGHT): t.numpy() for name, t in artefact.tensors.items() if name.startswith(WEIGHT)}


def _prepare(artefact: Artefact, features: Int64) -> tuple[Network, _Buffers]:
    spec, blocks, weights = artefact.spec, blocks_of(artefact.manifest.network), _weights(artefact)
    mine, users = _tower_columns(spec, blocks)
    pieces = _pieces(weights, blocks, mine, users)
    flat, table = _pack(pieces)
    padded_width, unit = _padded(2 * spec.width), UNITS[blocks.unit]
    shape = np.array(
        [
            unit,
            blocks.form == "released",
            blocks.retrieved_mean,
            blocks.recent_simtier,
            blocks.retrieved_simtier,
            padded_width,
            len(spec.candidate),
            len(spec.user),
            padded_width * (1 + (unit != layout.NONE) + blocks.retrieved_mean),
        ],
        np.int64,
    )
    padded = (table[:, layout.PANELS] * LANES).tolist()
    buffers = _Buffers(
        behaviour=padded_width,
        projected=padded[layout.BEHAVIOURS],
        recent_keys=padded[layout.RECENT_KEYS],
        user=len(users),
        user_sums=padded[layout.USER],
        inputs=len(mine),
        queries=padded[layout.QUERY],
        layers=max(padded[layout.TOWER :]),
    )
    return Network(flat, table, shape, _scalars(weights, blocks, spec), _tiers(weights), features), buffers


def _tower_columns(spec: FeatureSpec, blocks: BlocksConfig) -> tuple[Int64, Int64]:
    """Columns of the tower's input that are a candidate's own, and those that are its user's; -1 is padding."""
    width = 2 * spec.width
    parts = [  # as in `network.muse`: width, whether it is the user's, whether it is a behaviour
        (width, False, True),
        (width * (blocks.unit != "none"), False, True),
        (width * blocks.retrieved_mean, False, True),
        (width, True, True),
        (spec.candidate_width, False, False),
        (spec.user_width, True, False),
        (TIERS * (blocks.recent_simtier + blocks.retrieved_simtier), False, False),
    ]
    found: dict[bool, list[int]] = {False: [], True: []}
    first = 0
    for count, of_user, is_behaviour in parts:
        room = _padded(count) - count if is_behaviour else 0
        found[of_user] += [*range(first, first + count), *[-1] * room]
        first += count
    return np.array(found[False]), np.array(found[True])


def _padded(width: int) -> int:
    return -(-width // BLOCK) * BLOCK


def _chosen(weight: Float32, columns: Int64) -> Float32:
    """The weights of these inputs, zeros for padding."""
    chosen: Float32 = np.where(columns >= 0, weight[:, columns], np.float32(0))
    return chosen


def _pieces(weights: Mapping[str, Float32], blocks: BlocksConfig, mine: Int64, users: Int64) -> list[_Linear]:
    """All linear layers in the order of `kernels.layout`."""

    def linear(name: str) -> _Linear:
        return _Linear(weights[f"network.{name}.weight"], weights[f"network.{name}.bias"])

    def behaviours(*names: str) -> _Linear:
        """Layers over one behaviour or candidate, each result padded to whole blocks."""
        found = [linear(name) for name in names]
        room = (0, _padded(width) - width)
        return _Linear(
            np.concatenate([np.pad(one.weight, (room, (0, 0))) for one in found]),
            np.concatenate([np.pad(one.bias, room) for one in found]),
        )

    has_unit = blocks.unit != "none"
    width = weights["network.recent.key.weight"].shape[1]
    nothing = _Linear(np.zeros((0, width), np.float32), np.zeros(0, np.float32))
    tower = [linear(f"tower.linears.{layer}") for layer in range(len(blocks.tower) + 1)]
    gammas = [weights[f"network.tower.activations.{layer}.gamma"] for layer in range(len(tower))]
    first = tower[0]
    tower[0] = _Linear(_chosen(first.weight, mine), np.zeros_like(first.bias))
    return [
        behaviours("recent.query", *([f"{blocks.unit}.query"] if has_unit else [])),
        behaviours("recent.key"),
        behaviours(f"{blocks.unit}.key", f"{blocks.unit}.value") if has_unit else nothing,
        _Linear(_chosen(first.weight, users), first.bias),
        *(_Linear(layer.weight, layer.bias, gamma) for layer, gamma in zip(tower, gammas, strict=True)),
    ]


def _pack(pieces: list[_Linear]) -> tuple[Float32, Int64]:
    """One array of all packed panels (see `kernels.tile`), biases and gammas, and where each piece lies in it."""
    table = np.zeros((len(pieces), 6), np.int64)
    parts: list[Float32] = []
    places = 0

    def put(values: Float32) -> int:
        nonlocal places
        place = places
        room = -len(values) % CACHE_LINE_FLOATS
        parts.append(np.pad(values, (0, room)))
        places += len(values) + room
        return place

    for number, piece in enumerate(pieces):
        outputs, depth = piece.weight.shape
        panels = -(-outputs // LANES)
        padding = panels * LANES - outputs
        padded = np.pad(piece.weight, ((0, padding), (0, 0))).reshape(panels, LANES, depth)
        gamma = piece.bias if piece.gamma is None else piece.gamma
        panel_place = put(padded.transpose(0, 2, 1).reshape(-1))
        table[number] = (panels, depth, outputs, panel_place, put(np.pad(piece.bias, (0, padding))), put(gamma))
    flat = _aligned(places)
    np.concatenate(parts, out=flat)
    return flat, table


def _aligned(count: int) -> Float32:
    """Room for floats that begins at a cache line."""
    room: Float32 = np.empty(count + CACHE_LINE_FLOATS, np.float32)
    skipped = -room.ctypes.data % (4 * CACHE_LINE_FLOATS) // 4
    return room[skipped : skipped + count]


def _scalars(weights: Mapping[str, Float32], blocks: BlocksConfig, spec: FeatureSpec) -> Float32:
    scale = 1.0 if blocks.form == "released" else 1.0 / np.sqrt(spec.width)
    mixing = [*weights["network.sa_ta.tau"], *weights["network.sa_ta.beta"]] if blocks.unit == "sa_ta" else [1.0] * 4
    return np.array([scale, *mixing], np.float32)


def _tiers(weights: Mapping[str, Float32]) -> Float32:
    names = ("recent_simtier", "retrieved_simtier")
    nothing = np.zeros(TIERS, np.float32)
    return np.stack([weights.get(f"network.{name}.weight", nothing) for name in names])
