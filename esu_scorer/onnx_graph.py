"""What an ONNX graph must look like to be served, and the columns that it is given.

One row per candidate, T rows; what belongs to the user is repeated in each. R and K are the artefact's.

    input                    dtype, shape     what
    candidate_features       int64 [T, F]     ids in the order of the artefact's features: item, category, ...
    user_features            int64 [T, U]     likewise
    recent_item              int64 [T, R]     the user's last behaviours, newest first
    recent_category          int64 [T, R]
    recent_mask              bool [T, R]      False: padding
    recent_cosine            float32 [T, R]   candidate and behaviour
    recent_cosine_present    bool [T, R]      False: padding, or one of the two has no vector
    retrieved_item           int64 [T, K]     the candidate's most similar behaviours, most similar first
    retrieved_category       int64 [T, K]
    retrieved_cosine         float32 [T, K]
    retrieved_mask           bool [T, K]      False: padding

    output                   dtype, shape
    probability              float32 [T]      click probability in 0..1; row t may depend on row t alone

A graph names as inputs those that it reads. Ids are any int64, 0 = missing: mapping them to rows of a table (modulo,
search in a sorted constant) is part of the graph. Under a False mask ids and cosines are 0.

Invariant: a graph that passes holds its own weights, has no operator from outside the ONNX standard, and reads and
gives what is listed above. Nothing is executed to find that out.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from muse_stream.esu_scorer.errors import ArtefactCorruptError, ArtefactFormatError
from muse_stream.esu_scorer.served import ModelInfo

INPUTS = {
    "candidate_features": ("INT64", "F"),
    "user_features": ("INT64", "U"),
    "recent_item": ("INT64", "R"),
    "recent_category": ("INT64", "R"),
    "recent_mask": ("BOOL", "R"),
    "recent_cosine": ("FLOAT", "R"),
    "recent_cosine_present": ("BOOL", "R"),
    "retrieved_item": ("INT64", "K"),
    "retrieved_category": ("INT64", "K"),
    "retrieved_cosine": ("FLOAT", "K"),
    "retrieved_mask": ("BOOL", "K"),
}
OUTPUT = "probability"
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Operators of the ONNX standard: https://onnx.ai/onnx/operators."""

SEE = "see 'A model of your own' in docs/serving.md"


def package(name: str) -> Any:  # noqa: ANN401 - a module without types
    """The package `onnx` or `onnxruntime`. Raises `ArtefactFormatError`: it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"an ONNX artefact needs the package {name} ({error}); install muse-stream[onnx] on every worker"
        raise ArtefactFormatError(msg) from error


def widths_of(info: ModelInfo) -> dict[str, int]:
    """Columns behind each letter of `INPUTS`."""
    return {"F": len(info.spec.candidate), "U": len(info.spec.user), "R": info.r, "K": info.k}


def check_graph(data: bytes, info: ModelInfo, where: str) -> None:
    """Refuse a graph that cannot be served as `info` says.

    Raises `ArtefactCorruptError`: no sound ONNX; `ArtefactFormatError`: sound, but not as this module says.
    """
    onnx = package("onnx")
    try:
        model = onnx.load_model_from_string(data)
        _check_closed(onnx, model, where)
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, ArtefactFormatError):
            raise
        msg = f"{where} ({len(data)} bytes) is no sound ONNX model: {error}; export the graph again"
        raise ArtefactCorruptError(msg) from error
    except Exception as error:  # protobuf's DecodeError has no public home that is the same in all its releases
        msg = f"{where} ({len(data)} bytes) is no whole ONNX file: {error}; copy the artefact again"
        raise ArtefactCorruptError(msg) from error
    _check_inputs(onnx, model.graph, info, where)
    _check_output(onnx, model.graph, where)


def _check_closed(onnx: Any, model: Any, where: str) -> None:  # noqa: ANN401
    """Nothing from outside: operators of other domains are other people's code, external data other files."""
    nodes = list(_nodes(onnx, model.graph)) + [node for function in model.functions for node in function.node]
    own = {(function.domain, function.name) for function in model.functions}
    foreign = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes
            if node.domain not in DOMAINS and (node.domain, node.op_type) not in own
        }
    )
    if foreign:
        msg = f"{where} has operators from outside the ONNX standard: {', '.join(foreign[:5])}; export it without them"
        raise ArtefactFormatError(msg)
    external = [tensor.name for tensor in _tensors(onnx, model.graph, nodes) if tensor.data_location == 1]
    if external:
        msg = f"{where} keeps {external[0]!r} in a file beside it; export it with all weights inside"
        raise ArtefactFormatError(msg)


def _nodes(onnx: Any, graph: Any) -> Iterator[Any]:  # noqa: ANN401
    """All nodes, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs):
                yield from _nodes(onnx, inside)


def _tensors(onnx: Any, graph: Any, nodes: list[Any]) -> Iterator[Any]:  # noqa: ANN401
    """All constants."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            for inside in (attribute.g, *attribute.graphs):
                yield from inside.initializer


def _check_inputs(onnx: Any, graph: Any, info: ModelInfo, where: str) -> None:  # noqa: ANN401
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if not inputs:
        msg = f"{where} has no input; expected some of {', '.join(INPUTS)}; {SEE}"
        raise ArtefactFormatError(msg)
    widths = widths_of(info)
    for value in inputs:
        if value.name not in INPUTS:
            msg = f"{where} has an input {value.name!r}; expected some of {', '.join(INPUTS)}; {SEE}"
            raise ArtefactFormatError(msg)
        dtype, letter = INPUTS[value.name]
        _check_value(onnx, value, (dtype, (None, widths[letter])), where)


def _check_output(onnx: Any, graph: Any, where: str) -> None:  # noqa: ANN401
    names = [value.name for value in graph.output]
    if names != [OUTPUT]:
        msg = f"{where} has the outputs {names}, expected {OUTPUT!r} alone; {SEE}"
        raise ArtefactFormatError(msg)
    _check_value(onnx, graph.output[0], ("FLOAT", (None,)), where)


def _check_value(onnx: Any, value: Any, wanted: tuple[str, tuple[int | None, ...]], where: str) -> None:  # noqa: ANN401
    """An input or output is of this dtype and shape; None is a length that the graph must leave open."""
    tensor = value.type.tensor_type
    dtype, shape = onnx.TensorProto.DataType.Name(tensor.elem_type), _lengths(tensor.shape)
    fits = len(shape) == len(wanted[1]) and all(
        length is None or length == expected for length, expected in zip(shape, wanted[1], strict=True)
    )
    if dtype != wanted[0] or not fits:
        msg = (
            f"{where}: {value.name} is {dtype} {_shown(shape)}, expected {wanted[0]} {_shown(wanted[1])} "
            f"(T is left open: export with a dynamic first axis); {SEE}"
        )
        raise ArtefactFormatError(msg)


def _lengths(shape: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    return tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in shape.dim)


def _shown(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("T" if length is None else str(length) for length in shape) + "]"
