"""Other libraries' searches over users whose rows lie on the device: in a loop over users, and at once where they can.

All get each user's rows contiguous and newest first, made before. A turn is: candidates to the device from pinned
memory, products, selection, and the K best rows and scores back to the host. What is set for whom:

- Torch and CuPy make matrices of scores: of all sizes in `CELLS` at a time the fastest is taken, per case (`tune`).
- Torch in int8 multiplies without rounding (`torch._int_mm`), so it is exact; in fp16 and bf16 it is not.
- Torch searches users of equal lengths at once too (`bmm`); there is nothing to batch where lengths differ.
- CuPy multiplies float32 with TF32 off. Its `argpartition` sorts.
- FAISS and cuVS are their exact indexes of float32, an index per user. FAISS takes and gives host arrays, so its time
  on the device cannot be told apart.

The same code runs on the CPU in tests: `Place` says on which device of Torch's, and which module stands for CuPy.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from muse_stream.benchmarks.gpu_clock import Clock
from muse_stream.benchmarks.gpu_peer import Blocks, Found, Peer, Place, Ready
from muse_stream.benchmarks.gpu_torch import make_torch
from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.vectors import I64


class Partition(Blocks):
    """CuPy's product of float32 and argpartition, user by user."""

    exact = True

    def __init__(self, users: Sequence[Vectors], place: Place) -> None:
        self._xp = place.xp
        self._rows = [self._xp.asarray(user.floats) for user in users]

    def prepare(self, asked: Sequence[Vectors]) -> Ready:
        """Their floats."""
        return [one.floats for one in asked]

    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """Each user's."""
        return [self._xp.asarray(one) for one in ready]

    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """Scores and indices of each user."""
        return [self._user(rows, asked, k) for rows, asked in zip(self._rows, sent, strict=True)]

    def _user(self, rows: Any, asked: Any, k: int) -> Any:  # noqa: ANN401
        found = []
        for part in self.parts(len(asked), len(rows)):
            scores = self._xp.matmul(asked[part], rows.T)
            best = self._xp.argpartition(scores, len(rows) - k, axis=1)[:, len(rows) - k :]
            found.append((self._xp.take_along_axis(scores, best, axis=1), best))
        return tuple(self._xp.concatenate(halves) for halves in zip(*found, strict=True))

    def fetch(self, found: Found) -> list[I64]:
        """Both, of each user."""
        return [np.asarray([self._host(half) for half in one][1], np.int64) for one in found]

    def _host(self, array: Any) -> Any:  # noqa: ANN401
        return array.get() if hasattr(array, "get") else array


class Faiss:
    """A flat index of inner products per user."""

    exact = True
    has_device_time = False

    def __init__(self, users: Sequence[Vectors], make: Callable[[int], Any]) -> None:
        self._indexes = [make(user.floats.shape[1]) for user in users]
        for index, user in zip(self._indexes, users, strict=True):
            index.add(user.floats)

    @classmethod
    def on_gpu(cls, users: Sequence[Vectors], _place: Place) -> "Faiss":
        """On the first GPU; raises ImportError where FAISS is missing or was built without one."""
        faiss = importlib.import_module("faiss")
        if not hasattr(faiss, "StandardGpuResources"):
            message = "this FAISS was built for the CPU"
            raise ImportError(message)
        resources = faiss.StandardGpuResources()
        return cls(users, lambda width: faiss.GpuIndexFlatIP(resources, width))

    def prepare(self, asked: Sequence[Vectors]) -> Ready:
        """Their floats."""
        return [one.floats for one in asked]

    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """FAISS sends them itself."""
        return ready

    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """Scores and indices of each user."""
        return [index.search(asked, k) for index, asked in zip(self._indexes, sent, strict=True)]

    def fetch(self, found: Found) -> list[I64]:
        """They are there."""
        return [np.asarray(indices, np.int64) for _, indices in found]

    def tune(self, ready: Ready, k: int, clock: Clock) -> None:
        """It does so itself."""


class Cuvs:
    """cuVS's brute force, an index per user."""

    exact = True
    has_device_time = True

    def __init__(self, users: Sequence[Vectors], place: Place) -> None:
        self._brute_force = importlib.import_module("cuvs.neighbors.brute_force")
        self._xp = place.xp
        rows = [self._xp.asarray(user.floats) for user in users]
        self._indexes = [self._brute_force.build(one, metric="inner_product") for one in rows]
        self._rows = rows  # an index refers to them

    def prepare(self, asked: Sequence[Vectors]) -> Ready:
        """Their floats."""
        return [one.floats for one in asked]

    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """Each user's."""
        return [self._xp.asarray(one) for one in ready]

    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """Scores and indices of each user."""
        return [self._brute_force.search(index, one, k) for index, one in zip(self._indexes, sent, strict=True)]

    def fetch(self, found: Found) -> list[I64]:
        """Both, of each user."""
        halves = [[self._xp.asarray(half) for half in one] for one in found]
        return [np.asarray([h.get() if hasattr(h, "get") else h for h in one][1], np.int64) for one in halves]

    def tune(self, ready: Ready, k: int, clock: Clock) -> None:
        """It does so itself."""


Maker = Callable[[Sequence[Vectors], Place], dict[str, Peer]]
PEERS: dict[str, Maker] = {
    "torch fp16": lambda users, place: make_torch(users, place, "float16"),
    "torch bf16": lambda users, place: make_torch(users, place, "bfloat16"),
    "torch int8": lambda users, place: make_torch(users, place, "int8"),
    "CuPy float32": lambda users, place: {"loop": Partition(users, place)},
    "FAISS GPU": lambda users, place: {"loop": Faiss.on_gpu(users, place)},
    "cuVS": lambda users, place: {"loop": Cuvs(users, place)},
}


def make_peers(users: Sequence[Vectors], place: Place, wanted: Sequence[str]) -> dict[str, Peer]:
    """The peers that are installed, over these users; the others are named on stderr."""
    made: dict[str, Peer] = {}
    for name in wanted:
        try:
            made |= {f"{name}, {form}": peer for form, peer in PEERS[name](users, place).items()}
        except (ImportError, RuntimeError, MemoryError) as error:
            print(f"left out: {name} ({error})", file=sys.stderr)  # noqa: T201
    return made
