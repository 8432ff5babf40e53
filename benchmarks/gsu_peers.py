"""Other libraries' exact searches over one user's rows, each as it is at its best.

All get the rows contiguous and newest first, as float32 unit vectors or as the int8 rows with their inverse norms;
making those is not timed. What is set for whom:

- FAISS takes the matrix product from 4 candidates on, not from 20, and over 4 096 rows at once, not 1 024.
- ScaNN gets as many batches as threads: of its own accord it takes 256 candidates for one batch, and one thread for a
  batch.
- NumPy, Torch and numkong hand out whole matrices of scores: `BLOCK` candidates at a time, into a buffer made once.
- Nobody's threads spin while another's turn is measured: passive OpenMP, no spinning in onnxruntime, and for NumPy's
  BLAS see `benchmarks/__init__.py`.

Threads. `OMP_PROC_BIND` ties OpenMP's threads to a core each, and the calling thread too, in whichever library comes
first; threads made later inherit that. Then ScaNN, onnxruntime and numkong have one core for two threads, and so have
OpenMP's own where the calling thread is held on their core. So the calling thread is set free again before every peer
is made and before every turn, ours too (`gsu_threads`). CPU time does not show two threads that share a core, since
both still get half: compare where they may run.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.gsu_threads import CORES, everywhere
from muse_stream.benchmarks.vectors import F32, I64
from muse_stream.gsu_engine.arrays import I8

os.environ.setdefault("OMP_PROC_BIND", "true")  # read when a library starts its threads
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HALF = "FAISS SQfp16 (not exact)"
BLOCK = 128  # candidates whose scores are in memory at once
Answer = Any  # each library's own form


class Peer(Protocol):
    """Finds the K best rows of each candidate."""

    exact: ClassVar[bool]  # up to the rounding of float32 sums

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Search; this is what is timed."""
        ...

    def best(self, answer: Answer) -> I64:
        """`[C, K] int64` rows, in any order."""
        ...


class _Exact:
    exact: ClassVar[bool] = True

    def best(self, answer: Answer) -> I64:
        """The second of the pair."""
        return np.atleast_2d(np.asarray(answer[1], np.int64))


@cache
def _floats(rows: int) -> F32:
    return np.empty((BLOCK, rows), np.float32)


def _parts(count: int) -> list[slice]:
    return [slice(low, min(low + BLOCK, count)) for low in range(0, count, BLOCK)]


class NumPy(_Exact):
    """Matrix product, then partial sort."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        if threads != len(CORES):  # of its own accord NumPy's BLAS takes one per core
            importlib.import_module("threadpoolctl").threadpool_limits(threads, user_api="blas")
        self._rows = rows.floats

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Scores and indices."""
        found = [self._some(candidates.floats[part], k) for part in _parts(len(candidates))]
        return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))

    def _some(self, candidates: F32, k: int) -> tuple[F32, NDArray[np.intp]]:
        scores = np.matmul(candidates, self._rows.T, out=_floats(len(self._rows))[: len(candidates)])
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1)
        return np.take_along_axis(values, order, axis=1), np.take_along_axis(best, order, axis=1)


class Torch(_Exact):
    """Matrix product, then topk."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        self._torch = importlib.import_module("torch")
        self._torch.set_num_threads(threads)
        self._rows = self._torch.from_numpy(rows.floats).T

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Values and indices."""
        found = [self._some(candidates.floats[part], k) for part in _parts(len(candidates))]
        return found[0] if len(found) == 1 else [self._torch.cat(parts) for parts in zip(*found, strict=True)]

    def _some(self, candidates: F32, k: int) -> Answer:
        out = self._torch.from_numpy(_floats(self._rows.shape[1])[: len(candidates)])
        return self._torch.mm(self._torch.from_numpy(candidates), self._rows, out=out).topk(k, dim=1)


class Faiss(_Exact):
    """Flat index of inner products."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = 4
        faiss.cvar.distance_compute_blas_database_bs = 4_096
        self._index = self._empty(faiss, rows.floats)
        self._index.add(rows.floats)

    def _empty(self, faiss: Any, rows: F32) -> Any:  # noqa: ANN401 - FAISS has no annotations
        return faiss.IndexFlatIP(rows.shape[1])

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Scores and indices."""
        return self._index.search(candidates.floats, k)


class FaissHalf(Faiss):
    """Rows of 16-bit floats: half the bytes, and not exact."""

    exact = False

    def _empty(self, faiss: Any, rows: F32) -> Any:  # noqa: ANN401
        index = faiss.IndexScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.train(rows)
        return index


