import json
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from muse_stream.esu_scorer import ArtefactError, FeatureSpec, OnnxArtefact, onnx_artefact, onnx_graph
from muse_stream.esu_scorer.errors import (
    ArtefactCorruptError,
    ArtefactExistsError,
    ArtefactFormatError,
    ArtefactMissingError,
    FeatureError,
)

from .onnx_making import BOOL, COSINES, DOUBLE, FLOAT, IDS, INT64, K, R, Value, external, graph, own_artefact

SAVED = own_artefact()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SAVED.save(tmp_path / "mine")
    return tmp_path / "mine"


def manifest(path: Path, **changes: Any) -> None:
    """Change fields of the manifest on disk; None removes one."""
    file = path / "artefact.json"
    values = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))


def test_what_was_saved_is_loaded(path: Path) -> None:
    loaded = OnnxArtefact.load(path)
    assert (loaded.manifest, loaded.graph) == (SAVED.manifest, SAVED.graph)
    info = loaded.info()
    assert (info.version, info.space, info.k, info.r, info.trained) == ("mine-1", "v1", K, R, True)
    assert info.spec == FeatureSpec.of({"item": 1, "category": 1, "price_band": 1}, {"country": 1, "customer": 1})
    assert sorted(file.name for file in path.iterdir()) == ["artefact.json", "model.onnx"]


def test_the_digest_is_of_manifest_and_graph() -> None:
    assert len(SAVED.manifest.digest) == 64
    assert own_artefact().manifest.digest == SAVED.manifest.digest
    assert own_artefact(version="mine-2").manifest.digest != SAVED.manifest.digest
    other = graph(constants=(onnx_constant := helper.make_tensor("unused", FLOAT, [1], [1.0]),))
    assert onnx_constant.name == "unused"
    assert own_artefact(other).manifest.digest != SAVED.manifest.digest


def test_a_taken_path_is_left_alone(path: Path) -> None:
    with pytest.raises(ArtefactExistsError, match="never overwritten"):
        own_artefact(version="mine-2").save(path)
    assert OnnxArtefact.load(path).manifest.version == "mine-1"


@pytest.mark.parametrize("file", ["artefact.json", "model.onnx"])
def test_a_missing_file_is_named(path: Path, file: str) -> None:
    (path / file).unlink()
    with pytest.raises(ArtefactMissingError, match=rf"no artefact file .*{file}"):
        OnnxArtefact.load(path)


def test_a_graph_that_is_too_large_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_artefact, "GRAPH_BYTES_MAX", 1000)
    (path / "model.onnx").write_bytes(bytes(1001))
    with pytest.raises(ArtefactCorruptError, match="has 1001 bytes, at most 1000"):
        OnnxArtefact.load(path)


@pytest.mark.parametrize(
    "changes", [{"version": "other"}, {"k": 7}, {"space": "v2"}, {"digest": "0" * 64}, {"digest": None}]
)
def test_a_changed_manifest_is_seen(path: Path, changes: dict[str, Any]) -> None:
    manifest(path, **changes)
    with pytest.raises(ArtefactCorruptError, match="changed after export"):
        OnnxArtefact.load(path)


def test_a_changed_graph_is_seen(path: Path) -> None:
    file = path / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtefactCorruptError, match="changed after export"):
        OnnxArtefact.load(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "muse-onyx"}, "has format 'muse-onyx' version 1, this release reads 'muse-onnx' version 1"),
        ({"format_version": 2}, "version 2, this release reads"),
        ({"version": None}, "has a wrong manifest: .*version"),
        ({"surprise": 1}, "has a wrong manifest: .*surprise"),
        ({"k": -1}, "k = -1"),
    ],
)
def test_a_wrong_manifest_is_refused(path: Path, changes: dict[str, Any], says: str) -> None:
    manifest(path, **changes)
    with pytest.raises(ArtefactFormatError, match=says):
        OnnxArtefact.load(path)


def test_features_that_no_model_can_have_are_refused(path: Path) -> None:
    with pytest.raises(FeatureError, match="must begin with"):
        OnnxArtefact.of(graph(), candidate=("category",), user=(), space="v1", version="x")
    manifest(path, features={"candidate": ["item", "item"], "user": []})
    with pytest.raises(ArtefactError):
        OnnxArtefact.load(path)


def sigmoid(source: str, *, kind: str = "Sigmoid", domain: str = "") -> list[Any]:
    return [helper.make_node(kind, [source], ["probability"], domain=domain)]


FLAT: Value = ("retrieved_cosine", FLOAT, ["T"])
WRONG = {
    "unknown input": (graph(inputs=(COSINES, IDS, ("age", INT64, ["T", 1]))), "has an input 'age'; expected some of"),
    "no input": (graph([helper.make_node("Identity", ["tenth"], ["probability"])], ()), "has no input"),
    "dtype": (graph(inputs=(COSINES, ("candidate_features", BOOL, ["T", 3]))), r"is BOOL \[T, 3\], expected INT64"),
    "width": (
        graph(inputs=(COSINES, ("candidate_features", INT64, ["T", 9]))),
        r"INT64 \[T, 9\], expected INT64 \[T, 3\]",
    ),
    "fixed T": (graph(inputs=(COSINES, ("candidate_features", INT64, [8, 3]))), r"INT64 \[8, 3\].* dynamic first axis"),
    "axes": (graph(sigmoid("retrieved_cosine"), (FLAT,)), r"FLOAT \[T\], expected FLOAT \[T, 5\]"),
    "output name": (
        graph([helper.make_node("Identity", ["retrieved_cosine"], ["p"])], outputs=(("p", FLOAT, ["T"]),)),
        r"outputs \['p'\], expected 'probability' alone",
    ),
    "output dtype": (graph(outputs=(("probability", DOUBLE, ["T"]),)), r"probability is DOUBLE \[T\], expected FLOAT"),
    "output shape": (graph(outputs=(("probability", FLOAT, ["T", 1]),)), r"probability is FLOAT \[T, 1\], expected"),
    "custom operator": (
        graph(sigmoid("retrieved_cosine", kind="Evil", domain="com.example"), domains=("", "com.example")),
        "operators from outside the ONNX standard: com.example.Evil",
    ),
    "external data": (external(), "keeps 'tenth' in a file beside it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_that_cannot_be_fed_is_refused(name: str) -> None:
    data, says = WRONG[name]
    with pytest.raises(ArtefactFormatError, match=says):
        own_artefact(data)


@pytest.mark.parametrize("data", [b"", b"no protobuf", graph()[:-40], graph(sigmoid("nowhere"))])
def test_what_is_no_sound_onnx_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactCorruptError, match="ONNX"):
        own_artefact(data)


def test_a_custom_operator_inside_a_branch_is_found() -> None:
    evil = helper.make_graph(
        sigmoid("retrieved_cosine", kind="Evil", domain="com.example"),
        "branch",
        [],
        [helper.make_tensor_value_info("probability", FLOAT, ["T"])],
    )
    nodes = [helper.make_node("If", ["yes"], ["probability"], then_branch=evil, else_branch=evil)]
    yes = helper.make_tensor("yes", BOOL, [], [True])
    with pytest.raises(ArtefactFormatError, match=r"com\.example\.Evil"):
        own_artefact(graph(nodes, constants=(yes,), domains=("", "com.example")))


def test_without_the_package_the_text_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(onnx_graph, "import_module", missing)
    with pytest.raises(ArtefactFormatError, match=r"needs the package onnx .* install muse-stream\[onnx\]"):
        own_artefact()
