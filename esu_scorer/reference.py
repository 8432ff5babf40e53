"""Reads a reference file: the released network's parameters and one batch of its inputs, as ours.

A reference file (`.npz`) holds `param/*`, `in/*` and `out/*`. Each sample is one user with one candidate; embeddings
are given, so the tables are no part of it. Invariant: every parameter of our network is set from the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_stream.esu_scorer.config import MuseConfig
from muse_stream.esu_scorer.errors import ParityError
from muse_stream.esu_scorer.features import CATEGORY, ITEM, FeatureSpec
from muse_stream.esu_scorer.network.embeddings import EmbeddedBatch
from muse_stream.esu_scorer.network.muse import MuseNetwork

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

# Reference parameter -> ours. Extra leading axes of length 1 in the reference are dropped.
_PARAMETERS = {
    "realtime_att.query_fcs.0.linears.0.weight": "recent.query.weight",
    "realtime_att.query_fcs.0.linears.0.bias": "recent.query.bias",
    "realtime_att.fact_fcs.0.linears.0.weight": "recent.key.weight",
    "realtime_att.fact_fcs.0.linears.0.bias": "recent.key.bias",
    "uni_att_v2.query_layers.0.linears.0.weight": "sa_ta.query.weight",
    "uni_att_v2.query_layers.0.linears.0.bias": "sa_ta.query.bias",
    "uni_att_v2.fact_layers.0.linears.0.weight": "sa_ta.key.weight",
    "uni_att_v2.fact_layers.0.linears.0.bias": "sa_ta.key.bias",
    "uni_att_v2.value_layers.0.linears.0.weight": "sa_ta.value.weight",
    "uni_att_v2.value_layers.0.linears.0.bias": "sa_ta.value.bias",
    "uni_att_v2.cosine_tau1": "sa_ta.tau",
    "uni_att_v2.cosine_tau2": "sa_ta.beta",
    "all_seq_image_res.rt_simtier.emb": "recent_simtier.weight",
    "all_seq_image_res.uni_v2_simtier.emb": "retrieved_simtier.weight",
}
_TOWER_PARAMETERS = {
    "fc_tower.linears.{}.weight": "tower.linears.{}.weight",
    "fc_tower.linears.{}.bias": "tower.linears.{}.bias",
    "fc_tower.act_layers.{}.dice_gamma": "tower.activations.{}.gamma",
}


def read_reference(path: Path) -> dict[str, Array]:
    """All arrays of the file. Raises `ParityError` when it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, TypeError, EOFError, zlib.error, BadZipFile) as error:
        msg = f"{path} is not a reference file: {error}; expected an .npz with param/*, in/* and out/* arrays"
        raise ParityError(msg) from error


def reference_spec(arrays: Arrays) -> FeatureSpec:
    """Feature list of a reference file: `in/ad_*` and `in/user_*` in order, each as wide as its array."""
    candidate = [get_array(arrays, name).shape[-1] for name in _numbered(arrays, "in/ad_")]
    user = [get_array(arrays, name).shape[-1] for name in _numbered(arrays, "in/user_")]
    names = [ITEM, CATEGORY, *(f"ad_{index}" for index in range(2, len(candidate)))]
    return FeatureSpec.of(
        candidate=dict(zip(names[: len(candidate)], candidate, strict=True)),
        user={f"user_{index}": width for index, width in enumerate(user)},
    )


def reference_network(arrays: Arrays, spec: FeatureSpec) -> MuseNetwork:
    """Our network with the reference file's parameters, its tower as deep and wide as there. Raises `ParityError`."""
    layers = range(sum(name.startswith("param/fc_tower.act_layers.") for name in arrays))
    names = dict(_PARAMETERS)
    for layer in layers:
        names |= {theirs.format(layer): ours.format(layer) for theirs, ours in _TOWER_PARAMETERS.items()}
    hidden = tuple(len(get_array(arrays, f"param/fc_tower.linears.{layer}.weight", 2)) for layer in layers[:-1])
    network = MuseNetwork(spec, MuseConfig(form="released", tower=hidden))
    shapes = network.state_dict()
    state = {ours: _parameter(name, get_array(arrays, f"param/{name}"), shapes[ours]) for name, ours in names.items()}
    network.load_state_dict(state)
    return network.eval()


