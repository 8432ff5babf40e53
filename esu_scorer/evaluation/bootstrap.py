"""What the metrics would be with other users: resamples of users with repeats, seeded, and percentile intervals.

Users, not samples, are drawn: samples of one user are not independent.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.evaluation.report import Interval

Float64 = npt.NDArray[np.float64]

ROUNDS = 1000
COVERED = 95.0
"""Per cent of the resamples that an interval holds."""

USERS_LEAST = 10
"""Fewer users get no interval: resamples of a handful say little of other users."""

USERS_MAX = 65_536
"""More users are first put at random into so many groups, which are drawn instead: an interval's width is then off by
about 1 / sqrt(2 * 65 536) = 0.3 %, and a resample costs the same for any number of users."""

_CELLS = 1 << 22
"""Draws held at a time: 4 Mi numbers of 8 bytes."""


def resamples(sums: Float64, rounds: int, seed: int) -> Float64:
    """Sums of `rounds` draws of as many users as there are.

    Args:
        sums: `[U, S] float64`, one row a user.
        rounds: Draws.
        seed: Equal seeds and numbers of users draw equal users: two models are compared on the same ones.

    Returns:
        `[rounds, S] float64`.

    """
    rng = np.random.default_rng(seed)
    rows = _grouped(sums, rng)
    users = len(rows)
    result = np.empty((rounds, sums.shape[1]))
    if not users:
        return np.zeros_like(result)
    step = max(1, _CELLS // users)
    for low in range(0, rounds, step):
        count = min(step, rounds - low)
        drawn = rng.integers(users, size=(count, users)) + users * np.arange(count)[:, None]
        often = np.bincount(drawn.ravel(), minlength=count * users).reshape(count, users)
        result[low : low + count] = often.astype(np.float64) @ rows
    return result


def interval(value: float, draws: Float64, *, users: int) -> Interval:
    """A value and the range of the middle 95 % of its draws; those that do not exist are left out."""
    known = draws[~np.isnan(draws)]
    if math.isnan(value) or not len(known) or users < USERS_LEAST:
        return Interval(value=None if math.isnan(value) else value, low=None, high=None)
    low, high = np.percentile(known, [(100 - COVERED) / 2, (100 + COVERED) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def _grouped(sums: Float64, rng: np.random.Generator) -> Float64:
    if len(sums) <= USERS_MAX:
        return sums
    group = rng.permutation(len(sums)) % USERS_MAX
    return np.stack([np.bincount(group, column, USERS_MAX) for column in sums.T], axis=1)
