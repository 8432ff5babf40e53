"""Is this manifest and are these tensors one usable model? Every refusal says what to do.

Invariant: what passes can be built and scored with; nothing here trusts the manifest's own list of tensors, the wanted
names and shapes are derived from features and network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from muse_stream.esu_scorer.errors import (
    ArtefactCorruptError,
    ArtefactFormatError,
    ArtefactMismatchError,
    VocabularyError,
)
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.lookups import lookup_of, lookup_tensors
from muse_stream.esu_scorer.manifest import Manifest, TensorInfo
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.vocabulary import Lookup

AGAIN = "export or copy the artefact again"


def check_tensors(manifest: Manifest, tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise `ArtefactCorruptError` unless the tensors are those of the manifest and of its network, and finite."""
    found = {name: TensorInfo.of(tensor) for name, tensor in tensors.items()}
    _check_same(manifest.tensors, found, f"{where}: the manifest")
    known = {feature.name: _check_vocabulary(feature.name, tensors, where) for feature in manifest.features.features}
    _check_same(wanted_tensors(manifest, known), found, f"{where}: the network")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            msg = f"{where}: {name} has {count} values that are not finite; look at the training run, do not serve it"
            raise ArtefactCorruptError(msg)


def check_metrics(manifest: Manifest, where: str) -> None:
    """Raise `ArtefactFormatError` when a metric is not finite: JSON cannot hold it."""
    for name, value in manifest.metrics.items():
        if not math.isfinite(value):
            msg = f"{where}: metric {name!r} is {value}, which JSON cannot hold; leave it out or look at the evaluation"
            raise ArtefactFormatError(msg)


def wanted_tensors(manifest: Manifest, known: Mapping[str, Lookup]) -> dict[str, TensorInfo]:
    """Name, dtype and shape of every tensor that a model of this configuration with these vocabularies has."""
    with torch.device("meta"):
        model = Model(manifest.features, manifest.network, {name: lookup.row_count for name, lookup in known.items()})
    wanted = {f"weight/{name}": TensorInfo.of(value) for name, value in model.state_dict().items()}
    return wanted | {name: TensorInfo.of(tensor) for name, tensor in lookup_tensors(known).items()}


def check_expected(manifest: Manifest, where: str, features: FeatureSpec | None, space: str | None) -> None:
    """Raise `ArtefactMismatchError` when the artefact is for other features or another vector space than asked for."""
    if features is not None and features != manifest.features:
        msg = (
            f"{where} reads candidate {_listed(manifest.features.candidate)}, user {_listed(manifest.features.user)}; "
            f"asked for candidate {_listed(features.candidate)}, user {_listed(features.user)}; "
            f"take an artefact made for these features"
        )
        raise ArtefactMismatchError(msg)
    if space is not None and space != manifest.space:
        msg = f"{where} was made for vector space {manifest.space!r}, asked for {space!r}; switch both together"
        raise ArtefactMismatchError(msg)


def _listed(features: tuple[object, ...]) -> str:
    return "[" + ", ".join(f"{getattr(f, 'name', '')}:{getattr(f, 'width', '')}" for f in features) + "]"


def _check_same(wanted: Mapping[str, TensorInfo], found: Mapping[str, TensorInfo], who: str) -> None:
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        msg = f"{who} wants other tensors: missing {missing[:5]}, unexpected {extra[:5]}; {AGAIN}"
        raise ArtefactCorruptError(msg)
    for name, info in wanted.items():
        if info != found[name]:
            msg = (
                f"{who} wants {name} as {info.dtype} {list(info.shape)}, found {found[name].dtype} "
                f"{list(found[name].shape)}; {AGAIN}"
            )
            raise ArtefactCorruptError(msg)


def _check_vocabulary(feature: str, tensors: Mapping[str, Tensor], where: str) -> Lookup:
    try:
        return lookup_of(feature, tensors)
    except VocabularyError as error:
        msg = f"{where}: feature {feature!r}: {error}; {AGAIN}"
        raise ArtefactCorruptError(msg) from error