class Scann(_Exact):
    """ScaNN's brute force."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        scann = importlib.import_module("scann")
        builder = scann.scann_ops_pybind.builder(rows.floats, 10, "dot_product")
        self._threads = threads
        self._searcher = builder.set_n_training_threads(threads).score_brute_force().build()
        self._searcher.set_num_threads(threads)

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Indices and scores."""
        count = len(candidates)
        if count == 1:
            return self._searcher.search(candidates.floats[0], final_num_neighbors=k)
        size = -(-count // self._threads)
        return self._searcher.search_batched_parallel(candidates.floats, final_num_neighbors=k, batch_size=size)

    def best(self, answer: Answer) -> I64:
        """The first of the pair."""
        return np.atleast_2d(np.asarray(answer[0], np.int64))


class OnnxRuntime(_Exact):
    """A model of MatMul and TopK, the rows a constant of it."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = runtime.InferenceSession(_model(rows.floats), options, providers=["CPUExecutionProvider"])

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Values and indices."""
        return self._session.run(None, {"candidates": candidates.floats, "k": np.array([k])})


def _model(rows: F32) -> bytes:
    helper, kinds = importlib.import_module("onnx.helper"), importlib.import_module("onnx").TensorProto
    constant = importlib.import_module("onnx.numpy_helper").from_array(np.ascontiguousarray(rows.T), "rows")
    nodes = [
        helper.make_node("MatMul", ["candidates", "rows"], ["scores"]),
        helper.make_node("TopK", ["scores", "k"], ["values", "indices"], axis=-1),
    ]
    inputs = [("candidates", kinds.FLOAT, ["C", rows.shape[1]]), ("k", kinds.INT64, [1])]
    outputs = [("values", kinds.FLOAT, None), ("indices", kinds.INT64, None)]
    infos = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "search", *infos, [constant])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


class Usearch(_Exact):
    """Exact search without an index."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        self._search = importlib.import_module("usearch.index").search
        self._rows, self._threads = rows.floats, threads

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Matches with distances."""
        return self._search(self._rows, candidates.floats, k, metric="ip", exact=True, threads=self._threads)

    def best(self, answer: Answer) -> I64:
        """One candidate comes without its axis."""
        return np.atleast_2d(np.asarray(answer.keys, np.int64))


class NumKong(_Exact):
    """The int8 product, by candidates on threads, then Torch's topk of products times inverse norms."""

    def __init__(self, rows: Vectors, threads: int) -> None:
        self._threads, self._pool = threads, _pool(threads)  # first: Torch ties this thread
        self._numkong, self._torch = importlib.import_module("numkong"), importlib.import_module("torch")
        self._torch.set_num_threads(threads)
        self._rows, self._inv_norms = self._numkong.dots_pack(rows.int8), self._torch.from_numpy(rows.inv_norms)

    def __call__(self, candidates: Vectors, k: int) -> Answer:
        """Values (without the candidates' own norms, which change no order) and indices."""
        found = [self._some(candidates.int8[part], k) for part in _parts(len(candidates))]
        return found[0] if len(found) == 1 else [self._torch.cat(parts) for parts in zip(*found, strict=True)]

    def _some(self, candidates: I8, k: int) -> Answer:
        count, rows = len(candidates), len(self._inv_norms)
        sums = _sums(count, rows)
        ends = [count * thread // self._threads for thread in range(self._threads + 1)]
        helped = [
            self._pool.submit(self._product, candidates, sums, *ends[j : j + 2]) for j in range(self._threads - 1)
        ]
        self._product(candidates, sums, *ends[-2:])
        for future in helped:
            future.result()
        scores = self._torch.from_numpy(_floats(rows)[:count])
        return self._torch.mul(self._torch.from_numpy(np.asarray(sums)), self._inv_norms, out=scores).topk(k, dim=1)

    def _product(self, candidates: I8, sums: Any, low: int, high: int) -> None:  # noqa: ANN401
        if high > low:
            self._numkong.dots_packed(candidates, self._rows, out=sums, start_row=low, end_row=high)


@cache
def _sums(count: int, rows: int) -> Any:  # noqa: ANN401
    return importlib.import_module("numkong").empty((count, rows), dtype="int32")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(max(threads - 1, 1), thread_name_prefix="numkong")
    list(pool.map(time.sleep, [0.01] * (threads - 1)))  # starts the threads now
    return pool


PEERS: dict[str, Callable[[Vectors, int], Peer]] = {
    "NumPy": NumPy,
    "Torch": Torch,
    "FAISS flat": Faiss,
    HALF: FaissHalf,
    "ScaNN brute force": Scann,
    "onnxruntime": OnnxRuntime,
    "usearch exact": Usearch,
    "numkong int8": NumKong,
}


def make_peers(rows: Vectors, threads: int, wanted: Sequence[str]) -> dict[str, Peer]:
    """The peers that are installed, over these rows; the others are named on stderr."""
    made: dict[str, Peer] = {}
    for name in wanted:
        everywhere()  # the last one made may have tied this thread
        try:
            made[name] = PEERS[name](rows, threads)
        except ImportError as error:
            print(f"left out: {name} ({error})", file=sys.stderr)  # noqa: T201
    return made