def reference_batch(arrays: Arrays) -> EmbeddedBatch:
    """Return the file's inputs: as many users as candidates, nothing masked; cosines from the int8 vectors."""
    samples, recent = get_array(arrays, "in/recent_item", 3).shape[:2]
    retrieved = get_array(arrays, "in/top_item", 3).shape[1]
    target = get_array(arrays, "in/target_vector", 2)
    return EmbeddedBatch(
        user=_side_by_side(arrays, _numbered(arrays, "in/user_")),
        recent=_side_by_side(arrays, ["in/recent_item", "in/recent_category"]),
        recent_mask=torch.ones(samples, recent, dtype=torch.bool),
        candidate=_side_by_side(arrays, _numbered(arrays, "in/ad_")),
        recent_cosine=torch.from_numpy(cosines(target, get_array(arrays, "in/recent_vector", 3))),
        recent_cosine_present=torch.ones(samples, recent, dtype=torch.bool),
        retrieved=_side_by_side(arrays, ["in/top_item", "in/top_category"]),
        retrieved_cosine=torch.from_numpy(cosines(target, get_array(arrays, "in/top_vector", 3))),
        retrieved_mask=torch.ones(samples, retrieved, dtype=torch.bool),
        owners=torch.arange(samples),
        bounds=tuple(range(samples + 1)),
    )


def cosines(target: Array, rows: Array) -> npt.NDArray[np.float32]:
    """Cosines `[B, N]` of `target [B, d] int8` and `rows [B, N, d] int8` by the GSU's own rule.

    Exact integer product, times the row's inverse norm, times the target's; inverse norms rounded once from float64.
    """
    dot = np.einsum("bd,bnd->bn", target.astype(np.int32), rows.astype(np.int32)).astype(np.float32)
    scores: npt.NDArray[np.float32] = dot * _inverse_norms(rows) * _inverse_norms(target)[:, None]
    return scores


def get_array(arrays: Arrays, name: str, ndim: int | None = None) -> Array:
    """Array `name`, of `ndim` axes when given. Raises `ParityError`."""
    if name not in arrays:
        msg = f"the reference file has no array {name!r}; expected the form of the public MUSE release"
        raise ParityError(msg)
    if ndim is not None and arrays[name].ndim != ndim:
        msg = f"{name} has shape {arrays[name].shape}, expected {ndim} axes"
        raise ParityError(msg)
    return arrays[name]


def _inverse_norms(rows: Array) -> npt.NDArray[np.float32]:
    norms = np.sqrt(np.square(rows.astype(np.float64)).sum(axis=-1))
    inverse: npt.NDArray[np.float32] = (1.0 / norms).astype(np.float32)
    return inverse


def _numbered(arrays: Arrays, prefix: str) -> list[str]:
    """`prefix0`, `prefix1`, … as far as the file goes."""
    count = sum(name.startswith(prefix) for name in arrays)
    return [f"{prefix}{index}" for index in range(count)]


def _side_by_side(arrays: Arrays, names: list[str]) -> Tensor:
    return torch.from_numpy(np.concatenate([get_array(arrays, name) for name in names], axis=-1).astype(np.float32))


def _parameter(name: str, value: Array, ours: Tensor) -> Tensor:
    """The reference's array in our shape; its first tau of two is the one in use."""
    used = value.reshape(-1)[:1] if name.endswith("cosine_tau1") else value
    if used.size != ours.numel() or (ours.ndim == 2 and used.shape != tuple(ours.shape)):
        msg = f"param/{name} has shape {value.shape}, our network wants {tuple(ours.shape)}"
        raise ParityError(msg)
    return torch.from_numpy(used.reshape(ours.shape))
