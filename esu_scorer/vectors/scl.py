"""Contrastive item vectors: items bought together come near, all others are pushed away.

After SCL, "semantic-aware contrastive learning" (Sheng et al. 2024, arXiv 2407.19467; the vectors that MUSE retrieves
with): an encoder of content, positive pairs from behaviour, InfoNCE against a queue of keys that a slowly following
copy of the encoder made (MoCo, He et al. 2020, arXiv 1911.05722). For a pair (query q, bought item k):

    loss = -log( e^(q.k/t) / (e^(q.k/t) + sum over the queue of e^(q.n/t)) )

In those papers the query is what a user searched for. Where no searches are logged, both sides are items of one basket:
the pairs are then those of the MUSE paper's I2I vectors, the encoder of content is that of its SCL vectors.

Two departures from MoCo. A batch's keys enter the queue before its loss, so that some negatives are always of the
present encoder: against old keys alone all vectors drift away together and end in a narrow cone. And keys of the
query's own item or the positive's are left out: in a catalogue of thousands they are in the queue all the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from muse_stream.esu_scorer.errors import DataError, TrainingError
from muse_stream.esu_scorer.vectors.baselines import DIMENSION, Float32, Int64
from muse_stream.esu_scorer.vectors.baskets import Baskets
from muse_stream.esu_scorer.vectors.dense import Features
from muse_stream.esu_scorer.vectors.encoder import Encoder, compact, take
from muse_stream.esu_scorer.vectors.quality import Judging, Quality, quality


class SclConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one training.

    Where they come from: t is MoCo v2's (Chen et al. 2020, arXiv 2003.04297). Momentum and queue are ours, for some
    20 000 pairs an epoch and 2 500 items; MoCo has 0.999 and 65 536 keys for a million images. The others are ours.

    Attributes:
        seed: Of parameters, order and pairs.
        dimension: d.
        hidden: Of the encoder.
        epochs: Every purchase with a companion is the query once an epoch.
        batch: Pairs a step.
        rate: AdamW's, falling to 0 by a cosine.
        decay: AdamW's.
        temperature: t, or what it is at first.
        learn_temperature: Whether it is learnt.
        momentum: How much of itself the key encoder keeps a step.
        queue: Keys.

    """

    seed: int = 1
    dimension: int = DIMENSION
    hidden: int = 256
    epochs: int = 15
    batch: int = 512
    rate: float = 2e-3
    decay: float = 0.01
    temperature: float = 0.2
    learn_temperature: bool = False
    momentum: float = 0.99
    queue: int = 1_024


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come; told after every epoch, and once before the first (`epoch` 0, loss NaN).

    Attributes:
        epoch: Epochs done.
        epochs: Epochs in all.
        pairs: Pairs learnt from.
        loss: Mean of the epoch.
        temperature: t now.
        rate: Pairs per second, the judging left out.
        left_seconds: For the rest at that rate; NaN before the first.
        quality: On held-out pairs; None without any.

    """

    epoch: int
    epochs: int
    pairs: int
    loss: float
    temperature: float
    rate: float
    left_seconds: float
    quality: Quality | None


class _Run:
    """One training: the encoder, its slow copy, the queue."""

    def __init__(self, features: Features, config: SclConfig) -> None:
        self.features, self.config = compact(features), config
        self.encoder, self.slow = (
            Encoder(self.features, dimension=config.dimension, hidden=config.hidden, seed=config.seed) for _ in range(2)
        )
        self.slow.requires_grad_(False)
        self.log_scale = torch.tensor(-np.log(config.temperature), dtype=torch.float32)
        groups = [{"params": list(self.encoder.parameters()), "weight_decay": config.decay}]
        if config.learn_temperature:
            groups.append({"params": [self.log_scale.requires_grad_(True)], "weight_decay": 0.0})
        self.optimiser = torch.optim.AdamW(groups, lr=config.rate)
        self.generator = np.random.default_rng(config.seed)
        self.key_row = self.generator.integers(0, len(features), config.queue)
        self.keys = torch.from_numpy(self.slow.vectors(take(self.features, self.key_row)))  # (queue, d)
        self.next = 0

    def step(self, query: Int64, bought: Int64, rate: float) -> float:
        """Learn from pairs of item rows `[b]`; the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        asked = self.encoder(take(self.features, query))  # (b, d)
        with torch.no_grad():
            key = self.slow(take(self.features, bought))  # (b, d)
        self._push(bought, key)
        positive = (asked * key).sum(dim=1, keepdim=True)  # (b, 1)
        negative = asked @ self.keys.T  # (b, queue)
        logits = torch.cat([positive, negative], dim=1) * self.log_scale.exp()
        logits[:, 1:].masked_fill_(self._same(query, bought), -torch.inf)
        loss = functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64))
        if not torch.isfinite(loss):
            msg = (
                f"the loss is {loss.item()} at temperature {self.temperature:.3g} and rate {rate:.3g}, expected a "
                "number; lower the rate or raise the temperature"
            )
            raise TrainingError(msg)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()
        self._follow()
        return loss.item()

    @property
    def temperature(self) -> float:
        return float(torch.exp(-self.log_scale.detach()))

    def _same(self, query: Int64, bought: Int64) -> Tensor:
        same = (self.key_row == query[:, None]) | (self.key_row == bought[:, None])  # (b, queue)
        return torch.from_numpy(same)

    @torch.no_grad()
    def _follow(self) -> None:
        for slow, fast in zip(self.slow.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.config.momentum)

    def _push(self, rows: Int64, key: Tensor) -> None:
        place = (self.next + np.arange(len(rows))) % self.config.queue
        self.key_row[place], self.keys[torch.from_numpy(place)] = rows, key
        self.next = int((self.next + len(rows)) % self.config.queue)


