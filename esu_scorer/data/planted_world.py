"""Items and users of the planted data: what stays the same over all blocks.

An item lies in one of many fine *clusters*; its vector is near the cluster's centre. Each cluster has items of a few
*categories*, and each category holds items of many clusters, so that neither tells the other. A *cell* is the items of
one cluster and one category. Item ids count from 1, cell after cell, cluster after cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Rng = np.random.Generator

CELL_ITEMS = 25
SPREAD = 4
"""Categories of a cluster."""

DIMENSION = 128
NEAR, NEAREST = 0.6, 0.95
"""Cosine of an item's vector to its cluster's centre: uniform from one to the other. Two items of a cluster then have
the product of theirs, 0.36 to 0.90; items of two clusters have 0 +- 0.09, as random vectors of 128 dimensions do."""

TASTE_WEIGHTS = np.array([1.0, 0.75, 0.5, 0.35])
"""A user's lifelong interests: how often each is visited and, in proportion, how much it moves a click."""

GROUPS = 8
VECTORS_AT_A_TIME = 16_384


class World:
    """Clusters, categories, items, and each user's lifelong interests.

    Attributes:
        kinds: `[clusters, SPREAD] int64` categories of each cluster, from 1, distinct.
        tastes: `[users, 4] int64` each user's lifelong clusters, in the order of `TASTE_WEIGHTS`.
        group: `[users] int64` 1..8: a user feature that moves all of a user's clicks alike.
        nearness: `[items] float32` cosine of each item to its cluster's centre.

    """

    def __init__(self, users: int, clusters: int, categories: int, seed: int) -> None:
        """Raise `DataError` where a category has too few clusters to leave a user's own out."""
        self.seed = seed
        self.clusters, self.categories = clusters, categories
        rng = np.random.default_rng([seed, 0])
        self.kinds = np.argsort(rng.random((clusters, categories)), axis=1)[:, :SPREAD] + 1
        self.tastes = rng.integers(clusters, size=(users, len(TASTE_WEIGHTS)))
        self.group = rng.integers(1, GROUPS + 1, size=users)
        self.nearness = rng.uniform(NEAR, NEAREST, self.items).astype(np.float32)
        self._by_category = np.argsort(self.kinds, axis=None, kind="stable")  # cells
        self._bounds = np.searchsorted(self.kinds.ravel()[self._by_category], np.arange(1, categories + 2))
        fewest = int(np.diff(self._bounds).min())
        if fewest <= len(TASTE_WEIGHTS):
            msg = (
                f"{clusters} clusters leave a category with {fewest} of them, expected more than {len(TASTE_WEIGHTS)}: "
                f"ask for more clusters or fewer than {categories} categories"
            )
            raise DataError(msg)

    @property
    def items(self) -> int:
        """Items in all."""
        return self.clusters * SPREAD * CELL_ITEMS

    def cluster_of(self, item: Int64) -> Int64:
        """Cluster of item ids."""
        return (item - 1) // (SPREAD * CELL_ITEMS)

    def category_of(self, item: Int64) -> Int64:
        """Category of item ids."""
        return self.kinds.ravel()[(item - 1) // CELL_ITEMS]

    def item_of(self, cluster: Int64, slot: Int64, rng: Rng) -> Int64:
        """Any item of the cell of each cluster and its `slot`-th category."""
        return self._any_of(cluster * SPREAD + slot, rng)

    def item_elsewhere(self, category: Int64, user: Int64, rng: Rng) -> Int64:
        """Any item of each category, in no lifelong cluster of the user."""
        low, high = self._bounds[category - 1], self._bounds[category]
        place = rng.integers(low, high)
        cell = self._by_category[place]
        clash = np.flatnonzero(self._is_taste(cell // SPREAD, user))
        while len(clash):
            place[clash] = np.where(place[clash] + 1 < high[clash], place[clash] + 1, low[clash])
            cell[clash] = self._by_category[place[clash]]
            clash = clash[self._is_taste(cell[clash] // SPREAD, user[clash])]
        return self._any_of(cell, rng)

    def taste_strength(self, user: Int64, item: Int64) -> Float64:
        """How much each item is a lifelong interest, 0..1: the interest's weight, times 0.25 to 1 by the nearness."""
        weight = (self.cluster_of(item)[:, None] == self.tastes[user]) @ TASTE_WEIGHTS
        near = (self.nearness[item - 1].astype(np.float64) - NEAR) / (NEAREST - NEAR)
        strength: Float64 = np.minimum(weight, 1.0) * (0.25 + 0.75 * near)
        return strength

    def vectors(self) -> Iterator[tuple[Int64, Int8]]:
        """All items and their vectors, `[n] int64` and `[n, 128] int8`, each scaled by its largest component."""
        centres = _unit(np.random.default_rng([self.seed, 1]).standard_normal((self.clusters, DIMENSION), np.float32))
        for piece, low in enumerate(range(0, self.items, VECTORS_AT_A_TIME)):
            item = np.arange(low, min(low + VECTORS_AT_A_TIME, self.items)) + 1
            rng = np.random.default_rng([self.seed, 2, piece])
            noise = _unit(rng.standard_normal((len(item), DIMENSION), np.float32))
            near = self.nearness[item - 1][:, None]
            vectors = near * centres[self.cluster_of(item)] + np.sqrt(1 - near * near) * noise
            vectors *= 127 / np.abs(vectors).max(axis=1, keepdims=True)
            yield item, np.rint(vectors).astype(np.int8)

    def _any_of(self, cell: Int64, rng: Rng) -> Int64:
        return cell * CELL_ITEMS + rng.integers(CELL_ITEMS, size=len(cell)) + 1

    def _is_taste(self, cluster: Int64, user: Int64) -> Bool:
        found = np.zeros(len(cluster), bool)
        for column in self.tastes.T:
            found |= column[user] == cluster
        return found


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
