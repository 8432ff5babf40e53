"""The benchmark of searches runs, compares with peers that are exact, and says what it measured."""

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.benchmarks import gsu, gsu_data, gsu_peers, ragged
from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.gsu_limits import Limits, MachineRow, read
from muse_stream.benchmarks.gsu_rounds import SLOW_ROUNDS, Way, measure, recalls, take_turns
from muse_stream.benchmarks.gsu_truth import kth_scores, recall
from muse_stream.benchmarks.gsu_world import HOT, World
from muse_stream.gsu_engine.quantise import inverse_norms

SMALL: dict[str, Any] = {"items": 500, "threads": 1, "quick": True}


def cells(**options: Any) -> list[gsu.Cell]:
    return [row for row in gsu.run(**{**SMALL, **options}) if isinstance(row, gsu.Cell)]


def vectors(count: int, seed: int = 0) -> Vectors:
    int8 = np.random.default_rng(seed).integers(-127, 128, (count, 64), np.int8)
    return Vectors.of(int8, inverse_norms(int8))


def test_searches_are_compared_with_the_peers_that_are_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(rows: Vectors, threads: int) -> gsu_peers.Peer:
        message = f"no library for {len(rows)} rows on {threads} threads"
        raise ImportError(message)

    monkeypatch.setitem(gsu_peers.PEERS, "none", missing)
    cores = os.sched_getaffinity(0)
    found = cells(lengths="300", candidates="1,70", k="20", backend="cpu", peers="NumPy,Torch,none")
    assert [cell.case for cell in found] == ["mixture, hot, L=300 C=1 K=20", "mixture, hot, L=300 C=70 K=20"]
    for cell in found:
        assert cell.best_peer_name in {"NumPy", "Torch"}
        assert set(cell.times_ms) == {"ours, hot", "NumPy", "Torch"}
        assert set(cell.recalls.values()) == {1.0}
        assert cell.of_limit == pytest.approx(cell.limit_ms / cell.ours)
    assert "left out: none" in capsys.readouterr().err
    assert os.sched_getaffinity(0) >= cores


def test_a_peer_does_not_inherit_where_an_earlier_one_was_tied(monkeypatch: pytest.MonkeyPatch) -> None:
    cores, seen = os.sched_getaffinity(0), []

    class Tying(gsu_peers.NumPy):
        def __init__(self, rows: Vectors, threads: int) -> None:
            super().__init__(rows, threads)
            seen.append(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {min(cores)})  # as OpenMP does

    monkeypatch.setitem(gsu_peers.PEERS, "one", Tying)
    monkeypatch.setitem(gsu_peers.PEERS, "two", Tying)
    try:
        gsu_peers.make_peers(vectors(10), len(cores), ["one", "two"])
    finally:
        os.sched_setaffinity(0, cores)
    assert seen == [cores, cores]


class Rough(gsu_peers.NumPy):
    """Answers with rows that nobody asked for."""

    def best(self, answer: Any) -> NDArray[np.int64]:
        return np.zeros_like(super().best(answer))


def test_a_peer_that_is_not_exact_is_shown_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gsu_peers.PEERS, "rough", Rough)
    (cell,) = cells(lengths="300", candidates="2", backend="reference", peers="rough")
    assert cell.best_peer_name is None
    assert cell.recalls["rough"] <= 1 / 50


def test_cold_users_are_compared_with_hot_ones() -> None:
    rows = gsu.run(**SMALL, lengths="400", candidates="3", k="5,500", cold=True, peers="NumPy")
    found = [(row.case, row.best_peer_name) for row in rows if not isinstance(row, MachineRow)]
    assert found == [
        ("mixture, cold, L=400 C=3 K=5", "NumPy"),
        ("mixture, cold, L=400 C=3 K=5, against ours, hot", "ours, hot"),
        ("mixture, cold, L=400 C=3 K=400", "NumPy"),
        ("mixture, cold, L=400 C=3 K=400, against ours, hot", "ours, hot"),
    ]


def test_purchases_and_noise_can_be_searched() -> None:
    found = cells(lengths="3000", candidates="2", data="purchases,isotropic", peers="NumPy", items=4_000)
    assert [cell.data for cell in found] == ["purchases", "isotropic"]
    assert all(cell.recalls == {"ours, hot": 1.0, "NumPy": 1.0} for cell in found)


