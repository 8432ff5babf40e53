"""Tables, shards and the list of what is left out."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.esu_scorer.data.taobao_joined import TaobaoJoined
from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.columns import METADATA, Columns, Taken
from muse_stream.streams.export.reasons import ADVICE, Reason
from muse_stream.streams.export.run import write
from muse_stream.streams.export.sampler import Shape
from muse_stream.streams.export.shards import Shards
from tests.streams.export.logs import SHAPE, START_MS, Logs, Ran, run, shown, vector

RELEASED = ["label_0", "129_1", "205", "206", "213", "214", *(f"130_{number}" for number in range(1, 6))]


def ran(count: int = 25) -> Ran:
    logs = Logs()
    logs.item(1, START_MS, category=10, features={"brand": 5}, vector=vector(1))
    logs.profile(7, {"band": 3}, START_MS)
    for second in range(count):
        logs.behave(7, 1 + second % 2, START_MS + second)
    rows = [(7 if second % 5 else 8, 1, START_MS + second) for second in range(count)]
    return run(logs, shown([*rows, (7, 1, 10**15)]), length=4)


def test_the_released_layout(tmp_path: Path) -> None:
    out, shards = ran(), Shards(tmp_path, "train", group_rows=10, shard_rows=20)
    summary = write(out.impressions, out.found, Columns(SHAPE, "released"), shards)
    assert [Path(name).name for name in summary.files] == ["train-shard-000000.parquet", "train-shard-000001.parquet"]
    first = pq.ParquetFile(summary.files[0])
    assert [first.metadata.row_group(group).num_rows for group in range(first.num_row_groups)] == [10, 10]
    assert first.metadata.row_group(0).column(0).compression == "ZSTD"
    types = {field.name: str(field.type) for field in first.schema_arrow}
    assert [types[name] for name in RELEASED] == ["list<element: int8>"] + ["int64"] * 10
    assert types["150_2_180"] == types["151_2_180"] == "list<element: int64>"
    samples = {sample["row"]: sample for sample in pq.read_table(tmp_path / "train").to_pylist()}
    assert samples[1]["label_0"] == [0, 1]
    assert samples[2]["label_0"] == [1, 0]
    last = samples[25]
    assert (last["129_1"], last["205"], last["206"], last["213"], last["214"]) == (7, 1, 10, 5, 0)
    assert (last["130_1"], last["130_2"], last["130_3"]) == (0, 3, 0), "country, band, nobody"
    assert last["150_2_180"] == [1, 2, 1, 2]
    assert last["151_2_180"] == [10, 0, 10, 0]
    assert (last["history_start"], last["window_start"], last["window_stop"]) == (20, 0, 24)
    assert samples[6]["150_2_180"] == []
    known = json.loads((first.schema_arrow.metadata or {})[METADATA])
    assert known["item_features"] == {"213": "brand", "214": ""}
    assert known["user_features"]["130_2"] == "band"


def test_the_loader_of_the_release_reads_it(tmp_path: Path) -> None:
    out = ran()
    write(out.impressions, out.found, Columns(SHAPE, "released"), Shards(tmp_path, "test", group_rows=10))
    blocks = list(TaobaoJoined(tmp_path).blocks("test"))
    assert sum(map(len, blocks)) == 25
    times = np.concatenate([block.stop - block.start for block in blocks])
    assert sorted(times.tolist()) == [0] * 5 + [1, 2, 3] + [4] * 17
    last = blocks[-1].take([len(blocks[-1]) - 1])
    assert last.candidate_features.tolist() == [[1, 10, 5, 0]]
    assert last.user_features.tolist() == [[7, 0, 3, 0, 0, 0]]
    low = int(last.histories.lows[last.owner[0]])
    window = slice(low + int(last.start[0]), low + int(last.stop[0]))
    assert last.histories.behaviours.item[window].tolist() == [1, 2, 1, 2]


def test_summary_and_list_add_up(tmp_path: Path) -> None:
    out, shards, told = ran(), Shards(tmp_path, "test"), []
    summary = write(
        out.impressions, out.found, Columns(SHAPE, "own"), shards, lambda done, total: told.append((done, total))
    )
    assert (summary.impressions, summary.samples, summary.positives) == (26, 25, 13)
    assert summary.left_out == {"future": 1}
    assert summary.without_history == 5, "every fifth impression is of user 8, of whom nobody has heard"
    assert told[-1] == (26, 26)
    with (tmp_path / "test-left-out.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"row": "26", "user": "7", "item": "1", "time_ms": str(10**15), "reason": "future"}
        ]


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path) -> None:
    out = ran()

    def failing() -> Any:
        yield from out.found[:3]
        message = "the log is gone"
        raise ExportError(message)

    with pytest.raises(ExportError, match="the log is gone"):
        write(out.impressions, failing(), Columns(SHAPE, "own"), Shards(tmp_path, "train", group_rows=1))
    assert list(tmp_path.iterdir()) == []
    write(out.impressions, out.found, Columns(SHAPE, "own"), Shards(tmp_path, "train"))
    with pytest.raises(ExportError, match="is there already; name another --out or --part"):
        Shards(tmp_path, "train")


def test_features_named_as_in_the_release_have_their_own_columns() -> None:
    spec = FeatureSpec.of(
        {"item": 4, "category": 4, "214": 4, "brand": 4}, {"129_1": 4, "130_3": 4, "country": 4, "band": 4}
    )
    known = json.loads(Columns(Shape(spec, 3, 2, "v1"), "released").metadata()[METADATA])
    assert known["item_features"] == {"213": "brand", "214": "214"}
    assert known["user_features"] == {"130_1": "country", "130_2": "band", "130_3": "130_3", "130_4": "", "130_5": ""}


def test_more_features_than_places_need_our_own_names() -> None:
    spec = FeatureSpec.of(dict.fromkeys(["item", "category", "a", "b", "c"], 4), {"country": 4})
    with pytest.raises(ExportError, match=r"2 columns for further item features .* --layout own"):
        Columns(Shape(spec, 3, 2, "v1"), "released")
    Columns(Shape(spec, 3, 2, "v1"), "own")


def test_a_feature_129_1_that_is_not_the_user_is_counted(tmp_path: Path) -> None:
    out = ran(3)
    spec = FeatureSpec.of(
        dict.fromkeys(["item", "category", "brand"], 4), {"129_1": 4, "band": 4}
    )  # the profile's first column, 0 here, stands for 129_1
    columns = Columns(Shape(spec, 3, 2, "v1"), "released")
    assert write(out.impressions, out.found, columns, Shards(tmp_path, "train")).user_id_feature_differs == 3


def test_every_reason_that_somebody_can_act_on_has_advice() -> None:
    assert set(Reason) - set(ADVICE) == {Reason.RESERVED}


def test_an_export_of_nothing(tmp_path: Path) -> None:
    empty = shown([])
    summary = write(empty, run(Logs(), empty).found, Columns(SHAPE, "own"), Shards(tmp_path, "train"))
    assert (summary.samples, summary.files) == (0, [])
    assert isinstance(run(Logs(), shown([(1, 1, START_MS)])).found[0], Taken)
    assert np.array_equal(empty.row, [])
