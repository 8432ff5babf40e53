"""A model on disk and in memory: a directory of two files, nothing of it ever unpickled.

    NAME/artefact.json        manifest: format, version, features, network, space, K, R, shapes, metrics, data span,
                              parent, digests
    NAME/tensors.safetensors  `weight/<parameter>` float32; `vocabulary/<feature>` int64 sorted ids, or
                              `buckets/<feature>` int64 [1] where the feature's ids are hashed

Invariant: an `Artefact` that exists is whole: its tensors are exactly those its network needs, finite, and its digest
is over what it holds. Saving is atomic (a temporary sibling directory, flushed, then renamed) and never overwrites, so
a reader sees the whole artefact or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy.typing as npt
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from muse_stream.esu_scorer.checks import check_expected, check_metrics, check_tensors
from muse_stream.esu_scorer.config import RECENT_COUNT, RETRIEVED_COUNT, MuseConfig, NetworkConfig
from muse_stream.esu_scorer.errors import (
    ArtefactCorruptError,
    ArtefactMissingError,
    VocabularyError,
)
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.files import save_artefact
from muse_stream.esu_scorer.lookups import lookup_of, lookup_tensors
from muse_stream.esu_scorer.manifest import (
    DataSpan,
    Manifest,
    TensorInfo,
    decode_manifest,
    digest_of,
    digest_of_tensors,
    encoded,
    plain_form,
)
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.served import ModelInfo
from muse_stream.esu_scorer.tensor_file import read_tensors
from muse_stream.esu_scorer.vocabulary import Lookup, Vocabulary

MANIFEST_FILE = "artefact.json"
TENSORS_FILE = "tensors.safetensors"

WEIGHT = "weight/"
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Artefact:
    """Manifest and tensors of one model. Make one with `untrained`, `from_model` or `load`."""

    manifest: Manifest
    tensors: Mapping[str, Tensor]

    @classmethod
    def untrained(
        cls,
        spec: FeatureSpec,
        vocabularies: Mapping[str, npt.ArrayLike],
        *,
        seed: int,
        space: str,
        network: NetworkConfig | None = None,
        version: str | None = None,
    ) -> Artefact:
        """Seeded first weights: serves the path before training exists, ranks nothing well.

        `vocabularies` maps feature names to integer ids in any order; a feature that is missing has only its unknown
        row. Raises `VocabularyError`.
        """
        known = {feature.name: Vocabulary.of(vocabularies.get(feature.name, [])) for feature in spec.features}
        unknown = sorted(set(vocabularies) - set(known))
        if unknown:
            msg = f"vocabularies for {unknown}, but the features are {sorted(known)}; drop them or extend the spec"
            raise VocabularyError(msg)
        model = Model(spec, network or MuseConfig(), {name: ids.row_count for name, ids in known.items()})
        model.reset(seed)
        return cls.from_model(model, known, space=space, version=version or f"untrained-{seed}", trained=False)

    @classmethod
    def from_model(
        cls,
        model: Model,
        vocabularies: Mapping[str, Lookup],
        *,
        space: str,
        version: str,
        trained: bool,
        k: int = RETRIEVED_COUNT,
        r: int = RECENT_COUNT,
        metrics: Mapping[str, float] | None = None,
        data: DataSpan | None = None,
        parent: str | None = None,
    ) -> Artefact:
        """Freeze a copy of `model`; `data` says what it was trained on, `parent` is the digest it was continued from.

        Raises `ArtefactCorruptError`: a weight is not finite, a table does not fit.
        """
        known = lookup_tensors(vocabularies)
        tensors = {WEIGHT + name: value.detach().clone() for name, value in model.state_dict().items()} | known
        manifest = Manifest(
            version=version,
            trained=trained,
            space=space,
            features=model.spec,
            network=model.config,
            k=k,
            r=r,
            tensors={name: TensorInfo.of(tensor) for name, tensor in sorted(tensors.items())},
            metrics=dict(metrics or {}),
            data=msgspec.UNSET if data is None else data,
            parent=msgspec.UNSET if parent is None else parent,
            vocabulary_digest=digest_of_tensors(known),
        )
        check_metrics(manifest, f"artefact {version!r}")
        check_tensors(manifest, tensors, f"artefact {version!r}")
        return cls(msgspec.structs.replace(manifest, digest=digest_of(plain_form(manifest), tensors)), tensors)

    @classmethod
    def load(cls, path: Path, *, features: FeatureSpec | None = None, space: str | None = None) -> Artefact:
        """Read and check the artefact in directory `path`; `features` and `space`, when given, must be its own.

        Raises `ArtefactMissingError`, `ArtefactFormatError`, `ArtefactCorruptError`, `ArtefactMismatchError`.
        """
        manifest, plain = decode_manifest(_found(Path.read_bytes, path / MANIFEST_FILE), str(path / MANIFEST_FILE))
        tensors = _found(read_tensors, path / TENSORS_FILE)
        check_tensors(manifest, tensors, str(path))
        _check_digest(manifest, plain, tensors, path)
        check_expected(manifest, str(path), features, space)
        return cls(manifest, tensors)

    def save(self, path: Path) -> None:
        """Write to the new directory `path`, whole or not at all. Raises `ArtefactExistsError`, `OSError`."""
        save_artefact(path, {TENSORS_FILE: save_tensors(dict(self.tensors)), MANIFEST_FILE: encoded(self.manifest)})

    def info(self) -> ModelInfo:
        """What serving has to know."""
        found = self.manifest
        return ModelInfo(
            found.digest, found.version, found.space, found.k, found.r, spec=found.features, trained=found.trained
        )

    def vocabulary(self, feature: str) -> Lookup:
        """Return the vocabulary of one feature."""
        return lookup_of(feature, self.tensors)

    def model(self) -> Model:
        """Return a model over these very weights, without gradients (to train on, copy them into another)."""
        spec = self.manifest.features
        with torch.device("meta"):
            row_counts = {feature.name: self.vocabulary(feature.name).row_count for feature in spec.features}
            model = Model(spec, self.manifest.network, row_counts)
        weights = {name.removeprefix(WEIGHT): t for name, t in self.tensors.items() if name.startswith(WEIGHT)}
        model.load_state_dict(weights, assign=True)
        return model.eval().requires_grad_(False)

    @property
    def digest(self) -> str:
        """SHA-256 over weights, vocabularies and configuration, 64 hex digits: names this model in answers."""
        return self.manifest.digest

    @property
    def space(self) -> str:
        """Name of the vector space whose cosines this model was made for."""
        return self.manifest.space

    @property
    def spec(self) -> FeatureSpec:
        """Features in column order."""
        return self.manifest.features

    @property
    def version(self) -> str:
        """Name given to this artefact."""
        return self.manifest.version

    @property
    def trained(self) -> bool:
        """False for first weights: say so wherever its scores are shown."""
        return self.manifest.trained


def _found(read: Callable[[Path], T], path: Path) -> T:
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"no artefact file {path}; an artefact is a directory with {MANIFEST_FILE} and {TENSORS_FILE}"
        raise ArtefactMissingError(msg) from error


def _check_digest(manifest: Manifest, plain: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> None:
    found = digest_of(plain, tensors)
    if found != manifest.digest:
        msg = (
            f"{path} has digest {found[:16]}…, its manifest says {manifest.digest[:16] or 'none'}…: a value "
            f"was changed after export; copy the artefact again"
        )
        raise ArtefactCorruptError(msg)