def test_kinds_of_data_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    shop, noise = gsu_data.make("purchases", rng, 0, 0), gsu_data.make("isotropic", rng, 70_000, 64)
    assert shop.items == 2_501
    assert {len(shop.history(length)) for length in (10, 50_000)} == {10, 50_000}
    assert shop.history(50_000).min() >= 1
    assert shop.history(50_000).max() <= shop.items
    assert len(np.unique(noise.history(60_000))) == 60_000
    assert [block.shape for block in noise.blocks()] == [(65_536, 64), (4_464, 64)]
    with pytest.raises(ValueError, match="no data called 'other'"):
        gsu_data.make("other", rng, 1, 64)


def test_a_question_is_near_an_item_and_never_the_same() -> None:
    rng, item = np.random.default_rng(0), vectors(1).int8
    first, second = gsu_data.asked(rng, item), gsu_data.asked(rng, item)
    assert np.abs(first.astype(int) - item).max() == 1
    assert not np.array_equal(first, second)


def test_repeats_and_worse_rows_are_wrong() -> None:
    rows, candidates = vectors(50), vectors(2, seed=1)
    order = np.argsort(-(candidates.floats @ rows.floats.T), axis=1)
    best = order[:, :5]
    kth = kth_scores(rows, candidates, 5)
    assert recall(rows, candidates, kth, best, 1e-6) == 1
    assert recall(rows, candidates, kth, order[:, [0, 1, 2, 3, 20]], 1e-6) == 0.8
    assert recall(rows, candidates, kth, best[:, [0, 1, 2, 3, 3]], 1e-6) == 0.8


def test_of_equal_rows_either_is_right() -> None:
    rows, candidate = vectors(50), vectors(1, seed=1)
    best = int(np.argmax(rows.floats @ candidate.floats[0]))
    other = (best + 1) % 50
    rows.int8[other], rows.inv_norms[other] = rows.int8[best], rows.inv_norms[best]
    kth = kth_scores(rows, candidate, 1)
    assert recall(rows, candidate, kth, np.array([[best]]), 0.0) == 1
    assert recall(rows, candidate, kth, np.array([[other]]), 0.0) == 1


def test_the_limit_is_the_longer_of_computing_and_reading() -> None:
    limits = Limits(threads=2, products_per_second=1e9, peak_name="made up")
    assert limits.limit_ms(1_000, 10, 100, bytes_per_second=1e12) == pytest.approx(1.0)
    assert limits.limit_ms(1_000, 10, 100, bytes_per_second=1.04e6) == pytest.approx(100.0)


def test_limits_can_be_measured() -> None:
    limits = Limits.measure(1)
    assert limits.products_per_second > 1e8
    assert read(1 << 16, 3, 1) > 1e7


def test_slow_ways_are_measured_in_few_rounds_and_ours_in_all() -> None:
    counts = {"ours": 0, "fast": 0, "slow": 0}

    def way(name: str, work: int) -> Way:
        def search(_case: Any) -> None:
            counts[name] += 1
            sum(range(work))

        return Way(search, is_peer=name != "ours")

    case: Any = None
    medians = take_turns(
        {"ours": way("ours", 200_000), "fast": way("fast", 10), "slow": way("slow", 200_000)}, [[case] * 2] * 9
    )
    assert counts == {"ours": 18, "fast": 18, "slow": 2 * (1 + SLOW_ROUNDS)}
    assert medians["slow"] > medians["fast"]


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_question_that_was_asked_before_is_not_measured(asked_before: bool) -> None:
    rng = np.random.default_rng(0)
    world = World(gsu_data.make("mixture", rng, 5_000, 64), rng, "cpu", 1, cold=False)
    user = world.user(4_000, ())
    rounds = [[world.case(user, 100)] for _ in range(6)]  # enough for answers to stand
    assert recalls(world, [user], 3, 5) == {HOT: 1.0}
    if not asked_before:
        assert measure(world, rounds, 5)[HOT] > 0
        return
    for turn in rounds:
        world.search(HOT, 5, turn[0])
    with pytest.raises(RuntimeError, match="asked before"):
        measure(world, rounds, 5)


def test_many_users_are_searched_in_one_call_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "ITEMS", 500)
    rows = ragged.run(longest=400, most=30, threads=1, quick=True)
    assert [row.best_peer_name for row in rows[::2]] == ["the same users one by one"] * 3
    assert all(row.ours > 0 for row in rows)
    for mix in ragged.mixes(np.random.default_rng(0), 100_000, 2_000):
        assert len(mix.lengths) == len(mix.candidates)
        assert mix.candidates.min() == 1
