"""The straightforward retrieval in a training loop: Torch, float32 vectors in memory, a matrix of all scores, topk.

Vectors are scaled to length 1 beforehand and items are their rows, so nothing is looked up. Two forms:

- windows: a user's window is gathered once for all of the user's samples in the block, padded to the longest; batched
  products; what lies outside a sample's own window is masked. In chunks of gathered vectors.
- catalogue: every candidate against every item, then the scores of each window's rows. In chunks of scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muse_stream.esu_scorer.data import Block
from muse_stream.esu_scorer.retrieval import Retrieved

CHUNK_BYTES = {"windows": 4 << 20, "catalogue": 256 << 20}  # the fastest of 1, 4, 16, 64 and 256 MiB
Scored = Iterator[tuple[NDArray[np.int64], Tensor]]


class TorchRetrieval:
    """A `Retrieval` over items 1..n."""

    def __init__(self, vectors: Iterable[tuple[NDArray[np.int64], NDArray[np.int8]]], form: str) -> None:
        self._vectors = torch.cat([_unit(piece) for _, piece in vectors])  # (items, d)
        self._form: Callable[[Block], Scored] = {"windows": self._windows, "catalogue": self._catalogue}[form]
        self.chunk_bytes = CHUNK_BYTES[form]

    @torch.inference_mode()
    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; windows must begin at 0 and hold at least K and R behaviours."""
        places = np.empty((len(block), k), np.int64)
        cosine, newest = (np.empty((len(block), width), np.float32) for width in (k, recent))
        for samples, scores in self._form(block):  # (n, length)
            stop = torch.from_numpy(block.stop[samples])
            columns = stop[:, None] - 1 - torch.arange(recent)
            newest[samples] = scores.gather(1, columns).numpy()
            future = torch.arange(scores.shape[1]) >= stop[:, None]
            best = torch.topk(scores.masked_fill_(future, -torch.inf), k)
            places[samples], cosine[samples] = best.indices.numpy(), best.values.numpy()
        return Retrieved(places, cosine, newest, np.ones(newest.shape, np.bool_))

    def _windows(self, block: Block) -> Scored:
        order = np.argsort(block.owner, kind="stable")
        owners, first, counts = np.unique(block.owner[order], return_index=True, return_counts=True)
        length, widest = int(block.stop.max()), int(counts.max())
        step = max(self.chunk_bytes // (length * 4 * self._vectors.shape[1]), 1)
        for low in range(0, len(owners), step):
            part = slice(low, low + step)
            held = np.arange(widest) < counts[part, None]  # (u, C)
            columns = order[np.where(held, first[part, None] + np.arange(widest), 0)]
            rows = self._rows(block, owners[part], length)
            candidates = self._vectors[torch.from_numpy(block.item[columns] - 1)]  # (u, C, d)
            scores = torch.bmm(candidates, self._vectors[rows].transpose(1, 2))  # (u, C, L)
            yield columns[held], scores[torch.from_numpy(held)]

    def _catalogue(self, block: Block) -> Scored:
        length = int(block.stop.max())
        step = max(self.chunk_bytes // (4 * max(len(self._vectors), length)), 1)
        for low in range(0, len(block), step):
            samples = np.arange(low, min(low + step, len(block)))
            scores = self._vectors[torch.from_numpy(block.item[samples] - 1)] @ self._vectors.T  # (n, items)
            yield samples, scores.gather(1, self._rows(block, block.owner[samples], length))

    def _rows(self, block: Block, owners: NDArray[np.int64], length: int) -> Tensor:
        """Rows of the first `length` behaviours, `[n, length]`."""
        lows = block.histories.lows[owners][:, None]
        return torch.from_numpy(block.histories.behaviours.item[lows + np.arange(length)] - 1)


def _unit(piece: NDArray[np.int8]) -> Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(piece.astype(np.float32)), dim=1)
