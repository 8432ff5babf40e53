import numpy as np
import pytest

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.data.joining import join, recut
from muse_stream.esu_scorer.data.shuffle import in_blocks, interleaved, shuffled
from tests.esu_scorer.data.making_files import all_samples, assert_distinct_users, samples_of


def block(seed: int, samples: int = 9, users: int = 4) -> Block:
    """Random users out of ten with histories of their own, and windows within them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, users)
    lows = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    total = int(lengths.sum())
    item = rng.integers(1, 1000, total)
    behaviours = Behaviours(item, item % 9, np.zeros(total, np.uint8), np.arange(total))
    user = rng.choice(np.arange(1, 11), users, replace=False)
    owner = rng.integers(0, users, samples)
    start = rng.integers(0, lengths[owner] + 1)
    return Block(
        histories=Histories(user, lows, lows + lengths, behaviours),
        owner=owner,
        start=start,
        stop=rng.integers(start, lengths[owner] + 1),
        candidate_features=rng.integers(1, 99, (samples, 2)),
        user_features=user[owner][:, None],
        time_ms=rng.integers(1, 99, samples),
        label=rng.random(samples) < 0.5,
    )


def test_join_keeps_samples_windows_and_order() -> None:
    blocks = [block(seed) for seed in range(6)]
    joined = join(blocks)
    assert samples_of(joined) == all_samples(blocks)
    assert np.array_equal(joined.time_ms, np.concatenate([each.time_ms for each in blocks]))
    assert_distinct_users(blocks)


def test_join_of_blocks_that_share_behaviours_copies_none() -> None:
    whole = block(1, samples=40)
    parts = [whole.take(slice(0, 15)), whole.take(slice(15, 40))]
    joined = join(parts)
    assert joined.histories.behaviours is whole.histories.behaviours
    assert samples_of(joined) == samples_of(whole)


def test_join_without_any_behaviour() -> None:
    empty = [block(seed, users=1).last(0) for seed in range(3)]
    assert all_samples([join(empty)]) == all_samples(empty)


@pytest.mark.parametrize("size", [1, 4, 9, 10, 100])
def test_recut_keeps_samples_and_order(size: int) -> None:
    blocks = [block(seed) for seed in range(5)]
    cut = list(recut(blocks, size))
    assert all_samples(cut) == all_samples(blocks)
    assert {len(each) for each in cut[:-1]} <= {size}
    assert 0 < len(cut[-1]) <= size
    for each in cut:
        assert set(each.histories.user.tolist()) == set(each.user.tolist())


def test_shuffled_stays_within_its_window() -> None:
    blocks = [block(seed) for seed in range(6)]
    found = list(shuffled(blocks, seed=1, window=20))
    assert [len(each) for each in found] == [27, 27]
    for mixed, pair in zip(found, (blocks[:3], blocks[3:]), strict=True):
        assert sorted(samples_of(mixed)) == sorted(all_samples(pair))
        assert samples_of(mixed) != all_samples(pair)


def test_the_seed_decides_the_order() -> None:
    blocks = [block(seed) for seed in range(6)]
    orders = [all_samples(list(in_blocks(blocks, size=10, seed=seed, window=30))) for seed in (1, 1, 2, None)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[3] == all_samples(blocks)


def test_blocks_are_read_as_they_are_needed() -> None:
    asked: list[int] = []

    def source() -> object:
        for seed in range(100):
            asked.append(seed)
            yield block(seed)

    next(in_blocks(source(), size=10, seed=1, window=30))  # type: ignore[arg-type]
    assert asked == [0, 1, 2, 3]


def test_interleaved_takes_turns() -> None:
    assert list(interleaved(["abc", "de", "f", "gh"], 2)) == list("adbecfgh")
    assert list(interleaved(["abc", "de"], 1)) == list("abcde")
    assert list(interleaved([], 3)) == []
