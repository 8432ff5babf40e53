"""Every way in which an artefact on disk can be wrong is refused, with what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from muse_stream.esu_scorer import Artefact, ArtefactError
from muse_stream.esu_scorer.errors import ArtefactCorruptError, ArtefactFormatError, ArtefactMissingError
from muse_stream.esu_scorer.manifest import digest_of

from .making import artefact


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artefact().save(tmp_path / "one")
    return tmp_path / "one"


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], None], *, sign: bool = False) -> None:
    """Change the manifest; `sign` makes its digest right again, so that later checks are reached."""
    file = path / "artefact.json"
    plain = json.loads(file.read_text())
    change(plain)
    if sign:
        plain["digest"] = digest_of(plain, load_file(path / "tensors.safetensors"))
    file.write_text(json.dumps(plain))


def edit_tensor(path: Path, name: str, value: torch.Tensor | None) -> None:
    """Replace or leave out a tensor, and make manifest and digest agree with it."""
    tensors = load_file(path / "tensors.safetensors")
    del tensors[name]
    if value is not None:
        tensors[name] = value
    save_file(tensors, path / "tensors.safetensors")

    def change(plain: dict[str, Any]) -> None:
        del plain["tensors"][name]
        if value is not None:
            dtype = str(value.dtype).removeprefix("torch.")
            plain["tensors"][name] = {"dtype": dtype, "shape": list(value.shape)}

    edit_manifest(path, change, sign=True)


def test_missing_directory_or_file(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactMissingError, match=r"an artefact is a directory with artefact\.json"):
        Artefact.load(tmp_path / "nothing")
    with pytest.raises(ArtefactMissingError):
        Artefact.load(saved / "artefact.json")
    (saved / "tensors.safetensors").unlink()
    with pytest.raises(ArtefactMissingError, match=r"tensors\.safetensors"):
        Artefact.load(saved)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", ["artefact.json", "tensors.safetensors"])
def test_truncated(saved: Path, name: str, share: float) -> None:
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises((ArtefactCorruptError, ArtefactFormatError), match=r"again|expected JSON"):
        Artefact.load(saved)


def test_any_flipped_byte_is_refused_or_harmless(saved: Path) -> None:
    """Sampled over both files: a byte that changes a value, name or shape is refused; white space may change."""
    digest = Artefact.load(saved).digest
    rng = np.random.default_rng(0)
    refused = 0
    for name in ("artefact.json", "tensors.safetensors"):
        whole = (saved / name).read_bytes()
        for place in rng.integers(0, len(whole), 40).tolist():
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(rng.integers(0, 8))
            (saved / name).write_bytes(flipped)
            try:
                assert Artefact.load(saved).digest == digest
            except ArtefactError:
                refused += 1
        (saved / name).write_bytes(whole)
    assert refused >= 60


def test_a_flipped_byte_of_a_weight_is_told_by_digest(saved: Path) -> None:
    file = saved / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ArtefactCorruptError, match="was changed after export; copy the artefact again"):
        Artefact.load(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(saved: Path, value: float) -> None:
    edit_tensor(saved, "weight/network.sa_ta.tau", torch.tensor([value]))
    with pytest.raises(ArtefactCorruptError, match=r"network\.sa_ta\.tau has 1 values that are not finite"):
        Artefact.load(saved)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("weight/network.sa_ta.beta", torch.ones(4), "as float32 \\[3\\], found float32 \\[4\\]"),
        ("weight/network.sa_ta.beta", torch.ones(3, dtype=torch.float64), "found float64 \\[3\\]"),
        ("weight/network.sa_ta.beta", None, "missing \\['weight/network.sa_ta.beta'\\]"),
        ("vocabulary/item", torch.arange(40, 0, -1), "feature 'item': vocabulary must be strictly ascending"),
        ("vocabulary/item", torch.arange(0, 40), "holds id 0"),
        ("vocabulary/item", torch.arange(1, 40), "of_item.weight as float32 \\[40, 16\\], found float32 \\[41, 16\\]"),
        ("vocabulary/item", torch.arange(1, 41, dtype=torch.int32), "feature 'item' is int32, expected int64"),
        ("vocabulary/item", torch.ones(40), "is float32, expected int64"),
        ("vocabulary/item", None, "no vocabulary of feature 'item'"),
    ],
)
def test_wrong_tensors_with_a_right_digest(saved: Path, name: str, value: torch.Tensor | None, told: str) -> None:
    edit_tensor(saved, name, value)
    with pytest.raises(ArtefactCorruptError, match=told):
        Artefact.load(saved)


def rename_feature(plain: dict[str, Any]) -> None:
    plain["features"]["user"][0]["name"] = "region"


def swap_features(plain: dict[str, Any]) -> None:
    plain["features"]["candidate"].reverse()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda plain: plain.update(format_version=2), "version 2, this release reads 'muse-esu' version 1; upgrade"),
        (lambda plain: plain.update(format="other"), "format 'other'"),
        (lambda plain: plain.pop("space"), "missing required field `space`"),
        (lambda plain: plain.update(colour="red"), "unknown field `colour`"),
        (lambda plain: plain.update(k="many"), "Expected `int`"),
        (lambda plain: plain["network"].update(name="din"), "Invalid value 'din'"),
        (lambda plain: plain["network"].update(tower=[0]), "at least 1 wide"),
        (swap_features, "must begin with 'item', 'category'"),
    ],
)
def test_a_manifest_that_this_release_cannot_read(
    saved: Path, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    edit_manifest(saved, change, sign=True)
    with pytest.raises(ArtefactFormatError, match=told):
        Artefact.load(saved)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (rename_feature, "no vocabulary of feature 'region'"),
        (lambda plain: plain["features"]["user"].pop(), "the network wants other tensors"),
        (lambda plain: plain["network"].update(tower=[8]), "the network wants"),
        (lambda plain: plain["tensors"].pop("vocabulary/item"), "the manifest wants other tensors"),
    ],
)
def test_a_manifest_of_other_tensors(saved: Path, change: Callable[[dict[str, Any]], None], told: str) -> None:
    edit_manifest(saved, change, sign=True)
    with pytest.raises(ArtefactCorruptError, match=told):
        Artefact.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.update(space="v2"),
        lambda plain: plain.update(trained=True),
        lambda plain: plain.update(digest=""),
        lambda plain: plain["network"].update(form="paper"),
    ],
)
def test_an_edited_manifest_without_its_digest(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_manifest(saved, change)
    with pytest.raises(ArtefactCorruptError, match="was changed after export"):
        Artefact.load(saved)


def test_a_pickle_is_never_opened(saved: Path) -> None:
    torch.save({"weight": torch.ones(1)}, saved / "tensors.safetensors")
    with pytest.raises(ArtefactCorruptError, match="not a whole safetensors file"):
        Artefact.load(saved)
