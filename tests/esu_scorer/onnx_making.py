"""Small ONNX graphs, right and wrong in one place each."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from muse_stream.esu_scorer import OnnxArtefact

Value = tuple[str, int, list[int | str]]
K, R = 5, 4
FLOAT, INT64, BOOL, DOUBLE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE
COSINES: Value = ("retrieved_cosine", FLOAT, ["T", K])
IDS: Value = ("candidate_features", INT64, ["T", 3])
PROBABILITY: Value = ("probability", FLOAT, ["T"])


def constant(name: str, *values: float, dtype: type = np.float32) -> Any:
    return numpy_helper.from_array(np.array(values, dtype), name)


def graph(
    nodes: list[Any] | None = None,
    inputs: tuple[Value, ...] = (COSINES, IDS),
    outputs: tuple[Value, ...] = (PROBABILITY,),
    constants: tuple[Any, ...] = (),
    domains: tuple[str, ...] = ("",),
) -> bytes:
    """A serialised model; without `nodes` the probability is a sigmoid of the summed cosines and of item modulo 10."""
    own = [
        helper.make_node("ReduceSum", ["retrieved_cosine", "axis"], ["near"], keepdims=0),
        helper.make_node("Gather", ["candidate_features", "first"], ["item"], axis=1),
        helper.make_node("Mod", ["item", "ten"], ["digit"]),
        helper.make_node("Cast", ["digit"], ["amount"], to=FLOAT),
        helper.make_node("Mul", ["amount", "tenth"], ["bias"]),
        helper.make_node("Add", ["near", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    held = [
        constant("axis", 1, dtype=np.int64),
        numpy_helper.from_array(np.array(0), "first"),
        constant("ten", 10, dtype=np.int64),
        constant("tenth", 0.1),
        *constants,
    ]
    made = helper.make_graph(
        own if nodes is None else nodes,
        "test",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        held,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid(domain, 18) for domain in domains])
    model.ir_version = 9
    data: bytes = model.SerializeToString()
    return data


def own_artefact(data: bytes | None = None, version: str = "mine-1") -> OnnxArtefact:
    return OnnxArtefact.of(
        graph() if data is None else data,
        candidate=("item", "category", "price_band"),
        user=("country", "customer"),
        space="v1",
        version=version,
        k=K,
        r=R,
    )


def external() -> bytes:
    """A graph one of whose constants lies in a file beside it."""
    model = onnx.load_model_from_string(graph())
    tensor = model.graph.initializer[3]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.ClearField("raw_data")
    data: bytes = model.SerializeToString()
    return data
