"""Samples with planted lifelong interests, on which the right ordering of the models is known.

**Who clicks.** The logit of a click on a candidate is

    bias + group + dial * 5.0 * lifelong + (1 - dial) * 3.5 * passing

`lifelong` is 0 unless the candidate is in one of the user's four lifelong clusters; else the weight of that interest
(as often as it is visited) times 0.25 to 1 (as near as the item lies to the cluster's centre). `passing` is five times
the share of the recent window that has the candidate's category, at most 1. So `dial` is the share of what moves clicks
that the recent window does not show: at 1 it shows nothing of it, at 0 all.

**What can be seen of it.** Visits to lifelong clusters are few (about 40) and spread over all of a history but its
tail, in which all samples lie; the tail has them at `1 - dial` of that rate, so at 1 no recent window holds one.
Nearness in the vectors shows the cluster. Ids do not: each of the default 200 000 items is a candidate 0.3 times in
training. Categories are few and learnable, and so is `passing`; but a lifelong cluster has items of four categories, a
category holds items of 133 clusters, and the tail is full of the lifelong clusters' categories from other clusters.

**The ordering.** Near dial 1:

    MUSE  >  SIM-hard, SIM-soft, TWIN  >=  DIN

- MUSE retrieves the visits, and their cosines tell cluster, weight and nearness.
- SIM-hard finds items of the candidate's category, most of them of other clusters. That a long history has the category
  at all is a weak sign: a lifelong cluster's categories are there in 98 %, others in 85 % of windows. (The longer the
  histories, the weaker.) SIM-soft and TWIN search by embeddings of ids; items are too rare to have learnt ones, which
  leaves them the category too. Which of the three is best is not planted.
- DIN sees the recent window only. Whether a candidate is of a lifelong interest is independent of whether its category
  is in the recent window, so at 1 nothing that it sees moves its GAUC from 0.5.

At dial 0 the recent categories say everything, all models see them, and no model beats DIN by more than the noise.

60 000 samples are few for a network: in one epoch, batches of 200 with rates of 0.003 (dense) and 0.02 (tables) learn
what is there; the released settings, made for 76 million samples, do not.

`oracle_scores` are the true chances of a click: no model's expected GAUC is above theirs. Clicks do not become
behaviours. Histories are made anew for each part, in pieces of about a million behaviours, and never all held.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.data.planted_histories import GAP_LEAST_MS, Lives, live
from muse_stream.esu_scorer.data.planted_requests import (
    SHOWN,
    Requests,
    ask,
    click_chances,
    recent_matches,
    recent_rows,
)
from muse_stream.esu_scorer.data.planted_world import World
from muse_stream.esu_scorer.data.source import PARTS, Part, SourceInfo
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.features import FeatureSpec

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

STRIDE = 8
"""Behaviours between one moment of a user and the next."""

PIECE = 1 << 20
"""Behaviours made at a time, about."""

CAVEAT = (
    "Made-up data with planted interests: it shows that a model finds what is there, not how good it is for people."
)


def _requests_each(samples: int, users: int) -> dict[Part, int]:
    """Requests of every user, by part."""
    train = -(-samples // (users * SHOWN))
    return {"train": train, "validation": max(1, train // 8), "test": max(1, train // 2)}


def _tail(requests: int, recent: int, length: int) -> int:
    """Behaviours of a history's tail, in which its requests lie. Raises `DataError`: the shortest has no more."""
    tail = recent + STRIDE * (requests - 1)
    if length // 2 <= tail:
        msg = (
            f"histories of {length // 2} to {length} behaviours cannot hold {requests} requests a user after {recent} "
            f"recent behaviours: ask for a length above {2 * tail + 1}, for fewer samples or for more users"
        )
        raise DataError(msg)
    return tail


