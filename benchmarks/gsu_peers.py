"""Other libraries' exact searches over one user's rows, each as it is at its best.

All get the rows as contiguous float32 unit vectors, newest first, and the candidates likewise; making those is not
timed.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("OMP_PROC_BIND", "true")  # read when a library starts its threads
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

F32 = NDArray[np.float32]


class Peer(Protocol):
    """Finds the K best rows of each candidate."""

    def __call__(self, candidates: F32, k: int) -> Any:  # noqa: ANN401 - each library's own form
        """Search; the scores of the K best are in `best_scores` of the answer."""
        ...

    def best_scores(self, answer: Any) -> F32:  # noqa: ANN401
        """`[C, K] float32`, best first."""
        ...


class NumPy:
    """Matrix product, then partial sort."""

    def __init__(self, rows: F32, threads: int) -> None:
        del threads  # NumPy's BLAS takes one per core
        self._rows = rows

    def __call__(self, candidates: F32, k: int) -> tuple[Any, Any]:
        """Scores and indices."""
        scores = candidates @ self._rows.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1)
        return np.take_along_axis(values, order, axis=1), np.take_along_axis(best, order, axis=1)

    def best_scores(self, answer: Any) -> F32:  # noqa: ANN401
        """The first of the pair."""
        return np.asarray(answer[0])


class Torch:
    """Matrix product, then topk."""

    def __init__(self, rows: F32, threads: int) -> None:
        self._torch = importlib.import_module("torch")
        self._torch.set_num_threads(threads)
        self._rows = self._torch.from_numpy(rows).T

    def __call__(self, candidates: F32, k: int) -> Any:  # noqa: ANN401
        """Torch's pair of values and indices."""
        return (self._torch.from_numpy(candidates) @ self._rows).topk(k, dim=1)

    def best_scores(self, answer: Any) -> F32:  # noqa: ANN401
        """The values."""
        return np.asarray(answer.values.numpy())


class Faiss:
    """Flat index of inner products; the matrix product is used from one candidate on, where it pays."""

    def __init__(self, rows: F32, threads: int) -> None:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = 4
        self._index = faiss.IndexFlatIP(rows.shape[1])
        self._index.add(rows)

    def __call__(self, candidates: F32, k: int) -> Any:  # noqa: ANN401
        """Scores and indices."""
        return self._index.search(candidates, k)

    def best_scores(self, answer: Any) -> F32:  # noqa: ANN401
        """The first of the pair."""
        return np.asarray(answer[0])


class Usearch:
    """Exact search without an index."""

    def __init__(self, rows: F32, threads: int) -> None:
        self._search = importlib.import_module("usearch.index").search
        self._rows, self._threads = rows, threads

    def __call__(self, candidates: F32, k: int) -> Any:  # noqa: ANN401
        """Matches with distances."""
        return self._search(self._rows, candidates, k, metric="ip", exact=True, threads=self._threads)

    def best_scores(self, answer: Any) -> F32:  # noqa: ANN401
        """A distance is 1 - the product; one candidate comes without its axis."""
        return np.atleast_2d(1 - np.asarray(answer.distances, np.float32))


class Scann:
    """ScaNN's brute force."""

    def __init__(self, rows: F32, threads: int) -> None:
        scann = importlib.import_module("scann")
        builder = scann.scann_ops_pybind.builder(rows, 10, "dot_product")
        self._searcher = builder.set_n_training_threads(threads).score_brute_force().build()

    def __call__(self, candidates: F32, k: int) -> Any:  # noqa: ANN401
        """Indices and scores."""
        if len(candidates) == 1:
            return self._searcher.search(candidates[0], final_num_neighbors=k)
        return self._searcher.search_batched_parallel(candidates, final_num_neighbors=k)

    def best_scores(self, answer: Any) -> F32:  # noqa: ANN401
        """The second of the pair."""
        return np.atleast_2d(answer[1])


PEERS: dict[str, Callable[[F32, int], Peer]] = {
    "NumPy": NumPy,
    "Torch": Torch,
    "FAISS flat": Faiss,
    "usearch exact": Usearch,
    "ScaNN brute force": Scann,
}


def make_peers(rows: F32, threads: int) -> dict[str, Peer]:
    """The peers that are installed, over these rows; the others are named on stderr."""
    made: dict[str, Peer] = {}
    for name, peer in PEERS.items():
        try:
            made[name] = peer(rows, threads)
        except ImportError as error:
            print(f"left out: {name} ({error})", file=sys.stderr)  # noqa: T201
    return made
