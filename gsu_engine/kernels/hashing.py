"""Open-addressing hash table from int64 ids to dense u32 numbers.

Layout: `ids[number]` is the dense side; number 0 means "none". A bucket is a byte of tag (0 = free, else 0x80 and 7
bits of the hash) and a u32 number, in two arrays: a probe reads tags, 64 to a cache line, and looks at an id only where
the tag fits, so a search for an id that is not there touches about one cache line. Linear probing, filled to 7/10.
Consequence: 5 bytes a bucket, 7.1 to 10.7 bytes an id with growth by half, plus 8 for the id itself.

`counters` holds what the kernels change: see the names below. Freed numbers form a chain through `ids`.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U8, U32
from muse_stream.gsu_engine.kernels.jit import Int, inlined, inner, kernel

COUNT, NEXT, FREE, REFUSED, SEED = range(5)  # NEXT: first number never given out; FREE: head of the chain
COUNTERS = 5
FULL_OF_TEN = 7


@inlined
def _mixed(number: Int, seed: Int) -> Int:
    """Finaliser of splitmix64: every input bit changes every output bit with probability one half."""
    h = np.uint64(number) ^ np.uint64(seed)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@inlined
def _home(h: Int, buckets: Int) -> Int:
    return np.int64(((h >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32))


@inlined
def _tag(h: Int) -> Int:
    return np.uint8((h & np.uint64(0x7F)) | np.uint64(0x80))


@kernel
def find_one(number: Int, ids: I64, tags: U8, numbers: U32, seed: Int) -> Int:
    """Bucket of `number`, or -1 - (the free bucket where it belongs)."""
    h = _mixed(number, seed)
    at = _home(h, len(tags))
    tag = _tag(h)
    while tags[at] != 0:
        if tags[at] == tag and ids[numbers[at]] == number:
            return at
        at += 1
        if at == len(tags):
            at = 0
    return -1 - at


@kernel
def find(wanted: I64, ids: I64, tags: U8, numbers: U32, seed: Int, out: U32) -> None:
    """Write the number of each wanted id, 0 where there is none."""
    for i in range(len(wanted)):
        at = find_one(wanted[i], ids, tags, numbers, seed)
        out[i] = numbers[at] if at >= 0 else 0


@inner
def take_number(ids: I64, counters: I64) -> Int:
    """A number not in use, freed ones first; 0 when there is none."""
    number = counters[FREE]
    if number != 0:
        counters[FREE] = ids[number]
    elif counters[NEXT] < len(ids):
        number = counters[NEXT]
        counters[NEXT] += 1
    return number


@kernel
def insert(wanted: I64, ids: I64, tags: U8, numbers: U32, counters: I64, out: U32) -> Int:
    """Find or create each wanted id; returns how many were done: fewer than all = the buckets must grow first.

    Id 0 stands for "missing" and gets number 0. So does an id for which no number is left (counted as refused).
    """
    seed = counters[SEED]
    for i in range(len(wanted)):
        out[i] = 0
        if wanted[i] == 0:
            continue
        at = find_one(wanted[i], ids, tags, numbers, seed)
        if at >= 0:
            out[i] = numbers[at]
            continue
        if counters[COUNT] * 10 >= len(tags) * FULL_OF_TEN:
            return i
        number = take_number(ids, counters)
        if number == 0:
            counters[REFUSED] += 1
            continue
        at = -1 - at
        tags[at] = _tag(_mixed(wanted[i], seed))
        numbers[at] = number
        ids[number] = wanted[i]
        counters[COUNT] += 1
        out[i] = number
    return len(wanted)


@kernel
def remove(number: Int, ids: I64, tags: U8, numbers: U32, counters: I64) -> None:
    """Take a number out of use; later entries of the probe chain move up, so that no marker stays behind."""
    seed = counters[SEED]
    hole = find_one(ids[number], ids, tags, numbers, seed)
    size = len(tags)
    at = hole
    while True:
        at = at + 1 if at + 1 < size else 0
        if tags[at] == 0:
            break
        home = _home(_mixed(ids[numbers[at]], seed), size)
        if (at - home) % size >= (at - hole) % size:
            tags[hole] = tags[at]
            numbers[hole] = numbers[at]
            hole = at
    tags[hole] = 0
    ids[number] = counters[FREE]
    counters[FREE] = number
    counters[COUNT] -= 1


@kernel
def move(ids: I64, old_tags: U8, old_numbers: U32, tags: U8, numbers: U32, seed: Int) -> None:
    """Fill empty buckets of another size with all entries of the old ones."""
    for old in range(len(old_tags)):
        if old_tags[old] != 0:
            at = -1 - find_one(ids[old_numbers[old]], ids, tags, numbers, seed)
            tags[at] = old_tags[old]
            numbers[at] = old_numbers[old]
