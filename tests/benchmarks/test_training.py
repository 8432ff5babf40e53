import numpy as np
import pytest

from muse_stream.benchmarks import training
from muse_stream.benchmarks.training_case import OURS, Measured, measure
from muse_stream.benchmarks.training_peer import TorchRetrieval
from muse_stream.benchmarks.training_world import Size, World
from muse_stream.esu_scorer.data import Block
from muse_stream.esu_scorer.retrieval import Retrieved

SMALL = Size(length=300, items=500, batch=12)


def test_the_retrievals_agree() -> None:
    training.agree()


def test_retrievals_that_differ_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    right = TorchRetrieval.retrieve

    def wrong(self: TorchRetrieval, block: Block, k: int, recent: int) -> Retrieved:
        found = right(self, block, k, recent)
        found.cosine[0, 0] += 0.01
        return found

    monkeypatch.setattr(TorchRetrieval, "retrieve", wrong)
    with pytest.raises(RuntimeError, match="cosine differs by"):
        training.agree()


@pytest.mark.parametrize("form", ["windows", "catalogue"])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_the_peer_s_chunks_do_not_show(form: str, chunk_bytes: int) -> None:
    world = World(Size(length=300, items=500, batch=30), batches=1, seconds=0)
    block = world.block(np.random.default_rng(1)).take(np.arange(25))
    peer = TorchRetrieval(world.vectors(), form)
    whole = peer.retrieve(block, 20, 10)
    peer.chunk_bytes = chunk_bytes
    parts = peer.retrieve(block, 20, 10)
    np.testing.assert_allclose(parts.cosine, whole.cosine, atol=1e-6)
    assert (whole.places < block.stop[:, None]).all()


def test_blocks_are_the_same_for_everybody() -> None:
    first, second = (list(World(SMALL, batches=4, seconds=0).blocks("train", seed=3)) for _ in range(2))
    assert len(first) == 4
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.stop, other.stop)
        np.testing.assert_array_equal(one.item, other.item)


@pytest.mark.parametrize("who", [OURS, "windows"])
def test_a_run_is_measured(who: str) -> None:
    found = measure(who, SMALL, threads=1, seconds=0)
    assert found.batches == 3
    assert found.samples_per_second > 0
    assert found.retrieval_ms > 0
    assert found.peak_mib >= found.world_mib > 0


def test_rows_compare_with_the_best_peer() -> None:
    found = {
        OURS: [Measured(4_000, 20, 900, 600, 9), Measured(4_400, 30, 900, 600, 9), Measured(4_100, 40, 910, 600, 9)],
        "windows": [Measured(800, 900, 1_100, 600, 3)],
        "catalogue": [Measured(1_000, 700, 2_000, 600, 3)],
    }
    rows = training.rows_of(Size(1_000, 10_000, 1_000), found)
    assert [row.case.split(": ")[1] for row in rows[:3]] == ["training", "retrieval alone", "peak memory"]
    assert [row.ours for row in rows[:3]] == [4_100, 30, 900]
    assert rows[0].best_peer_name == "Torch, all items scored"
    assert rows[0].ratio == pytest.approx(4.1)
    assert rows[3].ratio == pytest.approx(4_100 / 800)
