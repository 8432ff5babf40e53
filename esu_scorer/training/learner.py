"""One step: forward, loss, backward, both optimisers; and the newest batches' loss and GAUC."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call

from muse_stream.esu_scorer.evaluation import gauc
from muse_stream.esu_scorer.network import Forward, Model
from muse_stream.esu_scorer.network.tower import CLICK
from muse_stream.esu_scorer.training.compact import Compact
from muse_stream.esu_scorer.training.config import TrainingConfig
from muse_stream.esu_scorer.training.optimisers import Optimisers
from muse_stream.esu_scorer.training.reading import Batch

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

GAUC_BATCHES = 100
"""Batches behind the running GAUC: in one alone hardly a user has both classes."""


class NotFiniteError(Exception):
    """The loss of a batch is no number; the weights are as before it."""


class Learner:
    """A model and what trains it."""

    def __init__(self, model: Model, config: TrainingConfig) -> None:
        self.model = model.train()
        self.optimisers = Optimisers(model, config)
        self._tables = {feature.name: model.embeddings.table(feature.name) for feature in model.spec.features}
        for table in self._tables.values():
            table.sparse = False  # it is of the narrow tables that gradients are taken, and those are dense

    def learn(self, batch: Batch, narrow: Compact) -> tuple[float, Float32]:
        """Take one step: the loss and the probabilities `[T] float32` from before it. Raises `NotFiniteError`.

        `narrow` is the same batch over its distinct rows.
        """
        tables = {
            name: table.weight.detach().index_select(0, narrow.distinct[name]).requires_grad_()
            for name, table in self._tables.items()
        }
        result: Forward = functional_call(self.model, {weight_name(name): t for name, t in tables.items()}, narrow.rows)
        loss = cross_entropy(result.probability, batch.label)
        value = loss.item()
        if not math.isfinite(value):
            raise NotFiniteError(value)
        self.optimisers.clear()
        loss.backward()  # type: ignore[no-untyped-call]
        for name, table in self._tables.items():
            table.weight.grad = _spread(tables[name].grad, narrow.distinct[name], table.weight)
        self.optimisers.step()
        return value, result.probability[:, CLICK].detach().numpy()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a later step depends on: weights, both optimisers, Torch's random state."""
        weights = {f"weight/{name}": value for name, value in self.model.state_dict().items()}
        states = {f"optimiser/{name}": value for name, value in self.optimisers.tensors().items()}
        return {**weights, **states, "rng": torch.get_rng_state()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        self.model.load_state_dict(_named("weight/", tensors))
        self.optimisers.restore(_named("optimiser/", tensors))
        torch.set_rng_state(tensors["rng"])


def weight_name(feature: str) -> str:
    """Name of a feature's table among a model's parameters."""
    return f"embeddings.tables.of_{feature}.weight"


def cross_entropy(probability: Tensor, label: Tensor) -> Tensor:
    """Mean of -log of the clipped probability `[T, 2]` of the class that came, `label [T] int64`."""
    return -torch.log(probability.gather(1, label[:, None])).mean()


def batch_tensors(batch: Batch) -> dict[str, Tensor]:
    """A batch as named tensors, to look at when it could not be learnt from."""
    rows = asdict(batch.rows)
    bounds = torch.tensor(rows.pop("bounds"))
    return {**rows, "bounds": bounds, "label": batch.label, "user": torch.from_numpy(batch.user)}


class Running:
    """Loss since the last report, and GAUC of the newest batches, each scored before it was learnt from."""

    def __init__(self) -> None:
        self._scored: deque[tuple[Int64, npt.NDArray[np.bool_], Float32]] = deque(maxlen=GAUC_BATCHES)
        self._losses: list[tuple[float, int]] = []

    def add(self, batch: Batch, loss: float, scores: Float32) -> None:
        """Take in one step."""
        self._scored.append((batch.user, batch.label.numpy() == 1, scores))
        self._losses.append((loss, len(batch)))

    def report(self) -> tuple[float, float | None]:
        """Mean loss of the samples since the last report, and GAUC (None where no user has both classes)."""
        losses, samples = np.array(self._losses).T
        self._losses = []
        found = gauc(*(np.concatenate(column) for column in zip(*self._scored, strict=True)))
        return float(losses @ samples / samples.sum()), None if math.isnan(found) else found


@contextmanager
def repeatable(seed: int, threads: int) -> Iterator[None]:
    """Torch so that one seed gives one model, with this many threads; as before afterwards.

    Some of Torch's CPU kernels add up in the order in which threads come along unless they are told not to.
    """
    threads_before = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # the module has this property, its annotations do not
    fill = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False
        try:
            yield
        finally:
            memory.fill_uninitialized_memory = fill
            torch.use_deterministic_algorithms(strict)
            torch.set_num_threads(threads_before)


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _spread(gradient: Tensor | None, rows: Tensor, table: Tensor) -> Tensor | None:
    """The gradient of a whole table that has `gradient [n, W]` at these distinct, ascending rows, sparse."""
    if gradient is None:
        return None
    return torch.sparse_coo_tensor(rows[None], gradient, table.shape, is_coalesced=True, check_invariants=False)
