"""The JSON half of an artefact, and the digest over both halves.

Digest = SHA-256 over the manifest as canonical JSON (keys sorted, no spaces, UTF-8, without `digest`), then per tensor,
in order of its name: name, NUL, dtype, NUL, shape, NUL, little-endian bytes. It is taken from the values, not from the
files: an artefact in memory, saved, loaded, copied keeps one digest; any change of a value, name or shape changes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from torch import Tensor

from muse_stream.esu_scorer.config import RECENT_COUNT, RETRIEVED_COUNT, NetworkConfig
from muse_stream.esu_scorer.errors import ArtefactFormatError, FeatureError
from muse_stream.esu_scorer.features import FeatureSpec

FORMAT = "muse-esu"
FORMAT_VERSION = 1
M = TypeVar("M", bound=msgspec.Struct)


class TensorInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dtype (`float32`, `int64`) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> TensorInfo:
        """Describe `tensor`."""
        return cls(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


class DataSpan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model was trained on: `samples` of `source`, from `first_ms` to `last_ms` (0: the source has no times)."""

    source: str
    samples: int
    first_ms: int
    last_ms: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an artefact says of itself. `space`: vector space of its cosines; `k`, `r`: the counts it was made for.

    `data`: what it was trained on; `parent`: digest of the artefact that training went on from; `vocabulary_digest`:
    of the vocabularies alone, so that two artefacts can be seen to read ids alike. Artefacts of earlier releases lack
    these three, and lack them still when they are saved again: their digest stays.
    """

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    version: str
    trained: bool
    space: str
    features: FeatureSpec
    network: NetworkConfig
    tensors: dict[str, TensorInfo]
    k: int = RETRIEVED_COUNT
    r: int = RECENT_COUNT
    metrics: dict[str, float] = {}
    data: DataSpan | msgspec.UnsetType = msgspec.UNSET
    parent: str | msgspec.UnsetType = msgspec.UNSET
    vocabulary_digest: str | msgspec.UnsetType = msgspec.UNSET
    digest: str = ""


class Header(msgspec.Struct):
    """What every artefact's manifest begins with, whatever its kind."""

    format: str
    format_version: int


def decode_header(data: bytes, where: str) -> Header:
    """Format and version of a manifest of any kind. Raises `ArtefactFormatError`."""
    try:
        return msgspec.json.decode(data, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"{where} is not an artefact manifest ({error}); expected JSON with 'format' and 'format_version'"
        raise ArtefactFormatError(msg) from error


def decode_manifest(data: bytes, where: str) -> tuple[Manifest, dict[str, Any]]:
    """Manifest and its plain JSON form; format and version are looked at first. Raises `ArtefactFormatError`."""
    return decode_as(Manifest, data, where)


def decode_as(kind: type[M], data: bytes, where: str) -> tuple[M, dict[str, Any]]:
    """The same for any kind of manifest, whose defaults of `format` and `format_version` are those that are wanted."""
    wanted = {field.name: field.default for field in msgspec.structs.fields(kind)}
    header = decode_header(data, where)
    if (header.format, header.format_version) != (wanted["format"], wanted["format_version"]):
        msg = (
            f"{where} has format {header.format!r} version {header.format_version}, this release reads "
            f"{wanted['format']!r} version {wanted['format_version']}; upgrade muse-stream or export the artefact again"
        )
        raise ArtefactFormatError(msg)
    try:
        return msgspec.json.decode(data, type=kind), json.loads(data)
    except (msgspec.DecodeError, UnicodeDecodeError, FeatureError) as error:
        msg = f"{where} has a wrong manifest: {error}; export the artefact again"
        raise ArtefactFormatError(msg) from error


def digest_of(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Digest, 64 hex digits, of a manifest in plain JSON form and its tensors."""
    total = hashlib.sha256(canonical(plain))
    _add_tensors(total, tensors)
    return total.hexdigest()


def canonical(plain: Mapping[str, Any]) -> bytes:
    """The manifest's part of a digest: canonical JSON without `digest`."""
    content = {key: value for key, value in plain.items() if key != "digest"}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Digest, 64 hex digits, of tensors alone, by the same rule."""
    total = hashlib.sha256()
    _add_tensors(total, tensors)
    return total.hexdigest()


def _add_tensors(total: hashlib._Hash, tensors: Mapping[str, Tensor]) -> None:
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        info = TensorInfo.of(tensor)
        total.update(f"{name}\0{info.dtype}\0{','.join(map(str, info.shape))}\0".encode())
        values = tensor.numpy()
        total.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)


def encoded(manifest: msgspec.Struct) -> bytes:
    """A manifest as its file has it: readable JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def plain_form(manifest: msgspec.Struct) -> dict[str, Any]:
    """Return the manifest as plain JSON values."""
    plain: dict[str, Any] = msgspec.to_builtins(manifest)
    return plain
