"""A batch over the rows that it has, instead of over whole tables.

Tables are long and a batch touches few rows of them, most of them many times. Here each table is narrowed to the
batch's distinct rows before the forward pass, so that its gradient is a small dense matrix, each row once: nothing is
sorted or added up in the optimiser. Gradients are those of whole tables, up to the order of summation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from muse_stream.esu_scorer.features import CATEGORY, ITEM, FeatureSpec
from muse_stream.esu_scorer.network import RowBatch


@dataclass(frozen=True, eq=False, slots=True)
class Compact:
    """A batch whose table rows are numbered anew.

    Attributes:
        rows: The batch; its row i of feature f is row `distinct[f][i]` of the table.
        distinct: `[n] int64` by feature, ascending.

    """

    rows: RowBatch
    distinct: Mapping[str, Tensor]


def compact(rows: RowBatch, spec: FeatureSpec) -> Compact:
    """Number the rows of a batch anew, on the CPU."""
    distinct: dict[str, Tensor] = {}
    candidate, user = rows.candidate_features.clone(), rows.user_features.clone()
    item = (candidate[:, 0], rows.recent_item, rows.retrieved_item)
    category = (candidate[:, 1], rows.recent_category, rows.retrieved_category)
    distinct[ITEM], (candidate[:, 0], recent_item, retrieved_item) = _renumber(*item)
    distinct[CATEGORY], (candidate[:, 1], recent_category, retrieved_category) = _renumber(*category)
    for column, name in enumerate(spec.candidate_names[2:], 2):
        distinct[name], (candidate[:, column],) = _renumber(candidate[:, column])
    for column, name in enumerate(spec.user_names):
        distinct[name], (user[:, column],) = _renumber(user[:, column])
    renumbered = replace(
        rows,
        user_features=user,
        recent_item=recent_item,
        recent_category=recent_category,
        candidate_features=candidate,
        retrieved_item=retrieved_item,
        retrieved_category=retrieved_category,
    )
    return Compact(renumbered, distinct)


def _renumber(*columns: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Distinct values of all columns, ascending, and each column as places among them."""
    flat = np.concatenate([column.numpy().ravel() for column in columns])
    distinct, places = np.unique(flat, return_inverse=True)
    parts = np.split(places, np.cumsum([column.numel() for column in columns])[:-1])
    renumbered = [torch.from_numpy(part).view(column.shape) for part, column in zip(parts, columns, strict=True)]
    return torch.from_numpy(distinct), renumbered
