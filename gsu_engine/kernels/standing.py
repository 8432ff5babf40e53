"""Standing answers: what is kept of a search so that the next one need look at new rows only.

Per candidate: the best keys found so far, best first, and `floor`, the best key that was ever left out. Every live row
that is not listed is at or below the floor, and every listed one above it. So as long as K are listed (or nothing was
ever left out) the first K of them are the answer, to the bit.

- Rows that come are compared with the floor; what beats it goes into the list, and what falls off its end raises the
  floor.
- Rows that leave the window are struck out. When fewer than K remain, the list is made anew by a search.

A candidate is known by its vector, inverse norm and the slot it excludes, compared byte by byte; the hash only finds
the place. Keys are
those of `kernels.select` with the place in the user's packed copy for an index.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, U8, U32, U64, Flags
from muse_stream.gsu_engine.kernels import hashing
from muse_stream.gsu_engine.kernels.blocks import NOWHERE, Arena, Query, bias_of, block_bytes
from muse_stream.gsu_engine.kernels.forms import CANDIDATES, rows_of
from muse_stream.gsu_engine.kernels.hashing import find_one, insert
from muse_stream.gsu_engine.kernels.jit import Int, Real, Truth, inner, kernel, pasted
from muse_stream.gsu_engine.kernels.memory import uint32_at, uint64_at
from muse_stream.gsu_engine.kernels.scan import Rows, limit_of, run_tile
from muse_stream.gsu_engine.kernels.select import key_of, score_of

SERVED, ROWS_SCORED, REFILLS = range(3)  # what `serve` counts
TALLIES = 3
NOTHING = np.uint64(0)
WORD = 8  # bytes of a vector compared at a time


class Answers(NamedTuple):
    """The standing answers of one user; number 0 is nobody."""

    ids: I64  # [S+1] hash of a candidate
    tags: U8
    numbers: U32
    counters: I64
    vectors: I8  # [S+1, d]
    inv_norms: F32  # [S+1]
    excluded: U32  # [S+1] slot that is not retrieved for it
    keys: U64  # [S+1, W] best first
    counts: I64  # [S+1] keys that are listed
    floors: U64  # [S+1]
    oldest: I64  # [S+1] no listed row has a place before this
    starts: I64  # [S+1] place from which on rows are counted
    stops: I64  # [S+1] place up to which


class Window(NamedTuple):
    """The rows of one pair, in places of the packed copy."""

    start: Int
    stop: Int
    rows: Int  # lanes in use
    base: Int  # position of place 0


@inner
def identity(vector: I8, excluded: Int) -> Int:
    """Hash of a candidate's vector and the slot it excludes, never 0."""
    h = np.uint64(len(vector)) ^ np.uint64(excluded) << np.uint64(32)
    for place in range(0, len(vector), WORD):
        h = (h ^ uint64_at(vector.ctypes.data + place)) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
    return np.int64(h | np.uint64(1))


@inner
def is_equal(vector: I8, other: I8) -> Truth:
    """Whether two vectors have the same bytes."""
    differ = np.uint64(0)
    for place in range(0, len(vector), WORD):
        differ |= uint64_at(vector.ctypes.data + place) ^ uint64_at(other.ctypes.data + place)
    return differ == 0


@pasted
def is_of(answers: Answers, number: Int, vector: I8, inv_norm: Real, excluded: Int) -> Truth:
    """Whether an answer is this candidate's."""
    return (
        answers.inv_norms[number] == inv_norm
        and answers.excluded[number] == excluded
        and is_equal(answers.vectors[number], vector)
    )


@pasted
def number_of(answers: Answers, vector: I8, inv_norm: Real, excluded: Int, likely: Int) -> Int:
    """Number of a candidate's answer, 0 where there is none; `likely` is looked at first."""
    if likely < answers.counters[hashing.NEXT] and is_of(answers, likely, vector, inv_norm, excluded):
        return likely
    at = find_one(
        identity(vector, excluded), answers.ids, answers.tags, answers.numbers, answers.counters[hashing.SEED]
    )
    if at < 0:
        return np.int64(0)
    number = np.int64(answers.numbers[at])
    return number if is_of(answers, number, vector, inv_norm, excluded) else np.int64(0)


