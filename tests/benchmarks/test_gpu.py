"""The benchmark of a GPU, on a machine without one: its cells stay empty; all of its code runs on stand-ins."""

import importlib
import json
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from muse_stream.benchmarks import gpu, gpu_append, gpu_limits, gpu_machine, gpu_ours, gpu_rounds, gpu_ways
from muse_stream.benchmarks.gpu_cases import Group, cases, groups
from muse_stream.benchmarks.gpu_cell import FIGURES, Cell, Taken, cell
from muse_stream.benchmarks.gpu_clock import HostClock
from muse_stream.benchmarks.gpu_device import Metered
from muse_stream.benchmarks.gpu_limits import Limits
from muse_stream.benchmarks.gpu_machine import Machine
from muse_stream.benchmarks.gpu_peer import Place
from muse_stream.benchmarks.gpu_rounds import SLOW_ROUNDS, WARM_UPS, Times, Way, take_turns
from muse_stream.benchmarks.gpu_world import Question, World
from muse_stream.gsu_engine import SearchResult
from muse_stream.gsu_engine.backends import cuda
from muse_stream.gsu_engine.backends.cuda import CudaBackend
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.cuda import measure, ways
from muse_stream.gsu_engine.cuda.cupy_device import CupyDevice
from muse_stream.gsu_engine.cuda.ways import THREE_LAUNCHES, Ways
from muse_stream.gsu_engine.cuda.ways import Way as SearchWay
from muse_stream.streams.cli import main
from tests.gsu_engine.cuda import numpy_search  # noqa: F401 - brings its kernels
from tests.gsu_engine.cuda.numpy_device import NumpyDevice

