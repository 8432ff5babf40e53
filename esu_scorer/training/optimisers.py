"""AdamW for the network, SparseAdam for the tables, and both as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, SparseAdam

from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.training.config import TrainingConfig

TABLES = "embeddings."

WEIGHT_DECAY = 0.01
"""Of AdamW; tables have none: a row that is not in a batch must not move."""


class Optimisers:
    """One step over all parameters of a model.

    Their state is one tensor `<parameter>/<part>` for each parameter that has had a gradient and each of `step`,
    `exp_avg`, `exp_avg_sq`.
    """

    def __init__(self, model: Model, config: TrainingConfig) -> None:
        parameters = dict(model.named_parameters())
        self._tables = {name: p for name, p in parameters.items() if name.startswith(TABLES)}
        self._dense = {name: p for name, p in parameters.items() if name not in self._tables}
        self._dense_steps = AdamW(list(self._dense.values()), lr=config.dense_rate, weight_decay=WEIGHT_DECAY)
        self._table_steps = SparseAdam(list(self._tables.values()), lr=config.table_rate)

    def clear(self) -> None:
        """Forget all gradients."""
        self._dense_steps.zero_grad()
        self._table_steps.zero_grad()

    def step(self) -> None:
        """Follow the gradients."""
        self._dense_steps.step()
        self._table_steps.step()  # type: ignore[no-untyped-call]

    def tensors(self) -> dict[str, Tensor]:
        """The whole state; the tensors are those in use, not copies."""
        return _state(self._dense_steps, self._dense) | _state(self._table_steps, self._tables)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a state that `tensors` gave."""
        _restore(self._dense_steps, self._dense, tensors)
        _restore(self._table_steps, self._tables, tensors)


def _state(optimiser: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {
        f"{name}/{part}": torch.as_tensor(value)
        for name, parameter in parameters.items()
        for part, value in optimiser.state.get(parameter, {}).items()
    }


def _restore(optimiser: Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parts = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        if parts:
            # SparseAdam counts its steps in a plain int, AdamW in a float32 tensor.
            optimiser.state[parameter] = {
                part: int(value) if value.dtype == torch.int64 else value.clone() for part, value in parts.items()
            }
