"""Items as the model's own ID embeddings: the vectors that SIM-soft searches by.

A vector is `[item; category]`, 2D wide, of length 1. A search knows one vector per item, so an item has one category:
the smallest known one that it comes with in the training samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from muse_stream.esu_scorer.data.block import Behaviours
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.features import CATEGORY, ITEM
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import Float32, Int64, Rows

PIECE = 1 << 16
"""Vectors made at once: 8 MiB at 2D = 32."""

_UNKNOWN = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False, slots=True)
class Catalogue:
    """Items `[n] int64`, ascending, and the category of each, `[n] int64`, 0 = not known."""

    item: Int64
    category: Int64

    @classmethod
    def of(cls, source: Source) -> Catalogue:
        """All items of the training samples: candidates and behaviours. Reads the source once."""
        found, last = np.empty((2, 0), np.int64), None
        for block in source.blocks("train"):
            columns = [found, np.stack((block.item, block.category))]
            if block.histories.behaviours is not last:
                last = block.histories.behaviours
                columns.append(_pairs(last))
            found = _smallest(np.concatenate(columns, axis=1))
        return cls(found[0], np.where(found[1] == _UNKNOWN, 0, found[1]))

    def category_of(self, items: Int64) -> Int64:
        """Category of each, 0 = not known."""
        if not len(self.item):
            return np.zeros_like(items)
        place = np.minimum(np.searchsorted(self.item, items), len(self.item) - 1)
        return np.where(self.item[place] == items, self.category[place], 0)


def id_vectors(model: Model, vocabularies: Mapping[str, Rows], catalogue: Catalogue) -> Iterator[tuple[Int64, Float32]]:
    """Vectors of all items that the vocabulary knows, in pieces: `[n] int64`, `[n, 2D] float32` of length 1."""
    for low in range(0, len(catalogue.item), PIECE):
        items = catalogue.item[low : low + PIECE]
        known = items[vocabularies[ITEM].rows(items) != 0]
        yield known, embedded(model, vocabularies, known, catalogue.category_of(known))


@torch.no_grad()
def embedded(model: Model, vocabularies: Mapping[str, Rows], items: Int64, categories: Int64) -> Float32:
    """`[item; category]` of length 1, `[n, 2D] float32`; zeros stay zeros."""
    rows = ((ITEM, items), (CATEGORY, categories))
    parts = [
        model.embeddings.table(name).weight.detach().cpu()[torch.from_numpy(vocabularies[name].rows(ids))]
        for name, ids in rows
    ]
    return unit(torch.cat(parts, dim=1).numpy())


def unit(vectors: np.ndarray) -> Float32:
    """Rows of length 1, `[n, d] float32`; zeros stay zeros."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: Float32 = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0).astype(np.float32)
    return scaled


def _pairs(behaviours: Behaviours) -> Int64:
    return np.stack((behaviours.item, behaviours.category))


def _smallest(pairs: Int64) -> Int64:
    """Of pairs `[2, N]` (item, category) each item's smallest category, by item; category 0 counts as the largest."""
    item, category = pairs[0], np.where(pairs[1] == 0, _UNKNOWN, pairs[1])
    order = np.lexsort((category, item))
    item, category = item[order], category[order]
    first = np.ones(len(item), np.bool_)
    first[1:] = item[1:] != item[:-1]
    first &= item != 0
    return np.stack((item[first], category[first]))
