"""Vocabularies as tensors, as artefacts and training runs hold them.

    vocabulary/<feature>  int64 [n], ascending ids: a `Vocabulary`
    buckets/<feature>     int64 [1], a count of buckets: a `HashedVocabulary`

Invariant: a feature has one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from muse_stream.esu_scorer.errors import VocabularyError
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup, Vocabulary

VOCABULARY, BUCKETS = "vocabulary/", "buckets/"


def lookup_tensors(lookups: Mapping[str, Lookup]) -> dict[str, Tensor]:
    """One tensor per feature, under its name. Raises `VocabularyError`: a lookup that is neither of the two."""
    return dict(_tensor(feature, lookup) for feature, lookup in lookups.items())


def lookup_of(feature: str, tensors: Mapping[str, Tensor]) -> Lookup:
    """The lookup of a feature. Raises `VocabularyError`: none, both, or values that none can have."""
    ids, buckets = tensors.get(VOCABULARY + feature), tensors.get(BUCKETS + feature)
    if (ids is None) == (buckets is None):
        msg = f"{'no vocabulary' if ids is None else 'both a vocabulary and buckets'} of feature {feature!r}"
        raise VocabularyError(msg)
    found = ids if ids is not None else buckets
    assert found is not None  # noqa: S101
    if found.dtype != torch.int64:
        dtype = str(found.dtype).removeprefix("torch.")
        msg = f"vocabulary of feature {feature!r} is {dtype}, expected int64"
        raise VocabularyError(msg)
    if ids is not None:
        return Vocabulary(ids.numpy())
    if tuple(found.shape) != (1,):
        msg = f"buckets of feature {feature!r} have shape {list(found.shape)}, expected [1]"
        raise VocabularyError(msg)
    return HashedVocabulary(int(found))


def _tensor(feature: str, lookup: Lookup) -> tuple[str, Tensor]:
    if isinstance(lookup, Vocabulary):
        return VOCABULARY + feature, torch.tensor(lookup.ids)
    if isinstance(lookup, HashedVocabulary):
        return BUCKETS + feature, torch.tensor([lookup.buckets])
    msg = f"vocabulary of feature {feature!r} is a {type(lookup).__name__}, which has no form on disk"
    raise VocabularyError(msg)
