"""Requests of the planted data: moments in a history's tail, the candidates shown at each, and who clicks.

Whether a candidate is of a lifelong interest and whether its category is in the recent window are drawn independently,
and other candidates are of no cluster in the recent window: at dial 1 it says nothing of lifelong interests, not even
by exclusion. (A draw that breaks this is repeated; the few that still do after 16 times stay.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.planted_histories import Lives
from muse_stream.esu_scorer.data.planted_world import SPREAD, TASTE_WEIGHTS, World

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Rng = np.random.Generator

SHOWN = 5
"""Candidates a request."""

LIFELONG, PASSING = 0.4, 0.3
"""Shares of the candidates of a lifelong interest, and of a category of the recent window's episodes."""

BIAS, LIFELONG_PULL, PASSING_PULL, GROUP_PULL = -2.2, 5.0, 3.5, 0.4
"""Of the logit of a click."""

_REDRAWS = 16


@dataclass(frozen=True, eq=False, slots=True)
class Requests:
    """N candidates and the windows that they were shown after.

    Attributes:
        owner: `[N] int64` index of the user in the histories.
        stop: `[N] int64` end of the window.
        item: `[N] int64`.

    """

    owner: Int64
    stop: Int64
    item: Int64


def ask(world: World, lives: Lives, stops: Int64, recent: int, rng: Rng) -> Requests:
    """Draw candidates: `SHOWN` for each of the moments `stops [P, m]`, user after user, moment after moment."""
    owner = np.repeat(np.arange(len(stops)), stops.shape[1] * SHOWN)
    stop = np.repeat(stops.ravel(), SHOWN)
    rows = recent_rows(lives.histories.lows[owner], stop, recent)
    return Requests(owner, stop, _candidates(world, lives, owner, rows, rng))


def recent_rows(low: Int64, stop: Int64, recent: int) -> Int64:
    """Rows of each window's newest behaviours, newest first, `[N, recent]`; `stop` must be at least `recent`."""
    return (low + stop)[:, None] - 1 - np.arange(recent)


def recent_matches(category: Int64, rows: Int64, wanted: Int64) -> Float64:
    """Share of the behaviours at `rows [N, R]` that are of the category `wanted [N]`."""
    shares: Float64 = (category[rows] == wanted[:, None]).mean(axis=1)
    return shares


def click_chances(world: World, user: Int64, item: Int64, matches: Float64, *, dial: float) -> Float64:
    """Probability of a click on each item, `[N] float64`.

    Args:
        world: Items and users.
        user: `[N] int64` rows in the world.
        item: `[N] int64` candidates.
        matches: `[N] float64` of `recent_matches`.
        dial: Share of what moves clicks that the recent window does not show.

    """
    lifelong = LIFELONG_PULL * world.taste_strength(user, item)
    passing = PASSING_PULL * np.minimum(1.0, 2 * matches)
    shift = GROUP_PULL * (world.group[user] - 4.5) / 3.5
    logit = BIAS + shift + dial * lifelong + (1 - dial) * passing
    chances: Float64 = 1 / (1 + np.exp(-logit))
    return chances


def _candidates(world: World, lives: Lives, owner: Int64, rows: Int64, rng: Rng) -> Int64:
    """A candidate for each of the windows whose recent rows are `rows [N, R]`."""
    count = len(owner)
    user = lives.users[owner]
    lifelong, passing = rng.random(count) < LIFELONG, rng.random(count) < PASSING
    shown = rows[np.arange(count), rng.integers(rows.shape[1], size=count)]
    category, taste, slot = lives.episode_category[shown], lives.episode_taste[shown], lives.episode_slot[shown]
    behaviours = lives.histories.behaviours

    again = np.flatnonzero(~passing)
    for _ in range(_REDRAWS):
        taste[again] = rng.integers(len(TASTE_WEIGHTS), size=len(again))
        slot[again] = rng.integers(SPREAD, size=len(again))
        own = world.kinds[world.tastes[user[again], taste[again]], slot[again]]
        category[again] = np.where(lifelong[again], own, rng.integers(1, world.categories + 1, size=len(again)))
        again = again[recent_matches(behaviours.category, rows[again], category[again]) > 0]

    item = world.item_of(world.tastes[user, taste], slot, rng)
    again = np.flatnonzero(~lifelong)
    for _ in range(_REDRAWS):
        item[again] = world.item_elsewhere(category[again], user[again], rng)
        cluster = world.cluster_of(item[again])
        again = again[(world.cluster_of(behaviours.item[rows[again]]) == cluster[:, None]).any(axis=1)]
    return item
