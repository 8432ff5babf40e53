import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer.data import taobao_raw
from muse_stream.esu_scorer.data.source import Part
from muse_stream.esu_scorer.data.taobao_raw import TaobaoRaw
from muse_stream.esu_scorer.errors import DataError
from tests.esu_scorer.data.making_files import DEMO, World, all_samples, assert_distinct_users, write_raw


@pytest.fixture
def world() -> World:
    return World.random(users=40, samples=300)


@pytest.mark.parametrize("group", [7, 10_000])
def test_the_join_is_the_same_as_by_hand(tmp_path: Path, world: World, group: int) -> None:
    source = TaobaoRaw(write_raw(tmp_path, world, "test", group=group), block=32)
    blocks = list(source.blocks("test"))
    assert sorted(all_samples(blocks)) == world.expected()
    assert source.info.samples == {"test": 300}
    assert_distinct_users(blocks)


def test_a_users_samples_keep_their_order(tmp_path: Path, world: World) -> None:
    found = all_samples(list(TaobaoRaw(write_raw(tmp_path, world, "test")).blocks("test")))
    for user in world.users:
        assert [(sample[1], sample[2]) for sample in found if sample[0] == user] == [
            (item, click) for owner, item, click in world.samples if owner == user
        ]


def test_a_seed_shuffles_and_repeats_exactly(tmp_path: Path, world: World) -> None:
    source = TaobaoRaw(write_raw(tmp_path, world, "test", group=7), block=20, window=60)
    once, again, other = (all_samples(list(source.blocks("test", seed=seed))) for seed in (4, 4, 5))
    assert once == again != other
    assert sorted(once) == sorted(other) == world.expected()


def test_validation_is_runs_of_users(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taobao_raw, "RUN_ROWS", 5)
    source = TaobaoRaw(write_raw(tmp_path, world, group=7), validation_every=4)
    train, validation = (all_samples(list(source.blocks(part))) for part in ("train", "validation"))
    assert sorted(train + validation) == world.expected()
    assert source.info.samples == {"train": len(train), "validation": len(validation)}
    users = list(world.users)
    assert {sample[0] for sample in validation} == set(users[15:20] + users[35:40])


def test_samples_without_a_user_or_item_row_have_zeros(tmp_path: Path, world: World) -> None:
    lost_user, lost_item = world.samples[0][0], world.samples[1][1]
    del world.users[lost_user], world.items[lost_item]
    found = all_samples(list(TaobaoRaw(write_raw(tmp_path, world, "test")).blocks("test")))
    assert len(found) == 300
    assert {sample[3:5] for sample in found if sample[0] == lost_user} == {((), ())}
    assert {sample[6] for sample in found if sample[0] == lost_user} == {(lost_user, 0, 0, 0, 0, 0)}
    assert {sample[5] for sample in found if sample[1] == lost_item} == {(lost_item, 0, 0, 0)}


def test_demo_files_as_released(tmp_path: Path) -> None:
    source = TaobaoRaw(DEMO, work=tmp_path)
    parts: tuple[Part, ...] = ("train", "test")
    for part in parts:
        found = all_samples(list(source.blocks(part)))
        table = pq.read_table(DEMO / f"{part}_samples.parquet")
        expected = zip(table["129_1"].to_pylist(), table["205"].to_pylist(), table["label_0"].to_pylist(), strict=True)
        assert sorted(sample[:3] for sample in found) == sorted((u, i, label == [0, 1]) for u, i, label in expected)
    [(ids, vectors)] = source.vectors()
    table = pq.read_table(DEMO / "scl_embedding_int8_p90.parquet")
    assert ids.tolist() == table["205"].to_pylist()
    assert vectors.dtype == np.int8
    assert vectors.tolist() == table["205_c"].to_pylist()


def test_demo_users_with_samples_of_their_own(tmp_path: Path) -> None:
    users = pq.read_table(DEMO / "train_user_features.parquet")
    items = pq.read_table(DEMO / "item_features.parquet")
    pairs = pa.table(
        {"label_0": pa.array([[0, 1]] * 10, pa.list_(pa.int8())), "129_1": users["129_1"], "205": items["205"]}
    )
    for name, table in (("test_samples", pairs), ("test_user_features", users), ("item_features", items)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    found = all_samples(list(TaobaoRaw(tmp_path).blocks("test")))
    assert [list(sample[3]) for sample in found] == users["150_2_180"].to_pylist()
    assert [list(sample[4]) for sample in found] == users["151_2_180"].to_pylist()
    assert [sample[5] for sample in found] == [tuple(row.values()) for row in items.to_pylist()]


def test_the_index_is_built_once_and_again_when_a_file_changes(tmp_path: Path, world: World) -> None:
    told: list[str] = []
    folder = write_raw(tmp_path, world, "test")

    def read() -> int:
        told.clear()
        source = TaobaoRaw(folder, work=tmp_path / "work", told=lambda step, _done, _total: told.append(step))
        return len(all_samples(list(source.blocks("test"))))

    assert read() == 300
    assert told == ["items", "users", "test samples"]
    assert read() == 300
    assert told == []
    del world.samples[100:]
    write_raw(tmp_path, world, "test")
    os.utime(tmp_path / "raw/item_features.parquet", ns=(1, 1))
    assert read() == 100
    assert told == ["items", "users", "test samples"]


def test_two_rows_of_one_user_are_refused(tmp_path: Path, world: World) -> None:
    user = next(iter(world.users))
    world.users[1] = dict(world.users[user])
    source = TaobaoRaw(write_raw(tmp_path, world, "test"))
    with pytest.raises(DataError, match=rf"test_user_features.parquet: column '129_1': id {user} has two rows"):
        list(source.blocks("test"))
