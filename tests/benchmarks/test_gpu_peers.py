"""Other libraries' searches as the benchmark of a GPU calls them, on the CPU: right, whatever the blocks and sizes."""

import sys
import types
from typing import Any

import numpy as np
import pytest

from muse_stream.benchmarks.gpu_clock import EventClock, HostClock
from muse_stream.benchmarks.gpu_peer import CELLS, Peer, Place
from muse_stream.benchmarks.gpu_peers import PEERS, Faiss, make_peers
from muse_stream.benchmarks.gpu_rounds import peer_recall
from muse_stream.benchmarks.gpu_torch import TorchLoop, TorchRows
from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.gsu_truth import SLACK
from muse_stream.gsu_engine.quantise import inverse_norms

HERE = Place("cpu", np, HostClock())
WIDTH = 64


def vectors(count: int, seed: int) -> Vectors:
    int8 = np.random.default_rng(seed).integers(-127, 128, (count, WIDTH), np.int8)
    return Vectors.of(int8, inverse_norms(int8))


def recall(peer: Peer, users: list[Vectors], asked: list[Vectors], k: int) -> float:
    picked = peer.fetch(peer.search(peer.send(peer.prepare(asked)), k))
    assert [one.shape for one in picked] == [(len(one), k) for one in asked]
    return peer_recall(users, asked, picked, k, SLACK)


@pytest.mark.parametrize("name", ["torch fp16", "torch bf16", "torch int8", "CuPy float32"])
@pytest.mark.parametrize("lengths", [(300, 300, 300), (50, 300, 171), (50,)])
@pytest.mark.parametrize("candidates", [1, 40])
@pytest.mark.parametrize("cells", [1, 700, 1 << 20])
def test_a_peer_finds_the_best_rows(name: str, lengths: tuple[int, ...], candidates: int, cells: int) -> None:
    users = [vectors(length, seed) for seed, length in enumerate(lengths)]
    asked = [vectors(candidates, 100 + seed) for seed in range(len(users))]
    made: dict[str, Any] = make_peers(users, HERE, [name])
    forms = {"loop", "batched"} if lengths == (300, 300, 300) and name in {"torch fp16", "torch bf16"} else {"loop"}
    assert set(made) == {f"{name}, {form}" for form in forms}
    for peer in made.values():
        peer.cells = cells
        found = recall(peer, users, asked, 50)
        assert found == 1 if peer.exact else found > 0.9


def test_the_fastest_block_that_fits_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [vectors(300, 0)]
    peer = TorchLoop(TorchRows(users, HERE, "int8"))
    monkeypatch.setattr(peer, "search", lambda *_: None)

    class Clock(HostClock):
        def seconds(self, first: Any, last: Any) -> float:
            if peer.cells == CELLS[2]:
                message = "out of memory"
                raise RuntimeError(message)
            return {CELLS[0]: 2.0, CELLS[1]: 1.0}[peer.cells]

    peer.tune(peer.prepare([vectors(3, 1)]), 5, Clock())
    assert peer.cells == CELLS[1]


def test_faiss_on_the_cpu_answers_through_the_same_calls() -> None:
    faiss = pytest.importorskip("faiss")
    users = [vectors(300, 0), vectors(200, 1)]
    assert recall(Faiss(users, faiss.IndexFlatIP), users, [vectors(7, 2), vectors(9, 3)], 20) == 1


def test_a_faiss_without_a_gpu_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "faiss", types.ModuleType("faiss"))
    assert make_peers([vectors(300, 0)], HERE, ["FAISS GPU"]) == {}
    assert "left out: FAISS GPU (this FAISS was built for the CPU)" in capsys.readouterr().err


def test_faiss_and_cuvs_are_called_as_they_want_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flat:
        def __init__(self, resources: str, width: int) -> None:
            assert (resources, width) == ("resources", WIDTH)

        def add(self, rows: Any) -> None:
            self.rows = rows

        def search(self, asked: Any, k: int) -> tuple[Any, Any]:
            return by_definition(self.rows, asked, k)

    def by_definition(rows: Any, asked: Any, k: int) -> tuple[Any, Any]:
        scores = asked @ rows.T
        best = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(scores, best, axis=1), best

    def build(rows: Any, metric: str) -> Any:
        assert metric == "inner_product"
        return rows

    faiss: Any = types.ModuleType("faiss")
    faiss.StandardGpuResources, faiss.GpuIndexFlatIP = lambda: "resources", Flat
    brute_force: Any = types.ModuleType("cuvs.neighbors.brute_force")
    brute_force.build, brute_force.search = build, by_definition
    monkeypatch.setitem(sys.modules, "faiss", faiss)
    monkeypatch.setitem(sys.modules, "cuvs.neighbors.brute_force", brute_force)
    users, asked = [vectors(300, 0), vectors(80, 1)], [vectors(3, 2), vectors(3, 3)]
    made = make_peers(users, HERE, ["FAISS GPU", "cuVS"])
    assert set(made) == {"FAISS GPU, loop", "cuVS, loop"}
    for peer in made.values():
        peer.tune(peer.prepare(asked), 5, HostClock())
        assert recall(peer, users, asked, 5) == 1


def test_all_peers_of_the_issue_are_there() -> None:
    assert {"torch fp16", "torch bf16", "CuPy float32", "FAISS GPU", "cuVS"} < set(PEERS)


def test_events_are_taken_on_the_stream_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Event:
        def record(self, stream: str) -> None:
            told.append(stream)

        def synchronize(self) -> None:
            told.append("synchronize")

    class Device:
        def __init__(self) -> None:
            self.attributes = {"L2CacheSize": 8}

        def synchronize(self) -> None:
            told.append("device")

    cupy: Any = types.ModuleType("cupy")
    cupy.zeros, cupy.uint8 = np.zeros, np.uint8
    cupy.cuda = types.SimpleNamespace(
        Event=Event,
        Device=Device,
        Stream=types.SimpleNamespace(null="default"),
        get_elapsed_time=lambda _first, _last: 2.0,
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    clock = EventClock("own")
    assert clock.seconds(clock.mark(), clock.mark()) == 0.002
    clock.forget()
    EventClock().mark()
    assert told == ["own", "own", "synchronize", "device", "default"]
