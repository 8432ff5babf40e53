"""The directory of a run, and whether it belongs to the run that is asked for.

    settings.json            recipe, training configuration, source, parent, Torch version
    vocabulary.safetensors   vocabularies (see `lookups`)
    data.json                what the counting pass found
    metrics.jsonl            a line every `report_batches` batches
    checkpoints/             the newest two
    artefact/                the trained model
    report.json              evaluation on the part `validation`; with it the run is finished
    metrics.png, report.png  where matplotlib is there
    failed-batch-*.safetensors  a batch whose loss was no number

Invariant: one directory holds one run. What changes the weights is in `settings.json`, and a run with other settings is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from muse_stream.esu_scorer.data import SourceInfo
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.files import replace_file
from muse_stream.esu_scorer.lookups import lookup_of, lookup_tensors
from muse_stream.esu_scorer.manifest import digest_of_tensors
from muse_stream.esu_scorer.models.recipe import Recipe
from muse_stream.esu_scorer.training.config import TrainingConfig
from muse_stream.esu_scorer.training.counting import Counted, Ids

FORMAT, FORMAT_VERSION = "muse-training", 1


class Done(msgspec.Struct, frozen=True):
    """What a finished run says of itself; `validation` is an `evaluation.Report`, null where there was no sample."""

    artefact: str
    samples: int
    batches: int
    seconds: float
    samples_per_second: float
    validation: msgspec.Raw


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Reads and writes the files of a run at `path`."""

    path: Path

    @property
    def artefact(self) -> Path:
        """Where the trained model goes."""
        return self.path / "artefact"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Take an empty directory for a run, or find it to be this run's. Raises `TrainingError`."""
        file = self.path / "settings.json"
        self.path.mkdir(parents=True, exist_ok=True)
        if file.exists():
            _check_same(_read_json(file), settings, self.path)
        elif others := sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")):
            msg = f"{self.path} holds {others[:3]} but no run; choose an empty or new directory"
            raise TrainingError(msg)
        else:
            replace_file(file, _json(settings))

    def save_ids(self, ids: Ids) -> None:
        """Keep what the counting pass found."""
        tensors = lookup_tensors(ids.lookups)
        replace_file(self.path / "vocabulary.safetensors", save(tensors))
        data = {"counted": msgspec.to_builtins(ids.counted), "vocabulary_digest": digest_of_tensors(tensors)}
        replace_file(self.path / "data.json", _json(data))

    def ids(self, features: tuple[str, ...]) -> Ids | None:
        """What was kept; None where that pass was not finished. Raises `TrainingError`: damaged."""
        if not (self.path / "data.json").exists():
            return None
        data = _read_json(self.path / "data.json")
        try:
            tensors = load_file(self.path / "vocabulary.safetensors")
        except (OSError, SafetensorError) as error:
            msg = f"{self.path / 'vocabulary.safetensors'} cannot be read: {error}; start again in a new directory"
            raise TrainingError(msg) from error
        if digest_of_tensors(tensors) != data["vocabulary_digest"]:
            msg = f"{self.path / 'vocabulary.safetensors'} is not what was written; start again in a new directory"
            raise TrainingError(msg)
        counted = msgspec.convert(data["counted"], Counted)
        return Ids({name: lookup_of(name, tensors) for name in features}, counted)

    def done(self) -> Done | None:
        """What the finished run said; None while it is not finished. Raises `TrainingError`: damaged."""
        file = self.path / "report.json"
        if not file.exists():
            return None
        try:
            return msgspec.json.decode(file.read_bytes(), type=Done)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{file} cannot be read: {error}; remove it, and the run is finished again from its last checkpoint"
            raise TrainingError(msg) from error

    def finish(self, done: Done) -> None:
        """Say that the run is finished."""
        replace_file(self.path / "report.json", msgspec.json.format(msgspec.json.encode(done)) + b"\n")

    def save_failed(self, batch: int, tensors: Mapping[str, Tensor]) -> Path:
        """Keep a batch that could not be learnt from; its file."""
        file = self.path / f"failed-batch-{batch:09d}.safetensors"
        replace_file(file, save(dict(tensors)))
        return file


class Metrics:
    """`metrics.jsonl`: one JSON object a line, flushed line by line."""

    def __init__(self, directory: Path, *, batches: int) -> None:
        """Go on after `batches`: lines of later batches, which a killed run left, are dropped."""
        self._path = directory / "metrics.jsonl"
        kept = [line for line in self.lines(directory) if line["batch"] <= batches]
        replace_file(self._path, b"".join(map(_line, kept)))

    def add(self, line: Mapping[str, Any]) -> None:
        """Write one line."""
        with self._path.open("ab") as file:
            file.write(_line(line))

    @staticmethod
    def lines(directory: Path) -> list[dict[str, Any]]:
        """All whole lines; a killed run may have left a cut one at the end."""
        path = directory / "metrics.jsonl"
        found = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in found]


def settings_of(recipe: Recipe, config: TrainingConfig, info: SourceInfo, parent: str | None) -> dict[str, Any]:
    """Everything that decides about the weights, as plain JSON."""
    settings = msgspec.json.encode(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "recipe": {
                "name": recipe.name,
                "network": recipe.network,
                "k": recipe.k,
                "recent": recipe.recent,
                "length": recipe.length,
            },
            "training": config,
            "source": {"name": info.name, "features": info.spec, "samples": dict(info.samples)},
            "parent": parent,
            "torch": str(torch.__version__),
        }
    )
    plain: dict[str, Any] = json.loads(settings)
    return plain


def _check_same(found: dict[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    theirs, ours = dict(_flat(found)), dict(_flat(wanted))
    other = [
        f"{key} is {theirs.get(key, 'absent')!r} there, {ours.get(key, 'absent')!r} now"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    ]
    if other:
        msg = f"{path} holds a run with other settings: {'; '.join(other)}; choose a new directory, or these settings"
        raise TrainingError(msg)


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:  # noqa: ANN401 - plain JSON
    """Leaves of plain JSON by dotted name; lists are leaves."""
    if not isinstance(value, dict):
        return [(name, value)]
    return [leaf for key, inner in value.items() for leaf in _flat(inner, f"{name}.{key}" if name else key)]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{file} cannot be read: {error}; start again in a new directory"
        raise TrainingError(msg) from error
    return value
