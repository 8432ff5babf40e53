"""First weights: drawn, or taken from an artefact that training goes on from.

Invariant: a row keeps its id. Ids that the artefact does not know get rows of their own, drawn with the seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.config import NetworkConfig
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.training.config import TrainingConfig
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup, Vocabulary


def first_model(
    spec: FeatureSpec, network: NetworkConfig, lookups: Mapping[str, Lookup], seed: int, parent: Artefact | None
) -> Model:
    """A model with first weights; those of `parent` where it has them. `lookups` must hold all its ids."""
    model = Model(spec, network, {name: lookup.row_count for name, lookup in lookups.items()})
    model.reset(seed)
    if parent is None:
        return model
    old = parent.model()
    model.network.load_state_dict(old.network.state_dict())
    with torch.no_grad():
        for name, lookup in lookups.items():
            rows = torch.from_numpy(_rows_of(parent.vocabulary(name), lookup))
            model.embeddings.table(name).weight[rows] = old.embeddings.table(name).weight
    return model


def check_parent(parent: Artefact, spec: FeatureSpec, network: NetworkConfig) -> None:
    """Raise `TrainingError` unless a model of these features and this network can go on from `parent`."""
    for what, theirs, ours in (
        ("features", parent.spec, spec),
        ("network", parent.manifest.network, network),
    ):
        if theirs != ours:
            msg = f"artefact {parent.version!r} has {what} {theirs}, this run {ours}; go on from one that has the same"
            raise TrainingError(msg)


def joined(parent: Artefact, lookups: Mapping[str, Lookup], config: TrainingConfig) -> dict[str, Lookup]:
    """Vocabularies of the parent's ids and of new ones. Raises `TrainingError`: a table would become too large."""
    return {name: _join(name, parent.vocabulary(name), lookup, config.rows_max) for name, lookup in lookups.items()}


def _join(name: str, old: Lookup, new: Lookup, rows_max: int) -> Lookup:
    if isinstance(old, HashedVocabulary):
        return old
    assert isinstance(old, Vocabulary)  # noqa: S101
    if isinstance(new, Vocabulary):
        both = Vocabulary.of(np.concatenate([old.ids, new.ids]))
        if both.row_count <= rows_max:
            return both
    msg = (
        f"feature {name!r}: the ids of the artefact ({len(old.ids)}) and of the data make more than rows_max = "
        f"{rows_max} rows, and a table that is not hashed cannot become so; raise rows_max or minimum_count"
    )
    raise TrainingError(msg)


def _rows_of(old: Lookup, new: Lookup) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The row in `new` of each row in `old`."""
    if isinstance(old, Vocabulary):
        return np.concatenate([[0], new.rows(old.ids)])
    return np.arange(old.row_count)
