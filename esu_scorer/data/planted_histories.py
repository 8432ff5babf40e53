"""Histories of the planted data: rare visits to lifelong interests, and passing interests that fill the rest.

A history is a *body* and then a *tail*, in which all samples have their moments. In the body a user visits lifelong
interests rarely; in the tail still more rarely by `1 - dial`. All else is *episodes*: some 25 behaviours, most of one
category. In the tail these categories are ones that the user's lifelong clusters also have items of, from other
clusters: a search by category finds them first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Behaviours, Histories
from muse_stream.esu_scorer.data.planted_world import SPREAD, TASTE_WEIGHTS, World

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Rng = np.random.Generator

VISITS = 40
"""Expected visits to lifelong interests in a body, whatever its length: the longer, the rarer."""

EPISODE = 25
"""Mean behaviours of an episode."""

STRAY = 0.1
"""Share of an episode's behaviours that are of any category."""

SPAN_MS = 730 * 86_400_000
"""The longest histories take two years."""

END_MS = 1_767_225_600_000
"""Moment of everyone's last behaviour: the start of 2026, UTC."""

GAP_LEAST_MS = 1_000


@dataclass(frozen=True, eq=False, slots=True)
class Lives:
    """Histories of some users, and what is behind them.

    Attributes:
        histories: As blocks carry them; user u has id u + 1.
        users: `[P] int64` the users' rows in the world.
        episode_category: `[M] int64` category of the episode that each behaviour falls in.
        episode_taste: `[M] int64` in a tail: the lifelong interest that the category is also of.
        episode_slot: `[M] int64` likewise: which of that cluster's categories it is.

    """

    histories: Histories
    users: Int64
    episode_category: Int64
    episode_taste: Int64
    episode_slot: Int64


def live(world: World, users: Int64, lengths: Int64, *, tail: int, dial: float, rng: Rng) -> Lives:
    """Make histories of `lengths` behaviours, the last `tail` of each in the tail."""
    highs = np.cumsum(lengths)
    lows = highs - lengths
    total = int(highs[-1])
    owner = np.repeat(users, lengths)
    place = np.arange(total) - np.repeat(lows, lengths)
    into_tail = place - np.repeat(lengths - tail, lengths)  # 0 = the tail's first
    in_tail = into_tail >= 0

    starts = (rng.random(total) < 1 / EPISODE) | (place == 0) | (into_tail == 0)
    episode = np.cumsum(starts) - 1
    taste = rng.integers(len(TASTE_WEIGHTS), size=episode[-1] + 1)[episode]
    slot = rng.integers(SPREAD, size=episode[-1] + 1)[episode]
    anything = rng.integers(1, world.categories + 1, size=episode[-1] + 1)[episode]
    own = world.kinds[world.tastes[owner, taste], slot]
    category = np.where(in_tail, own, anything)

    rate = np.repeat(VISITS / (lengths - tail), lengths) * np.where(in_tail, 1 - dial, 1.0)
    item = _items(world, owner, category, rng.random(total) < rate, rng)
    behaviours = Behaviours(
        item=item,
        category=world.category_of(item),
        action=np.ones(total, np.uint8),
        time_ms=_times(lengths, highs, rng),
    )
    return Lives(Histories(users + 1, lows, highs, behaviours), users, category, taste, slot)


def _items(world: World, owner: Int64, category: Int64, visit: Bool, rng: Rng) -> Int64:
    stray = rng.random(len(owner)) < STRAY
    mixed = np.where(stray, rng.integers(1, world.categories + 1, size=len(owner)), category)
    item = world.item_elsewhere(mixed, owner, rng)
    count = int(visit.sum())
    taste = rng.choice(len(TASTE_WEIGHTS), size=count, p=TASTE_WEIGHTS / TASTE_WEIGHTS.sum())
    item[visit] = world.item_of(world.tastes[owner[visit], taste], rng.integers(SPREAD, size=count), rng)
    return item


def _times(lengths: Int64, highs: Int64, rng: Rng) -> Int64:
    """Times with exponential gaps, ending together."""
    gaps = rng.exponential(SPAN_MS / int(lengths.max()), size=int(highs[-1])).astype(np.int64) + GAP_LEAST_MS
    passed = np.cumsum(gaps)
    return passed - np.repeat(passed[highs - 1], lengths) + END_MS