@pasted
def offer(answers: Answers, number: Int, key: Int) -> None:
    """A row that came: list it if it beats the floor; once, also where a candidate is asked for twice in one search."""
    keys, count = answers.keys[number], answers.counts[number]
    if key <= answers.floors[number]:
        return
    at = count
    while at > 0 and keys[at - 1] < key:
        at -= 1
    if at > 0 and keys[at - 1] == key:
        return
    if count == len(keys):
        if at == count:
            answers.floors[number] = key
            return
        answers.floors[number] = keys[count - 1]
        count -= 1
    for i in range(count, at, -1):
        keys[i] = keys[i - 1]
    keys[at] = key
    answers.counts[number] = count + 1
    place: Int = np.int64(key & np.uint64(NOWHERE))
    oldest: Int = min(answers.oldest[number], place)
    answers.oldest[number] = oldest


@pasted
def strike(answers: Answers, number: Int, start: Int) -> None:
    """Rows before `start` have left the window."""
    answers.starts[number] = start
    if answers.oldest[number] >= start:
        return
    keys, kept, oldest = answers.keys[number], 0, np.int64(NOWHERE)
    for i in range(answers.counts[number]):
        place = np.int64(keys[i] & np.uint64(NOWHERE))
        keys[kept] = keys[i]
        if place >= start:
            kept += 1
            oldest = min(oldest, place)
    answers.counts[number], answers.oldest[number] = kept, oldest


