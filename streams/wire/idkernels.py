"""Compiled id rule: many ids out of one buffer, without a Python object for any of them.

BLAKE2b is written out here (RFC 7693, unkeyed, 8-byte digest) because a call of hashlib per event would cost more than
the rest of its decoding; the two are compared by property tests.

Invariant: for every span, value and flag are those of `ids.id_of` on the same text.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.wire.jit import inlined, kernel

OK, ABSENT, EMPTY, NON_ASCII, RESERVED, ZERO = range(6)
"""Flags of a parsed id. NON_ASCII carries a value but its UTF-8 is not checked yet; ABSENT, EMPTY and ZERO carry 0."""

_IV = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    np.uint8,
)
_LANES = np.array(
    [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ],
    np.uint8,
)
_RESERVED = np.frombuffer(b"__muse", np.uint8)
_PARAMETERS = np.uint64(0x01010000 | 8)  # fanout 1, depth 1, no key, digest of 8 bytes
_BLOCK_BYTES = 128
_INT64_MAX = np.uint64(2**63 - 1)


@inlined
def _rotate(x: np.uint64, bits: int) -> np.uint64:
    return (x >> np.uint64(bits)) | (x << np.uint64(64 - bits))


@kernel
def _compress(h: NDArray[np.uint64], m: NDArray[np.uint64], v: NDArray[np.uint64], count: int, last: bool) -> None:
    """One BLAKE2b compression of block `m [16]` into `h [8]`; `v [16]` is scratch."""
    for i in range(8):
        v[i] = h[i]
        v[i + 8] = _IV[i]
    v[12] ^= np.uint64(count)
    if last:
        v[14] = ~v[14]
    for turn in range(12):
        for lane in range(8):
            a, b, c, d = _LANES[lane]
            v[a] = v[a] + v[b] + m[_SIGMA[turn, 2 * lane]]
            v[d] = _rotate(v[d] ^ v[a], 32)
            v[c] = v[c] + v[d]
            v[b] = _rotate(v[b] ^ v[c], 24)
            v[a] = v[a] + v[b] + m[_SIGMA[turn, 2 * lane + 1]]
            v[d] = _rotate(v[d] ^ v[a], 16)
            v[c] = v[c] + v[d]
            v[b] = _rotate(v[b] ^ v[c], 63)
    for i in range(8):
        h[i] ^= v[i] ^ v[i + 8]


@kernel
def _digest(buffer: NDArray[np.uint8], start: int, stop: int, work: NDArray[np.uint64]) -> np.uint64:
    """BLAKE2b(digest_size=8) of `buffer[start:stop]` as a little-endian word; `work [40]` is scratch."""
    h, m, v = work[:8], work[8:24], work[24:40]
    for i in range(8):
        h[i] = _IV[i]
    h[0] ^= _PARAMETERS
    size = stop - start
    done = 0
    while True:
        block = min(size - done, _BLOCK_BYTES)
        m[:] = np.uint64(0)
        for i in range(block):
            m[i >> 3] |= np.uint64(buffer[start + done + i]) << np.uint64((i & 7) * 8)
        done += block
        _compress(h, m, v, done, done == size)
        if done == size:
            return np.uint64(h[0])


@kernel
def _decimal(buffer: NDArray[np.uint8], start: int, stop: int) -> tuple[bool, np.int64]:
    """Whether the text is the canonical decimal form of an int64, and that integer."""
    negative = buffer[start] == 45  # "-"
    first = start + 1 if negative else start
    digits = stop - first
    if digits == 0 or digits > 19 or (buffer[first] == 48 and (digits > 1 or negative)):  # "0" leads only itself
        return False, np.int64(0)
    total = np.uint64(0)  # 19 digits fit into 64 unsigned bits
    for i in range(first, stop):
        digit = np.uint64(buffer[i]) - np.uint64(48)
        if digit > np.uint64(9):
            return False, np.int64(0)
        total = total * np.uint64(10) + digit
    if total > _INT64_MAX + np.uint64(1 if negative else 0):
        return False, np.int64(0)
    return True, np.int64(np.uint64(0) - total) if negative else np.int64(total)


@kernel
def _text_flag(buffer: NDArray[np.uint8], start: int, stop: int) -> int:
    for i in range(start, stop):
        if buffer[i] >= 128:
            return NON_ASCII
    if stop - start < len(_RESERVED):
        return OK
    for i in range(len(_RESERVED)):
        if buffer[start + i] != _RESERVED[i]:
            return OK
    return RESERVED


@kernel
def ids_of_spans(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Ids of many texts.

    Args:
        buffer: `[bytes] uint8`, the texts somewhere inside.
        starts: `[n] int64` first byte of each text; -1 = no text.
        stops: `[n] int64` byte after each text.

    Returns:
        Values `[n] int64` and flags `[n] uint8`.

    """
    n = len(starts)
    values = np.zeros(n, np.int64)
    flags = np.zeros(n, np.uint8)
    work = np.empty(40, np.uint64)
    for i in range(n):
        start, stop = starts[i], stops[i]
        if start < 0:
            flags[i] = ABSENT
        elif start == stop:
            flags[i] = EMPTY
        else:
            plain, value = _decimal(buffer, start, stop)
            if not plain:
                value = np.int64(_digest(buffer, start, stop, work))
                flags[i] = _text_flag(buffer, start, stop)
            if value == 0:
                flags[i] = ZERO
            values[i] = value
    return values, flags


@kernel
def digests_of_spans(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """BLAKE2b(digest_size=8) of many texts whatever they say: `[n] uint64`, 1 for a digest of 0, 0 = no text."""
    n = len(starts)
    values = np.zeros(n, np.uint64)
    work = np.empty(40, np.uint64)
    for i in range(n):
        if starts[i] >= 0:
            values[i] = max(_digest(buffer, starts[i], stops[i], work), np.uint64(1))
    return values
