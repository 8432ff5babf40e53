from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.esu_scorer.data.taobao_joined import TaobaoJoined
from tests.esu_scorer.data.making_files import DEMO, World, all_samples, assert_distinct_users, write


@pytest.fixture
def world() -> World:
    return World.random(users=12, samples=230)


def shards(folder: Path, world: World, part: str = "train", group: int = 10) -> Path:
    rows = world.joined_rows()
    for shard, start in enumerate(range(0, len(rows), 60)):
        write(folder / part / f"{part}-shard-{shard:06d}.parquet", rows[start : start + 60], group=group)
    return folder


def test_every_sample_comes_with_its_history_and_features(tmp_path: Path, world: World) -> None:
    source = TaobaoJoined(shards(tmp_path, world, "test"), block=32)
    blocks = list(source.blocks("test"))
    assert sorted(all_samples(blocks)) == world.expected()
    assert [len(block) for block in blocks] == [32] * 7 + [6]
    assert source.info.samples == {"train": 0, "validation": 0, "test": 230}
    assert source.info.spec == FeatureSpec.taobao_mm()
    assert_distinct_users(blocks)


def test_without_a_seed_the_order_is_that_of_the_files(tmp_path: Path, world: World) -> None:
    blocks = list(TaobaoJoined(shards(tmp_path, world, "test")).blocks("test"))
    assert [(sample[0], sample[1], sample[2]) for sample in all_samples(blocks)] == world.samples


def test_a_seed_shuffles_and_repeats_exactly(tmp_path: Path, world: World) -> None:
    source = TaobaoJoined(shards(tmp_path, world, "test"), block=20, window=80)
    once, again = (all_samples(list(source.blocks("test", seed=4))) for _ in range(2))
    other = all_samples(list(source.blocks("test", seed=5)))
    assert once == again
    assert once != other
    assert sorted(once) == sorted(other) == world.expected()


def test_validation_is_whole_row_groups_of_training(tmp_path: Path, world: World) -> None:
    source = TaobaoJoined(shards(tmp_path, world), validation_every=5)
    train, validation = (all_samples(list(source.blocks(part))) for part in ("train", "validation"))
    assert source.info.samples == {"train": len(train), "validation": len(validation), "test": 0}
    assert len(validation) == 40  # row groups 4, 9, 14 and 19 of 23, ten rows each
    assert sorted(train + validation) == world.expected()


def test_few_row_groups_hold_the_last_one_out(tmp_path: Path, world: World) -> None:
    source = TaobaoJoined(shards(tmp_path, world, group=60))
    assert source.info.samples == {"train": 180, "validation": 50, "test": 0}


def test_one_user_with_histories_of_several_moments(tmp_path: Path) -> None:
    world = World.random(users=2, samples=4)
    rows = world.joined_rows()
    user = rows[0]["129_1"]
    for length, row in enumerate(rows):
        row |= {"129_1": user, "150_2_180": [7, 8, 9][:length], "151_2_180": [1, 2, 3][:length]}
    write(tmp_path / "test/test-shard-000000.parquet", [*rows, rows[2]])
    blocks = list(TaobaoJoined(tmp_path).blocks("test"))
    assert [sample[3] for sample in all_samples(blocks)] == [(), (7,), (7, 8), (7, 8, 9), (7, 8)]
    assert_distinct_users(blocks)
    assert len(blocks[0].histories.behaviours) == 6  # each of the four histories once


def test_zeros_and_null_histories_are_missing(tmp_path: Path) -> None:
    rows = World.random(users=1, samples=3).joined_rows()
    rows[0] |= {"150_2_180": [0], "151_2_180": [0]}
    rows[1] |= {"150_2_180": [5, 0, 6], "151_2_180": [1, 0, 2]}
    rows[2] |= {"150_2_180": None, "151_2_180": None, "206": None}
    write(tmp_path / "test/test-shard-000000.parquet", rows)
    block = next(TaobaoJoined(tmp_path).blocks("test"))
    found = all_samples([block])
    assert [sample[3] for sample in found] == [(), (5, 6), ()]
    assert found[1][4] == (1, 2)
    assert block.category[2] == 0


def test_demo_rows_in_the_joined_layout(tmp_path: Path) -> None:
    users = pq.read_table(DEMO / "test_user_features.parquet").to_pylist()
    items = pq.read_table(DEMO / "item_features.parquet").to_pylist()
    labels = pq.read_table(DEMO / "test_samples.parquet")["label_0"].to_pylist()
    rows = [{"label_0": label, **user, **item} for label, user, item in zip(labels, users, items, strict=True)]
    write(tmp_path / "test/test-shard-000000.parquet", rows, group=4)
    found = all_samples(list(TaobaoJoined(tmp_path).blocks("test")))
    assert [len(sample[3]) for sample in found] == [1000] * 5 + [351] + [1000] * 4
    assert [list(sample[3]) for sample in found] == [user["150_2_180"] for user in users]
    assert [sample[2] for sample in found] == [label == [0, 1] for label in labels]
    assert np.array_equal(
        [sample[5] for sample in found], [[item[n] for n in ("205", "206", "213", "214")] for item in items]
    )