@inner
def first_new(query: Query, window: Window, pair: Int, stop: Int) -> Int:
    """First block, counted from the oldest, with a row at or after place `stop`; places rise with rows."""
    size = rows_of(query.marker)
    end, low, high = query.packed[pair, 2], np.int64(0), np.int64(window.rows // size)
    while low < high:
        middle = (low + high) // 2
        if np.int64(uint32_at(end - (middle + 1) * size * 4)) < stop:  # a block's first lane is its newest row
            low = middle + 1
        else:
            high = middle
    return low


@inner
def must_exceed(floor: Int, inv_norm: Real) -> Real:
    """What a new row's product must exceed to be listed: an equal score of a newer row beats the floor."""
    if floor == NOTHING:
        return np.float32(-np.inf)
    return limit_of(np.nextafter(score_of(floor >> np.uint64(32)), np.float32(-np.inf)), inv_norm)


@pasted
def catch_up(
    answers: Answers, query: Query, arena: Arena, pair: Int, window: Window, own: Int, group: Int, held: I64
) -> Int:
    """Compare the rows since their stop with the answers `held[own:own + group]`; returns the rows scored."""
    lanes, size = rows_of(query.marker), block_bytes(query)
    base, since = query.bounds[pair] + own, answers.stops[held[own]]
    for j in range(group):
        arena.limits[j] = must_exceed(answers.floors[held[own + j]], query.candidate_inv_norms[base + j])
        arena.biases[j] = bias_of(query, base + j)
    blocks, norms, places, slots, _, _, _, _ = query.packed[pair]
    for block in range(first_new(query, window, pair, since), (window.rows + lanes - 1) // lanes):
        beside = (block + 1) * lanes * 4
        newer = Rows(
            blocks - (block + 1) * size,
            norms - beside,
            places - beside,
            slots - beside,
            1,
            -since,
            window.stop - since,
        )
        arena.counts[:group] = 0
        if run_tile(query, arena, newer, 0, base, group) == 0:
            continue
        for j in range(group):
            for i in range(arena.counts[j]):
                offer(answers, held[own + j], key_of(arena.scores[j, i], since + np.int64(arena.indices[j, i])))
    for j in range(group):
        answers.stops[held[own + j]] = window.stop
    return max(window.stop - since, 0) * group


@pasted
def look_up(answers: Answers, query: Query, pair: Int, window: Window, held: I64, stood: Flags) -> None:
    """Find the answers that can be brought up to this window, 0 where there is none.

    Candidates are often asked for in the order of the time before, and then their numbers follow each other.
    """
    base, last = query.bounds[pair], np.int64(0)
    for own in range(len(held)):
        inv_norm, excluded = query.candidate_inv_norms[base + own], query.excluded[base + own]
        stood[base + own] = inv_norm == 0  # nothing is retrieved for it, which takes no search
        held[own] = 0
        if inv_norm != 0:
            last = number_of(answers, query.vectors[base + own], inv_norm, excluded, last + 1)
            if answers.starts[last] <= window.start and answers.stops[last] <= window.stop:
                held[own] = last


@inner
def write_out(keys: U64, base: Int, scores: F32, positions: I64) -> Int:
    """Results from keys with places, and none behind them; returns how many."""
    for i in range(len(keys)):
        scores[i] = score_of(keys[i] >> np.uint64(32))
    for i in range(len(keys)):
        positions[i] = base + np.int64(keys[i] & np.uint64(NOWHERE))
    scores[len(keys) :], positions[len(keys) :] = 0, -1
    return len(keys)


@kernel
def serve(
    answers: Answers,
    query: Query,
    arena: Arena,
    pair: Int,
    window: Window,
    k: Int,
    stood: Flags,
    scores: F32,
    positions: I64,
    counts: I32,
    tallies: I64,
) -> None:
    """Answer what stands: `stood[T]` says which candidates of the pair; all rows of their results are written."""
    base = query.bounds[pair]
    candidates = query.bounds[pair + 1] - base
    held = np.zeros(candidates, np.int64)
    look_up(answers, query, pair, window, held, stood)
    own = 0
    while own < candidates:
        group = 1
        if own + CANDIDATES <= candidates:
            same = held[own] != 0
            for j in range(CANDIDATES):
                same = same and held[own + j] != 0 and answers.stops[held[own + j]] == answers.stops[held[own]]
            group = CANDIDATES if same else 1
        if held[own] != 0 and answers.stops[held[own]] < window.stop:
            tallies[ROWS_SCORED] += catch_up(answers, query, arena, pair, window, own, group, held)
        own += group
    for own in range(candidates):
        number = held[own]
        if number == 0:
            counts[base + own] = write_out(answers.keys[0, :0], window.base, scores[base + own], positions[base + own])
            continue
        if answers.starts[number] < window.start:
            strike(answers, number, window.start)
        if answers.counts[number] < k and answers.floors[number] != NOTHING:
            tallies[REFILLS] += 1
            continue
        listed = answers.keys[number, : min(answers.counts[number], k)]
        counts[base + own] = write_out(listed, window.base, scores[base + own], positions[base + own])
        stood[base + own] = True
        tallies[SERVED] += 1


@kernel
def keep(
    answers: Answers,
    vectors: I8,
    inv_norms: F32,
    excluded: U32,
    window: Window,
    scores: F32,
    positions: I64,
    counts: I32,
) -> Truth:
    """Let the answers of a search stand, `[n, k]`; False: no room, start again."""
    number, wanted = np.zeros(1, np.uint32), np.zeros(1, np.int64)
    k = scores.shape[1]
    for t in range(len(vectors)):
        if inv_norms[t] == 0:
            continue
        wanted[0] = identity(vectors[t], excluded[t])
        if insert(wanted, answers.ids, answers.tags, answers.numbers, answers.counters, number) == 0 or number[0] == 0:
            return False
        at = np.int64(number[0])
        if answers.stops[at] > window.stop:
            continue
        answers.vectors[at, :] = vectors[t]
        answers.inv_norms[at], answers.excluded[at] = inv_norms[t], excluded[t]
        count, oldest = counts[t], np.int64(NOWHERE)
        for i in range(count):
            place = positions[t, i] - window.base
            answers.keys[at, i] = key_of(scores[t, i], place)
            oldest = min(oldest, place)
        answers.oldest[at] = oldest
        answers.counts[at] = count
        answers.floors[at] = answers.keys[at, k - 1] if count == k else NOTHING
        answers.starts[at], answers.stops[at] = window.start, window.stop
    return True
