"""Torch's searches on a GPU: a matrix product and topk, in 16-bit floats and in int8."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from muse_stream.benchmarks.gpu_peer import Blocks, Found, Peer, Place, Ready
from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.vectors import I64

LEAST_CANDIDATES = 32  # of an int8 product: Torch wants more than 16, and a multiple of 8


class TorchRows:
    """Rows of all users in one type; one stack of them where all are equally long."""

    def __init__(self, users: Sequence[Vectors], place: Place, kind: str) -> None:
        self.torch = importlib.import_module("torch")
        self.place, self.kind = place, kind
        self.dtype = getattr(self.torch, kind)
        self.lengths = [len(user) for user in users]
        self.inv_norms = [self.torch.from_numpy(user.inv_norms).to(place.device) for user in users]
        loose = [self.on_device(user) for user in users]
        self.stack: Any = self.torch.stack(loose) if len(users) > 1 and len(set(self.lengths)) == 1 else None
        self.rows = loose if self.stack is None else list(self.stack)

    def on_device(self, user: Vectors) -> Any:  # noqa: ANN401
        """A user's rows; of int8 up to a multiple of 8 of them."""
        if self.kind != "int8":
            return self.torch.from_numpy(user.floats).to(self.place.device, self.dtype)
        padded = np.pad(user.int8, ((0, -len(user) % 8), (0, 0)))
        return self.torch.from_numpy(padded).to(self.place.device)

    def on_host(self, asked: Vectors) -> Any:  # noqa: ANN401
        """A user's candidates."""
        if self.kind != "int8":
            return self._pinned(self.torch.from_numpy(asked.floats).to(self.dtype))
        count = max(-(-len(asked) // 8) * 8, LEAST_CANDIDATES)
        return self._pinned(self.torch.from_numpy(np.pad(asked.int8, ((0, count - len(asked)), (0, 0)))))

    def _pinned(self, tensor: Any) -> Any:  # noqa: ANN401
        return tensor if self.place.device == "cpu" else tensor.pin_memory()

    def scores(self, asked: Any, user: int) -> Any:  # noqa: ANN401
        """Of int8 without the candidate's own norm, which changes no order."""
        if self.kind != "int8":
            return self.torch.mm(asked, self.rows[user].T)
        products = self.torch._int_mm(asked, self.rows[user].T)[:, : self.lengths[user]]
        return products * self.inv_norms[user]


class TorchLoop(Blocks):
    """Product and topk, user by user."""

    def __init__(self, rows: TorchRows) -> None:
        self._rows = rows
        self.exact = rows.kind == "int8"

    def prepare(self, asked: Sequence[Vectors]) -> Ready:
        """Pinned tensors, and how many candidates are real."""
        return [(self._rows.on_host(one), len(one)) for one in asked]

    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """Each user's."""
        return [(one.to(self._rows.place.device, non_blocking=True), count) for one, count in ready]

    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """Values and indices of each user."""
        return [self._user(user, asked, k, count) for user, (asked, count) in enumerate(sent)]

    def _user(self, user: int, asked: Any, k: int, count: int) -> Any:  # noqa: ANN401
        cells = max(self.cells, LEAST_CANDIDATES * self._rows.lengths[user])
        step = cells // self._rows.lengths[user] // LEAST_CANDIDATES * LEAST_CANDIDATES
        parts = [slice(low, low + step) for low in range(0, len(asked), step)]
        found = [self._rows.scores(asked[part], user).topk(k, dim=1) for part in parts]
        return tuple(self._rows.torch.cat(halves)[:count] for halves in zip(*found, strict=True))

    def fetch(self, found: Found) -> list[I64]:
        """Both, of each user."""
        return [np.asarray([half.cpu() for half in one][1].numpy(), np.int64) for one in found]


class TorchBatched(Blocks):
    """Product and topk of several users at once, all of one length and with as many candidates."""

    exact = False

    def __init__(self, rows: TorchRows) -> None:
        self._rows = rows

    def prepare(self, asked: Sequence[Vectors]) -> Ready:
        """One pinned tensor."""
        joined = self._rows.torch.stack([self._rows.on_host(one) for one in asked])
        return joined if self._rows.place.device == "cpu" else joined.pin_memory()

    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """In one copy."""
        return ready.to(self._rows.place.device, non_blocking=True)

    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """Values and indices `[U, C, K]`."""
        stack = self._rows.stack
        users = self.parts(len(stack), sent.shape[1] * stack.shape[1])
        found = [self._rows.torch.bmm(sent[part], stack[part].mT).topk(k, dim=2) for part in users]
        return [self._rows.torch.cat(halves) for halves in zip(*found, strict=True)]

    def fetch(self, found: Found) -> list[I64]:
        """Both."""
        return list(np.asarray([half.cpu() for half in found][1].numpy(), np.int64))


def make_torch(users: Sequence[Vectors], place: Place, kind: str) -> dict[str, Peer]:
    """A loop over users, and all at once where they are of one length."""
    rows = TorchRows(users, place, kind)
    made: dict[str, Peer] = {"loop": TorchLoop(rows)}
    if rows.stack is not None and kind != "int8":
        made["batched"] = TorchBatched(rows)
    return made