def train(
    features: Features,
    baskets: Baskets,
    config: SclConfig,
    *,
    judge: Judging | None = None,
    told: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Float32:
    """Learn vectors of all items from what was bought together.

    Args:
        features: Of n items.
        baskets: Of the training span alone, by row of `features`.
        config: Settings. The same ones on the same machine and number of threads give the same vectors.
        judge: Held-out pairs to report on after every epoch; nothing is chosen by them.
        told: Progress, after every epoch; once before the first, with the untrained encoder's quality.
        clock: Seconds.

    Returns:
        `[n, d] float32`, unit length; a row of zeros for an item without any feature.

    Raises:
        DataError: A setting that cannot be, or a basket names a row that has no features.
        TrainingError: The loss is no longer a number.

    """
    _check(features, baskets, config)
    run, begun, spent, done = _Run(features, config), clock(), 0.0, 0
    total = config.epochs * len(baskets)

    def tell(epoch: int, loss: float) -> None:
        rate = done / spent if spent else 0.0
        judged = quality(run.encoder.vectors(run.features), judge) if judge is not None else None
        left = (total - done) / rate if rate else float("nan")
        told(Progress(epoch, config.epochs, done, loss, run.temperature, rate, left, judged))

    tell(0, float("nan"))
    for epoch in range(config.epochs):
        begun = clock()
        query, bought = baskets.draw(run.generator)
        order, losses = run.generator.permutation(len(query)), []
        for first in range(0, len(order), config.batch):
            part = order[first : first + config.batch]
            rate = config.rate * 0.5 * (1 + np.cos(np.pi * done / total))
            losses.append(run.step(query[part], bought[part], rate))
            done += len(part)
        spent += clock() - begun
        tell(epoch + 1, float(np.mean(losses)))
    return run.encoder.vectors(run.features)


def _check(features: Features, baskets: Baskets, config: SclConfig) -> None:
    for name in ("dimension", "hidden", "epochs", "batch", "queue", "rate", "temperature"):
        if not getattr(config, name) > 0:
            msg = f"{name} is {getattr(config, name)}, expected more than 0"
            raise DataError(msg)
    if not 0 <= config.momentum < 1:
        msg = f"momentum is {config.momentum}, expected at least 0 and less than 1; at 1 the keys would never learn"
        raise DataError(msg)
    if baskets.row.max() >= len(features):
        msg = f"baskets name item row {baskets.row.max()}, features have {len(features)} rows; number them alike"
        raise DataError(msg)
