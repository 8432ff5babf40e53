"""The fused layout as an ONNX graph: what `esu_scorer.fused` computes, by somebody else's kernels.

One user. Rows of the tables come in, already looked up; the distinct retrieved behaviours with, per cell, which one it
is. Nothing is masked. Keys and values are projected once per distinct behaviour, the user's part once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer import Artefact, ScoreBatch
from muse_stream.esu_scorer.batch import Float32, Int64

INPUTS = {  # every one int64 rows or numbers but for the cosines
    "candidate": ["T", "F"],
    "user": [1, "U"],
    "recent": ["R", 2],
    "behaviours": ["N", 2],
    "cells": ["T", "K"],
    "recent_cosine": ["T", "R"],
    "retrieved_cosine": ["T", "K"],
}
TIERS = 22
FLOOR = 1e-7
OPSET = 18


class OnnxForm:
    """Scores batches of one user in which nothing is masked. Raises `ImportError`: no onnx or onnxruntime here."""

    def __init__(self, artefact: Artefact, threads: int) -> None:
        runtime = import_module("onnxruntime")
        self._spec = artefact.spec
        self._vocabularies = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(_Graph(artefact).bytes(), options, providers=["CPUExecutionProvider"])

    def score(self, batch: ScoreBatch) -> Float32:
        """Click probability `[T] float32`."""
        item, category = self._vocabularies["item"], self._vocabularies["category"]
        codes = item.rows(batch.retrieved_item) * category.row_count + category.rows(batch.retrieved_category)
        pairs, which = np.unique(codes, return_inverse=True)
        columns = {
            "candidate": self._rows(self._spec.candidate_names, batch.candidate_features),
            "user": self._rows(self._spec.user_names, batch.user_features),
            "recent": self._pairs(np.stack([batch.recent_item[0], batch.recent_category[0]], axis=-1)),
            "behaviours": np.stack(np.divmod(pairs, category.row_count), axis=1),
            "cells": which.reshape(batch.retrieved_item.shape).astype(np.int64),
            "recent_cosine": batch.recent_cosine,
            "retrieved_cosine": batch.retrieved_cosine,
        }
        scores: Float32 = self._session.run(["probability"], columns)[0]
        return scores

    def _pairs(self, ids: Int64) -> Int64:
        return self._rows(("item", "category"), ids)

    def _rows(self, names: tuple[str, ...], ids: Int64) -> Int64:
        columns = [self._vocabularies[name].rows(ids[:, column]) for column, name in enumerate(names)]
        return np.stack(columns, axis=1)


class _Graph:
    """Writes the graph, operator by operator; a value is its name."""

    def __init__(self, artefact: Artefact) -> None:
        self._onnx: Any = import_module("onnx")
        self._artefact = artefact
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def bytes(self) -> bytes:
        """The model, weights inside."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        probability = self.probability()
        self._nodes.append(helper.make_node("Identity", [probability], ["probability"]))
        inputs = [
            helper.make_tensor_value_info(name, kinds.FLOAT if "cosine" in name else kinds.INT64, shape)
            for name, shape in INPUTS.items()
        ]
        outputs = [helper.make_tensor_value_info("probability", kinds.FLOAT, ["T"])]
        graph = helper.make_graph(self._nodes, "muse", inputs, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9  # of opset 18's time: runtimes refuse files that are younger than they are
        data: bytes = model.SerializeToString()
        return data

    def probability(self) -> str:
        """The whole network."""
        spec = self._artefact.spec
        candidate = self._embedded(spec.candidate_names, "candidate")
        target = self._op("Slice", candidate, self._numbers(0), self._numbers(2 * spec.width), self._numbers(1))
        recent, behaviours = (self._embedded(("item", "category"), name) for name in ("recent", "behaviours"))
        user = [self._mean(recent, 0), self._embedded(spec.user_names, "user")]
        own = [
            self._recent(target, recent),
            self._sa_ta(target, behaviours),
            self._mean(self._op("Gather", behaviours, "cells"), 1, keep=0),
            candidate,
            self._tiers("recent"),
            self._tiers("retrieved"),
        ]
        return self._tower(self._op("Concat", *own, axis=1), self._op("Concat", *user, axis=1))

    def _recent(self, target: str, recent: str) -> str:
        keys = self._linear("recent.key", recent)
        scores = self._op("MatMul", self._linear("recent.query", target), self._op("Transpose", keys))
        return self._op("MatMul", self._attention(scores), keys)

    def _sa_ta(self, target: str, behaviours: str) -> str:
        query, keys, values = (
            self._silu(self._linear(f"sa_ta.{name}", source))
            for name, source in (("query", target), ("key", behaviours), ("value", behaviours))
        )
        column = self._op("Unsqueeze", query, self._numbers(2))  # (T, 2D, 1)
        scores = self._op("MatMul", self._op("Gather", keys, "cells"), column)
        scores = self._op("Squeeze", scores, self._numbers(2))  # (T, K)
        beta = self._weight("network.sa_ta.beta")
        similarity = self._op("Div", "retrieved_cosine", self._constant(self._weight("network.sa_ta.tau")))
        parts = [scores, similarity, self._op("Mul", scores, similarity)]
        mixed = [self._op("Mul", part, self._constant(beta[i : i + 1])) for i, part in enumerate(parts)]
        row = self._op("Unsqueeze", self._attention(self._op("Sum", *mixed)), self._numbers(1))  # (T, 1, K)
        return self._op("Squeeze", self._op("MatMul", row, self._op("Gather", values, "cells")), self._numbers(1))

    def _tower(self, own: str, user: str) -> str:
        sources, width = (own, user), 2 * self._artefact.spec.width
        candidates, users = self._artefact.spec.candidate_width, self._artefact.spec.user_width
        is_users = np.repeat([0, 1, 0, 1, 0], [3 * width, width, candidates, users, 2 * TIERS])
        x = ""
        for layer in range(len(self._artefact.manifest.network.tower) + 1):
            weight, bias = (self._weight(f"network.tower.linears.{layer}.{part}") for part in ("weight", "bias"))
            if layer == 0:
                sums = [self._product(one, weight[:, is_users == side]) for side, one in enumerate(sources)]
                z = self._op("Add", self._op("Add", *sums), self._constant(bias))
            else:
                z = self._op("Add", self._product(x, weight), self._constant(bias))
            x = self._dice(z, self._weight(f"network.tower.activations.{layer}.gamma"))
        share = self._op(
            "Clip",
            self._op("Add", self._op("Softmax", x, axis=1), self._scalar(FLOOR)),
            self._scalar(0.0),
            self._scalar(1.0),
        )
        return self._op("Gather", share, self._constant(np.array(1)), axis=1)

    def _dice(self, z: str, gamma: Float32) -> str:
        ones = np.ones(len(gamma), np.float32)
        normal = self._op("LayerNormalization", z, self._constant(ones), axis=-1, epsilon=1e-12)
        p = self._op("Sigmoid", normal)
        left = self._op("Mul", self._op("Mul", self._constant(gamma), self._op("Sub", self._scalar(1.0), p)), z)
        return self._op("Add", left, self._op("Mul", p, z))

    def _tiers(self, name: str) -> str:
        tenths = self._op("Ceil", self._op("Mul", f"{name}_cosine", self._scalar(10.0)))
        tier = self._op("Cast", self._op("Add", tenths, self._scalar(10.0)), to=self._onnx.TensorProto.INT64)
        values = self._constant(np.array([0, 1], np.float32))
        each = self._op("OneHot", tier, self._constant(np.array(TIERS)), values)
        counts = self._op("ReduceSum", each, self._numbers(1), keepdims=0)
        logs = self._op("Log", self._op("Add", counts, self._scalar(1.0)))
        return self._op("Mul", logs, self._constant(self._weight(f"network.{name}_simtier.weight")))

    def _attention(self, scores: str) -> str:
        return self._op("Add", self._op("Softmax", scores, axis=-1), self._scalar(FLOOR))

    def _mean(self, rows: str, axis: int, keep: int = 1) -> str:
        return self._op("ReduceMean", rows, self._numbers(axis), keepdims=keep)

    def _silu(self, x: str) -> str:
        return self._op("Mul", x, self._op("Sigmoid", x))

    def _linear(self, name: str, x: str) -> str:
        bias = self._constant(self._weight(f"network.{name}.bias"))
        return self._op("Add", self._product(x, self._weight(f"network.{name}.weight")), bias)

    def _product(self, x: str, weight: Float32) -> str:
        return self._op("MatMul", x, self._constant(np.ascontiguousarray(weight.T)))

    def _embedded(self, names: tuple[str, ...], rows: str) -> str:
        parts = []
        for column, name in enumerate(names):
            own = self._op("Gather", rows, self._constant(np.array(column)), axis=1)
            parts.append(self._op("Gather", self._table(name), own))
        return self._op("Concat", *parts, axis=1)

    def _table(self, feature: str) -> str:
        name = f"table_{feature}"
        if all(constant.name != name for constant in self._constants):
            table = self._weight(f"embeddings.tables.of_{feature}.weight")
            self._constants.append(self._onnx.numpy_helper.from_array(table, name))
        return name

    def _weight(self, name: str) -> Float32:
        weight: Float32 = self._artefact.tensors[f"weight/{name}"].numpy()
        return weight

    def _numbers(self, *numbers: int) -> str:
        return self._constant(np.array(numbers, np.int64))

    def _scalar(self, number: float) -> str:
        return self._constant(np.array(number, np.float32))

    def _constant(self, value: npt.NDArray[np.generic]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def _op(self, kind: str, *inputs: str, **attributes: int | float) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name
