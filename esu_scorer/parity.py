"""Compares our network with the released one, stage by stage.

Our network is built from a reference file's `param/*`, run on its `in/*` and compared with every `out/*`.

Invariant: no stage is skipped. An `out/*` that our network does not have is an error, not a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_stream.esu_scorer.errors import ParityError
from muse_stream.esu_scorer.reference import (
    Arrays,
    get_array,
    read_reference,
    reference_batch,
    reference_network,
    reference_spec,
)

TOLERANCE = 1e-5
"""Largest absolute difference that float32 in another order of summation may make over this network's depth."""


@dataclass(frozen=True, slots=True)
class StageError:
    """One compared array: the name after `out/`, its shape, the largest absolute difference."""

    stage: str
    shape: tuple[int, ...]
    largest_error: float


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Every stage of a reference file, in the file's order."""

    stages: tuple[StageError, ...]
    tolerance: float

    @property
    def largest_error(self) -> float:
        """The largest error of all stages; not a number when one is not."""
        return float(np.max([stage.largest_error for stage in self.stages]))

    @property
    def passed(self) -> bool:
        """True when every stage is within the tolerance; an error that is not a number fails."""
        return all(stage.largest_error <= self.tolerance for stage in self.stages)


def check_parity(path: Path, tolerance: float = TOLERANCE) -> ParityReport:
    """Compare our network with the reference file `path`, stage by stage.

    Raises `ParityError` when the file cannot be read, lacks an array or has one of an impossible shape.
    """
    arrays = read_reference(path)
    wanted = {name.removeprefix("out/"): array for name, array in arrays.items() if name.startswith("out/")}
    if not wanted:
        msg = f"{path} has no out/* arrays, so there is nothing to compare with"
        raise ParityError(msg)
    try:
        computed = _stages(arrays)
    except (RuntimeError, ValueError, IndexError) as error:
        msg = f"{path}: the arrays do not fit together: {error}"
        raise ParityError(msg) from error
    stages = tuple(_compare(name, array, computed) for name, array in wanted.items())
    return ParityReport(stages, tolerance)


def _stages(arrays: Arrays) -> dict[str, Tensor]:
    """Everything our network can be compared in, under the reference's names."""
    network = reference_network(arrays, reference_spec(arrays))
    batch = reference_batch(arrays)
    with torch.inference_mode():
        result = network(batch)
    label = torch.from_numpy(get_array(arrays, "in/label", 2))  # (B, 2) one-hot
    return {
        "recent_cosine": batch.recent_cosine,
        "top_cosine": batch.retrieved_cosine,
        "recent_simtier": result.stages["recent_simtier"],
        "top_simtier": result.stages["retrieved_simtier"],
        "recent_attention": result.stages["recent_attention"],
        "sa_ta": result.stages["sa_ta"],
        "tower_input": result.stages["tower_input"],
        "logits": result.logits,
        "probability": result.probability,
        "loss": -(label * torch.log(result.probability)).sum(dim=1).mean().reshape(1),
    }


def _compare(stage: str, wanted: npt.NDArray[np.generic], computed: Mapping[str, Tensor]) -> StageError:
    if stage not in computed:
        msg = f"out/{stage}: our network has no such stage; it has {', '.join(computed)}"
        raise ParityError(msg)
    ours = computed[stage].numpy()
    if ours.shape != wanted.shape:
        msg = f"out/{stage} has shape {wanted.shape}, our network gives {ours.shape}; is the file from another network?"
        raise ParityError(msg)
    error = float(np.abs(ours.astype(np.float64) - wanted.astype(np.float64)).max())
    return StageError(stage, tuple(wanted.shape), error)