HERE = Place("cpu", np, HostClock())
PEERS = ("torch fp16", "torch bf16", "torch int8", "CuPy float32", "FAISS GPU", "cuVS")
MACHINE = Machine("machine", None, "", device=None, why="made up for a test")


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No device can be used here."""
    monkeypatch.setattr(gpu_machine, "look", lambda: MACHINE)


def plan(*found: Group, peers: tuple[str, ...] = PEERS) -> gpu.Plan:
    return gpu.Plan(found, k=10, items=2_000, dimension=64, peers=peers, rounds=6)


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("command", [["gpu"], ["gsu", "--backend", "cuda"]])
def test_without_a_device_the_command_says_why_and_its_cells_are_empty(command: list[str]) -> None:
    result = CliRunner().invoke(main, ["bench", *command, "--json"])
    assert result.exit_code == 0, result.output
    assert "nothing is measured: made up for a test" in result.stderr
    machine, *rest = json.loads(result.stdout.splitlines()[-1])["rows"]
    assert (machine["device"], machine["why"]) == (None, "made up for a test")
    assert rest
    assert all(row["ours"] is None and row["best_peer"] is None and row["ratio"] is None for row in rest)
    assert not any(row[name] for row in rest for name in ("medians_ms", "recalls", "of_limit") if name in row)


@pytest.mark.usefixtures("nothing")
def test_the_cases_are_those_of_the_issue() -> None:
    asked = {
        (row.users, row.behaviours, row.candidates, row.k)
        for row in gpu.run(lengths="100000,1000")
        if isinstance(row, Cell)
    }
    for length in (100_000, 1_000):
        assert {(32, 32 * length, count, 50) for count in (500, 1_000, 2_000)} < asked
        assert {(1, length, count, 50) for count in (1, 10, 100, 500, 1_000, 2_000)} < asked
        assert (64, 64 * length, 100, 50) in asked
    ragged = groups(100_000, [1], [500], 64)[-1]
    assert (min(ragged.lengths), max(ragged.lengths), len(ragged.lengths)) == (1_000, 100_000, 64)


@pytest.mark.usefixtures("nothing")
def test_the_module_prints_the_same_without_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--json", "--candidates", "1", "--many", ""])
    assert json.loads(capsys.readouterr().out)["rows"][0]["why"] == "made up for a test"
    gpu.main(["--candidates", "1", "--many", ""])
    shown = capsys.readouterr().out
    assert "Nothing could be measured: made up for a test." in shown
    assert "| one user, warm, L=100000 C=1 K=50, end to end |  |  |  |  |" in shown


@pytest.mark.usefixtures("nothing")
def test_figures_are_kept_by_device_and_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.main(["--candidates", "1", "--many", "", "--into", str(tmp_path)])
    assert not list(tmp_path.iterdir())
    found = replace(MACHINE, device="NVIDIA H200", date="2026-11-21")
    monkeypatch.setattr(gpu, "run", lambda **_: [found])
    gpu.main(["--json", "--into", str(tmp_path)])
    (kept,) = tmp_path.iterdir()
    assert kept.name == "gpu-nvidia-h200-2026-11-21.json"
    assert json.loads(kept.read_text(encoding="utf-8"))["rows"][0]["device"] == "NVIDIA H200"


def test_a_machine_without_a_device_says_why() -> None:
    found = gpu_machine.look()
    if found.device is None:
        assert found.why.startswith("cuda: ")
    assert found.date


def test_a_commit_can_be_given_where_there_is_no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_machine, "ROOT", "/")
    monkeypatch.setenv("COMMIT", "abc")
    assert gpu_machine.commit() == "abc"
    assert gpu_machine.told("there-is-no-such-program") is None


@pytest.mark.parametrize("group", groups(600, [1, 33], [7], 4), ids=lambda group: group.name)
def test_everything_is_measured_on_stand_ins(monkeypatch: pytest.MonkeyPatch, group: Group) -> None:
    monkeypatch.setattr(gpu_append, "USERS", 5)
    group = replace(group, sets=min(group.sets, 2))
    rig = gpu.Rig(HERE, (Limits(1e12, 1e12), Limits()), {"ours, CUDA": "array-numpy", "ours, CPU": "reference"})
    cells = [row for row in gpu.measured(plan(group, peers=PEERS[:4]), rig) if isinstance(row, Cell)]
    assert len(cells) == 2 * 2 * len(group.candidates)
    for row in cells:
        exact = {"torch int8, loop", "CuPy float32, loop"}
        assert {name for name, found in row.recalls.items() if found == 1} >= {"ours, CUDA", "ours, CPU"} | exact
        assert all(found > 0.9 for found in row.recalls.values())
        assert ("torch bf16, batched" in row.recalls) == (len(set(group.lengths)) == 1 < len(group.lengths))
        assert all(count >= SLOW_ROUNDS for count in row.rounds.values())
        assert row.measured_limit_ms is None
        if row.figure == "end to end":
            assert row.best_peer_name in exact
            assert row.of_limit is not None
            assert set(row.medians_ms) == set(row.recalls)
        else:
            assert row.ours is None  # the stand-ins have no device
            assert set(row.medians_ms) == set(row.recalls) - {"ours, CUDA", "ours, CPU"}


def test_the_figures_are_kept_apart() -> None:
    (case, *_) = cases(Group("two users", (10, 20), (3,), 1), 5)
    times = {"ours, CUDA": Times(0.004, 0.001, 50), "a": Times(0.008, 0.003, 50), "b": Times(0.002, None, 50)}
    taken = Taken(times, {"ours, CUDA": 1.0, "a": 1.0, "b": 0.9}, (5e-4, None), frozenset({"a"}))
    whole, device = (cell(case, figure, taken) for figure in FIGURES)
    assert (whole.ours, whole.best_peer_name, whole.ratio) == (4, "a", 2)
    assert (whole.fastest_peer_name, whole.fastest_ratio) == ("b", 0.5)
    assert (device.ours, device.best_peer_name, device.fastest_peer_name) == (1, "a", "a")
    assert (device.of_limit, device.of_measured) == (0.5, None)


def test_limits_are_those_of_the_datasheet_and_of_the_longer_part() -> None:
    known = gpu_limits.datasheet("NVIDIA H200")
    one, many = known.seconds([100_000], 1, 128), known.seconds([100_000], 2_000, 128)
    assert one == pytest.approx(100_000 * 136 / 4.8e12)
    assert many == pytest.approx(25.87e-6, rel=1e-3)
    assert gpu_limits.datasheet("another").seconds([1], 1, 128) is None
    assert gpu_limits.datasheet(None) == Limits()
    found = gpu_limits.measured(HostClock(), "cpu", copied_bytes=1 << 20, side=64)
    assert [line.ours for line in gpu_limits.rows(known, found)][::2] == [1979, 4.8]
    assert all(line.ours for line in gpu_limits.rows(known, found))


def test_no_device_code_is_loaded_where_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> types.ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert gpu_limits.measured(HostClock()) == Limits()


def test_slow_ways_are_called_less_often_and_nothing_counts_before_the_warm_up() -> None:
    calls = {"fast": 0, "slow": 0}

    def way(name: str, work: int) -> Way:
        def ask(_number: int, _ready: Any) -> None:
            calls[name] += 1
            sum(range(work))

        return Way(lambda _number, _question: None, ask, lambda _number, _ready: 0.5)

    rounds: Any = [(0, None)] * (WARM_UPS + 20)
    times = take_turns({"fast": way("fast", 10), "slow": way("slow", 300_000)}, rounds, HostClock(), cold=True)
    assert calls == {"fast": WARM_UPS + 20, "slow": 2 + SLOW_ROUNDS}
    assert (times["fast"].rounds, times["slow"].rounds) == (20, SLOW_ROUNDS)
    assert times["fast"].device_seconds == 0.5


@pytest.fixture
def world() -> World:
    return World(2_000, 64)


class Spoiled(gpu_ours.Ours):
    """Changes what an engine answers."""

    def __init__(self, world: World, spoil: Any) -> None:
        super().__init__(world, gpu_ours.Ours.of(world, "reference").engine)
        object.__setattr__(self, "spoil", spoil)

    def search(self, question: Question, k: int) -> SearchResult:
        return self.spoil(super().search(question, k))  # type: ignore[attr-defined,no-any-return]


def test_ours_must_be_right_and_the_same_to_the_bit(world: World) -> None:
    (users,) = world.sets(Group("", (300, 200), (), 1))
    question, rows = world.question(users, 5), world.rows(users)

    def nearly(result: SearchResult) -> SearchResult:
        result.scores[0, 0] = np.nextafter(result.scores[0, 0], np.float32(2))
        return result

    ways = {"right": gpu_ours.Ours.of(world, "reference"), "spoiled": Spoiled(world, nearly)}
    with pytest.raises(RuntimeError, match="spoiled and right give different answers"):
        gpu_rounds.check(ways, {}, rows, question, 5)

    def wrong(result: SearchResult) -> SearchResult:
        result.positions[:, 0] = result.positions[:, 1]
        return result

    with pytest.raises(RuntimeError, match="ours miss some"):
        gpu_rounds.check({"spoiled": Spoiled(world, wrong)}, {}, rows, question, 5)


class Ticks(HostClock):
    """A second passes between marks."""

    def __init__(self) -> None:
        self._now: Iterator[int] = iter(range(10**6))

    def mark(self) -> float:
        return next(self._now)


def open_stand_in() -> Metered:
    return Metered(NumpyDevice(memory_bytes=1 << 28), Ticks())


def metered_engines(world: World, monkeypatch: pytest.MonkeyPatch, way: SearchWay = THREE_LAUNCHES) -> gpu_ours.Ours:
    monkeypatch.setattr(gpu_ours, "POOL_BYTES", 1 << 22)
    monkeypatch.setattr(gpu_ours, "CAP", 1_000)
    monkeypatch.setattr(cuda, "WAYS", {("NumPy", 64): Ways(always=way)})
    backend = CudaBackend(ReferenceBackend(), open_stand_in)
    return gpu_ours.Ours.of(world, backend, open_stand_in)


def test_device_time_is_from_the_first_launch_to_the_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = metered_engines(world, monkeypatch)
    (users,) = world.sets(Group("", (90, 70), (), 1))
    ours.enter(users)
    question = world.question(users, 3)
    assert ours.device
    for _ in range(2):
        seconds = ours.device_seconds(question, 5)
        assert seconds == len(ours.device.launches) >= 3
        assert ours.search(question, 5).count.tolist() == [5] * 6
    assert ours.device.launches == ["threshold_64", "filter_64", "finish_64"]
    ours.require_device()


def test_a_replay_is_metered_as_its_launches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = metered_engines(world, monkeypatch, SearchWay(graph=True))
    (users,) = world.sets(Group("", (90, 70), (), 1))
    ours.enter(users)
    for _ in range(2):
        assert ours.device_seconds(world.question(users, 3), 5) > 0  # type: ignore[operator]
    assert ours.device
    assert ours.device.launches == ["threshold_64", "filter_64", "finish_64"]
    assert ours.metered
    found = ours.metered.stats().device
    assert found
    assert found.ways.replays == 2
    assert ours.device.column(ours.device.allocate(32), 0, 2, 4).__dlpack_device__()[1] == 0


def test_launches_and_graphs_are_told_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_ours, "POOL_BYTES", 1 << 22)
    monkeypatch.setattr(gpu_ours, "CAP", 1_000)
    (users,) = world.sets(Group("", (90,), (), 1))
    replays = {}
    for name, backend in gpu_ours.by_one_way(lambda: NumpyDevice(memory_bytes=1 << 28)).items():
        ours = gpu_ours.Ours.of(world, backend)
        ours.enter(users)
        ours.search(world.question(users, 1), 5)
        found = ours.engine.stats().device
        assert found
        replays[name] = found.ways.replays
    assert replays == {"ours, CUDA by launches": 0, "ours, CUDA by graphs": 1}


def test_the_ways_of_small_searches_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "ROWS", (30,))
    monkeypatch.setattr(ways, "CANDIDATES", (1, 2))
    monkeypatch.setattr(measure, "ITEMS", 64)
    monkeypatch.setattr(cuda, "WAYS", {})
    backend = CudaBackend(ReferenceBackend(), lambda: NumpyDevice(memory_bytes=1 << 28))
    rows = [row for row in gpu_ways.measured(backend, 64, 5) if isinstance(row, gpu_ways.WayRow)]
    assert [row.case for row in rows] == [row.case for row in gpu_ways.empty()]
    assert [row.case for row in rows] == [f"small search, rows <= 30, candidates <= {count}" for count in (1, 2)]
    for row in rows:
        assert (row.way, row.ours) == ("sampled, launches", 0.0), "the stand-in's clock stands still"
        assert len(row.medians_ms) == 4
    monkeypatch.setattr(cuda, "WAYS", {})
    full = CudaBackend(ReferenceBackend(), lambda: NumpyDevice(memory_bytes=5))
    assert [row.ours for row in gpu_ways.measured(full, 64, 5)] == [None, None], "it cannot measure: no figure"


def test_what_the_cpu_answered_is_no_figure_of_the_device(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = metered_engines(world, monkeypatch)
    (users,) = world.sets(Group("", (90,), (), 1))
    ours.engine.drop(np.array(users))
    ours.search(world.question(users, 3), 5)
    with pytest.raises(RuntimeError, match="the CPU answered for the device"):
        ours.require_device()


def test_an_append_to_many_users_is_one_launch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_append, "USERS", 50)
    monkeypatch.setattr(gpu_append, "LENGTH", 20)
    rows = gpu_append.measured(world, metered_engines(world, monkeypatch), 4)
    found = {row.case.rsplit(", ", 1)[1]: row.ours for row in rows}
    assert (found["launches"], found["on the device"]) == (1, 1000)
    assert found["end to end"] is not None
    assert [row.case for row in gpu_append.empty()] == [f"append one row to 1000 users, {name}" for name in found]


def test_the_device_whose_time_is_taken_shows_its_stream() -> None:
    assert isinstance(CupyDevice.stream, property)