class Planted:
    """The source. Equal arguments give equal samples.

    Attributes:
        info: What it is; `samples` are exact.
        world: The truth behind it.

    """

    def __init__(
        self,
        *,
        users: int = 1_500,
        length: int = 1_000,
        samples: int = 60_000,
        dial: float = 0.9,
        seed: int = 1,
        recent: int = 50,
        clusters: int = 2_000,
        categories: int = 60,
    ) -> None:
        """Lay out the data; nothing is made yet but items and users.

        Args:
            users: Users, all of them in all parts.
            length: Behaviours of the longest histories; the shortest have half.
            samples: In training, at least: every user has equally many, in requests of 5. Validation has an eighth of
                the requests, test half, both at least one a user, after those of training.
            dial: 0..1, as above.
            seed: Of everything.
            recent: R, the recent window that the dial is about.
            clusters: Each has 100 items.
            categories: At least 4.

        Raises:
            DataError: A number out of its range, or histories too short for the requests.

        """
        self._users, self._length, self._dial, self._recent, self._seed = users, length, dial, recent, seed
        least = {"users": (users, 1), "samples": (samples, 1), "recent": (recent, 1), "categories": (categories, 4)}
        for name, (value, low) in least.items():
            if value < low:
                msg = f"{name} is {value}, expected at least {low}"
                raise DataError(msg)
        if not 0 <= dial <= 1:
            msg = f"dial is {dial}, expected 0 (the recent window tells all) to 1 (it tells nothing)"
            raise DataError(msg)
        self._requests = _requests_each(samples, users)
        self._tail = _tail(sum(self._requests.values()), recent, length)
        self.world = World(users, clusters, categories, seed)
        self.info = SourceInfo(
            name=f"planted, dial {dial:g}, seed {seed}, {users:,} users, histories to {length:,}",
            spec=FeatureSpec.of({"item": 16, "category": 16}, {"group": 8}),
            caveat=CAVEAT,
            samples={part: users * SHOWN * count for part, count in self._requests.items()},
        )

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        """Samples of a part: all users', some users a block; with a seed, blocks and samples in a block shuffled."""
        pieces = [np.arange(low, min(low + self._step, self._users)) for low in range(0, self._users, self._step)]
        order = None if seed is None else np.random.default_rng([seed, PARTS.index(part)])
        numbers = np.arange(len(pieces)) if order is None else order.permutation(len(pieces))
        for number in numbers.tolist():
            block = self._block(part, number, pieces[number])
            yield block if order is None else block.take(order.permutation(len(block)))

    def vectors(self) -> Iterator[tuple[Int64, npt.NDArray[np.int8]]]:
        """Every item's vector."""
        return self.world.vectors()

    def oracle_scores(self, block: Block) -> Float64:
        """The true probability of a click on each of a block's samples, `[N] float64`."""
        rows = recent_rows(block.histories.lows[block.owner], block.stop, self._recent)
        matches = recent_matches(block.histories.behaviours.category, rows, block.category)
        return click_chances(self.world, block.user - 1, block.item, matches, dial=self._dial)

    @property
    def _step(self) -> int:
        return max(1, PIECE // self._length)

    def _block(self, part: Part, number: int, users: Int64) -> Block:
        rng = np.random.default_rng([self._seed, 3, number])
        lengths = rng.integers(self._length // 2, self._length + 1, size=len(users))
        lives = live(self.world, users, lengths, tail=self._tail, dial=self._dial, rng=rng)
        rng = np.random.default_rng([self._seed, 4 + PARTS.index(part), number])
        requests = ask(self.world, lives, self._stops(part, lengths), self._recent, rng)
        return self._labelled(lives, requests, rng)

    def _stops(self, part: Part, lengths: Int64) -> Int64:
        """Moments of a part, `[P, m]`: training first, then validation, then test, which ends with the history."""
        before = sum(self._requests[each] for each in PARTS[: PARTS.index(part)])
        left = sum(self._requests.values()) - 1 - before - np.arange(self._requests[part])
        return lengths[:, None] - STRIDE * left

    def _labelled(self, lives: Lives, requests: Requests, rng: np.random.Generator) -> Block:
        histories = lives.histories
        count = len(requests.owner)
        newest = histories.lows[requests.owner] + requests.stop - 1
        block = Block(
            histories=histories,
            owner=requests.owner,
            start=np.zeros(count, np.int64),
            stop=requests.stop,
            candidate_features=np.stack([requests.item, self.world.category_of(requests.item)], axis=1),
            user_features=self.world.group[lives.users[requests.owner]][:, None],
            time_ms=histories.behaviours.time_ms[newest] + GAP_LEAST_MS // 2,
            label=np.zeros(count, bool),
        )
        block.label[:] = rng.random(count) < self.oracle_scores(block)
        return block
