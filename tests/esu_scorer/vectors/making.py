"""A small shop whose baskets follow hidden groups that titles name."""

import numpy as np

from muse_stream.esu_scorer.vectors import Baskets, Purchases, baskets

WORDS = ("mug", "lamp", "ribbon", "clock", "basket", "candle")
GROUPS, EACH = len(WORDS), 8
HOUR_MS = 3_600_000


def purchases(count: int = 120, *, seed: int = 1, size: int = 5) -> Purchases:
    """`count` baskets of `size` items of one group each, an hour apart, a user each."""
    generator = np.random.default_rng(seed)
    group = generator.integers(0, GROUPS, count)
    picks = np.stack([generator.choice(EACH, size, replace=False) for _ in range(count)])  # (count, size)
    row = (group[:, None] * EACH + picks).ravel()
    user, time = np.repeat(np.arange(1, count + 1), size), np.repeat(np.arange(count) * HOUR_MS, size)
    return Purchases(user, row, time)


def companions(**more: int) -> Baskets:
    return baskets(purchases(**more))


def titles(*, told: bool = True) -> list[str]:
    """Titles that name the group, or that say nothing of it."""
    return [f"{WORDS[row // EACH] if told else 'thing'} {row:x}q{row * 7919:x}" for row in range(GROUPS * EACH)]
