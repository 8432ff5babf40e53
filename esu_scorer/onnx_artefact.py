"""A model of your own on disk: a directory of two files, an ONNX graph and what serving has to know of it.

    NAME/artefact.json   manifest: format `muse-onnx`, version, features, space, K, R, metrics, digest
    NAME/model.onnx      the graph, weights inside; inputs and output as in `onnx_graph`

The digest, which names the model in answers, is SHA-256 over the manifest as canonical JSON (as in `manifest`), a NUL
and the bytes of the graph.

Invariant: an `OnnxArtefact` that exists is a graph that serving can feed: inputs, output, dtypes and operators were
looked at. Whether it scores is seen when an `OnnxModel` is made of it. Saving is atomic and never overwrites.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from muse_stream.esu_scorer.config import RECENT_COUNT, RETRIEVED_COUNT
from muse_stream.esu_scorer.errors import (
    ArtefactCorruptError,
    ArtefactFormatError,
    ArtefactMissingError,
)
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.files import save_artefact
from muse_stream.esu_scorer.manifest import canonical, decode_as, encoded, plain_form
from muse_stream.esu_scorer.onnx_graph import check_graph
from muse_stream.esu_scorer.served import ModelInfo

ONNX_FORMAT = "muse-onnx"
MANIFEST_FILE = "artefact.json"
GRAPH_FILE = "model.onnx"
GRAPH_BYTES_MAX = 1 << 30
"""Half of what a graph with its weights inside can be (protobuf ends at 2 GiB): it is held twice while it is loaded."""

WIDTH = 1  # of each feature in `FeatureSpec`: how wide a graph embeds it is its own affair


class FeatureNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the feature columns, in order; the candidate's begin with `item`, `category`."""

    candidate: tuple[str, ...]
    user: tuple[str, ...] = ()


class OnnxManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an artefact of this kind says of itself; fields as in `Manifest`. What is left out has its default."""

    format: str = ONNX_FORMAT
    format_version: int = 1
    version: str
    space: str
    features: FeatureNames
    trained: bool = True
    k: int = RETRIEVED_COUNT
    r: int = RECENT_COUNT
    metrics: dict[str, float] = {}
    digest: str = ""

    def __post_init__(self) -> None:
        if self.k < 0 or self.r < 0:
            msg = f"k and r are numbers of behaviours, found k = {self.k}, r = {self.r}; set what the graph reads"
            raise ArtefactFormatError(msg)

    def info(self) -> ModelInfo:
        """What serving has to know. Raises `FeatureError`: names that no features can have."""
        names = self.features
        spec = FeatureSpec.of(dict.fromkeys(names.candidate, WIDTH), dict.fromkeys(names.user, WIDTH))
        return ModelInfo(self.digest, self.version, self.space, self.k, self.r, spec=spec, trained=self.trained)


@dataclass(frozen=True, eq=False)
class OnnxArtefact:
    """Manifest and graph (a serialised ONNX model). Make one with `of` or `load`."""

    manifest: OnnxManifest
    graph: bytes

    @classmethod
    def of(
        cls,
        graph: bytes,
        *,
        candidate: tuple[str, ...],
        user: tuple[str, ...],
        space: str,
        version: str,
        k: int = RETRIEVED_COUNT,
        r: int = RECENT_COUNT,
        metrics: Mapping[str, float] | None = None,
    ) -> OnnxArtefact:
        """Describe a graph: its feature columns by name, the space of its cosines, how many behaviours it reads.

        Raises `FeatureError`, and `ArtefactFormatError`, `ArtefactCorruptError` when serving could not feed the graph.
        """
        manifest = OnnxManifest(
            version=version,
            space=space,
            features=FeatureNames(tuple(candidate), tuple(user)),
            k=k,
            r=r,
            metrics=dict(metrics or {}),
        )
        check_graph(graph, manifest.info(), f"artefact {version!r}")
        return cls(msgspec.structs.replace(manifest, digest=_digest_of(plain_form(manifest), graph)), graph)

    @classmethod
    def load(cls, path: Path) -> OnnxArtefact:
        """Read and check the artefact in directory `path`.

        Raises `ArtefactMissingError`, `ArtefactFormatError`, `ArtefactCorruptError`.
        """
        manifest, plain = decode_as(OnnxManifest, _read(path / MANIFEST_FILE), str(path / MANIFEST_FILE))
        graph = _read(path / GRAPH_FILE)
        found = _digest_of(plain, graph)
        if found != manifest.digest:
            msg = (
                f"{path} has digest {found[:16]}…, its manifest says {manifest.digest[:16] or 'none'}…: the graph or "
                f"the manifest was changed after export; copy the artefact again, or save it with OnnxArtefact.save"
            )
            raise ArtefactCorruptError(msg)
        check_graph(graph, _info(manifest, path), str(path))
        return cls(manifest, graph)

    def save(self, path: Path) -> None:
        """Write to the new directory `path`, whole or not at all. Raises `ArtefactExistsError`, `OSError`."""
        save_artefact(path, {GRAPH_FILE: self.graph, MANIFEST_FILE: encoded(self.manifest)})

    def info(self) -> ModelInfo:
        """What serving has to know."""
        return self.manifest.info()


def _digest_of(plain: Mapping[str, Any], graph: bytes) -> str:
    return hashlib.sha256(canonical(plain) + b"\0" + graph).hexdigest()


def _info(manifest: OnnxManifest, path: Path) -> ModelInfo:
    try:
        return manifest.info()
    except ValueError as error:
        msg = f"{path / MANIFEST_FILE}: {error}"
        raise ArtefactFormatError(msg) from error


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > GRAPH_BYTES_MAX:
            msg = f"{path} has {size} bytes, at most {GRAPH_BYTES_MAX} are read; export a smaller graph"
            raise ArtefactCorruptError(msg)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"no artefact file {path}; an ONNX artefact is a directory with {MANIFEST_FILE} and {GRAPH_FILE}"
        raise ArtefactMissingError(msg) from error
