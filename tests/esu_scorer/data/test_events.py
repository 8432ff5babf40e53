from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.esu_scorer.data.event_source import EventSource
from muse_stream.esu_scorer.data.events import Events
from muse_stream.esu_scorer.data.feature_table import FeatureTable, text_id
from muse_stream.esu_scorer.errors import DataError
from tests.esu_scorer.data.making_files import all_samples

LOG: dict[str, list[int]] = {  # two users, a tie in time at 30, a positive that is a behaviour later
    "user": [1, 2, 1, 1, 1, 1, 2, 1],
    "item": [11, 12, 13, 14, 15, 16, 17, 18],
    "category": [1, 2, 3, 4, 5, 6, 7, 8],
    "action": [1, 1, 2, 1, 1, 1, 1, 1],
    "time_ms": [10, 15, 20, 30, 30, 40, 50, 60],
    "label": [-1, -1, 1, -1, 1, 0, 1, 1],
}


def log(**changed: object) -> dict[str, Any]:
    return LOG | changed


def windows(source: EventSource) -> dict[tuple[int, int], tuple[int, ...]]:
    parts = [list(source.blocks(part)) for part in ("train", "validation", "test")]
    return {(sample[0], sample[1]): sample[3] for blocks in parts for sample in all_samples(blocks)}


def test_a_window_holds_what_came_strictly_before() -> None:
    found = windows(EventSource("log", Events.of(log())))
    assert found == {
        (1, 13): (11,),
        (1, 15): (11, 13),  # 14 happened at the same moment
        (1, 16): (11, 13, 14, 15),
        (2, 17): (12,),
        (1, 18): (11, 13, 14, 15),  # 16 was shown and not taken
    }


def test_a_tie_is_left_out_whatever_the_order_of_rows() -> None:
    late = log(item=[11, 12, 13, 15, 14, 16, 17, 18], label=[-1, -1, 1, 1, -1, 0, 1, 1])
    assert windows(EventSource("log", Events.of(late)))[(1, 15)] == (11, 13)


def test_columns_of_a_block() -> None:
    items = FeatureTable.of([13, 13, 15], {"price": [7, 9, 8]})
    users = FeatureTable.of([2], {"country": [44]})
    source = EventSource("log", Events.of(log()), items=items, users=users)
    assert source.info.spec == FeatureSpec.of({"item": 16, "category": 16, "price": 16}, {"user": 16, "country": 16})
    [block] = source.blocks("train")
    assert block.candidate_features.tolist() == [[13, 3, 7], [15, 5, 8], [16, 6, 0], [17, 7, 0]]
    assert block.user_features.tolist() == [[1, 0], [1, 0], [1, 0], [2, 44]]
    assert block.time_ms.tolist() == [20, 30, 40, 50]
    assert block.label.tolist() == [True, True, False, True]
    assert block.histories.behaviours.action.tolist()[:2] == [1, 2]
    assert block.histories.behaviours.time_ms.tolist() == [10, 20, 30, 30, 60, 15, 50]
    assert source.span_ms == (20, 60)


def test_a_spec_picks_features_and_their_order() -> None:
    users = FeatureTable.of([1, 2], {"country": [3, 4], "age": [5, 6]})
    spec = FeatureSpec.of({"item": 8, "category": 8}, {"age": 8, "user": 4, "country": 8})
    [block] = EventSource("log", Events.of(log()), spec=spec, users=users).blocks("train")
    assert block.user_features.tolist()[-1] == [6, 2, 4]
    with pytest.raises(
        DataError, match="user feature 'shoe', for which there is no column; there are age, country, user"
    ):
        EventSource("log", Events.of(log()), spec=FeatureSpec.of({"item": 8, "category": 8}, {"shoe": 8}), users=users)


def test_parts_are_cut_by_time_and_ties_stay_together() -> None:
    times = [*range(1, 8), 8, 8, 8, *range(9, 19)]  # 20 samples, the 80 % mark lies within none of the ties
    count = len(times)
    events = Events.of({"user": [1] * count, "item": range(1, count + 1), "time_ms": times, "label": [0] * count})
    source = EventSource("log", events)
    assert source.info.samples == {"train": 16, "validation": 2, "test": 2}
    tied = Events.of(
        {"user": [1] * count, "item": range(1, count + 1), "time_ms": [1] * 12 + [2] * 8, "label": [0] * count}
    )
    assert EventSource("log", tied).info.samples == {"train": 12, "validation": 0, "test": 8}


def test_shuffling_keeps_samples_and_repeats() -> None:
    rng = np.random.default_rng(3)
    count = 500
    events = Events.of(
        {
            "user": rng.integers(1, 20, count),
            "item": rng.integers(1, 99, count),
            "time_ms": np.arange(1, count + 1),
            "label": rng.integers(-1, 2, count),
        }
    )
    source = EventSource("log", events, block=16, window=64)
    plain, once, again = (list(source.blocks("train", seed=seed)) for seed in (None, 2, 2))
    assert all_samples(once) == all_samples(again) != all_samples(plain)
    assert sorted(all_samples(once)) == sorted(all_samples(plain))
    assert {id(block.histories.behaviours) for block in [*plain, *once]} == {id(plain[0].histories.behaviours)}
    assert {len(block) for block in once[:-1]} == {16}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(-1, 1)), min_size=1, max_size=40))
def test_windows_are_those_of_a_plain_loop(rows: list[tuple[int, int, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[1])
    if all(label == -1 for _, _, label in rows):
        return
    users, times, labels = (list(column) for column in zip(*rows, strict=True))
    items = list(range(1, len(rows) + 1))
    source = EventSource("log", Events.of({"user": users, "item": items, "time_ms": times, "label": labels}))
    expected = {
        (users[i], items[i]): tuple(
            items[j] for j in range(len(rows)) if users[j] == users[i] and times[j] < times[i] and labels[j] != 0
        )
        for i in range(len(rows))
        if labels[i] >= 0
    }
    assert windows(source) == expected


def test_vectors_are_those_given() -> None:
    pieces = [(np.array([1]), np.array([[1, 2]], np.int8))]

    def vectors() -> Iterator[tuple[Any, Any]]:
        yield from pieces

    assert list(EventSource("log", Events.of(log()), vectors=vectors).vectors()) == pieces
    assert list(EventSource("log", Events.of(log())).vectors()) == []


def test_a_parquet_file_with_null_labels(tmp_path: Path) -> None:
    table = pa.table(LOG)
    label = pa.array([None if value < 0 else bool(value) for value in LOG["label"]])
    pq.write_table(
        table.set_column(5, "label", label).append_column("other", pa.array(["x"] * 8)), tmp_path / "log.parquet"
    )
    events = Events.from_parquet(tmp_path / "log.parquet")
    assert events.label.tolist() == LOG["label"]
    assert events.action.dtype == np.uint8
    assert windows(EventSource("log", events)) == windows(EventSource("log", Events.of(log())))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {name: LOG[name] for name in ("user", "item", "time_ms")},
            "events: column 'label' is missing; there are user, ",
        ),
        (log(user=[1, 2, 1, 0, 1, 1, 2, 1]), "events: column 'user', row 3: is 0 (missing), expected an id"),
        (log(item=[1, 2, 3, 4, 5, 6, 0, 8]), "column 'item', row 6: is 0"),
        (log(label=[0, 0, 2, 0, 0, 0, 0, 0]), "column 'label', row 2: is 2, expected -1 to 1"),
        (log(label=[0.5] * 8), "column 'label' is float64 (8,), expected integers [n]"),
        (log(item=["a"] * 8), "column 'item' is <U1 (8,), expected integers"),
        (log(action=[1, 300, *[1] * 6]), "column 'action', row 1: is 300, expected 0 to 255"),
        (log(category=[1, 2]), "column 'category' has 2 rows, 'user' has 8"),
        (log(time_ms=[0, 15, 20, 30, 30, 40, 50, 60]), "column 'time_ms', row 0: is 0, expected 1 to"),
        (
            log(time_ms=[10, 15, 20, 30, 25, 40, 14, 60]),
            "column 'time_ms', row 4: is 25, before 30 of row 3 of the same user 1; expected a log in order of time",
        ),
    ],
)
def test_bad_columns_are_refused(columns: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError) as caught:
        Events.of(columns)
    assert says in str(caught.value)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    with pytest.raises(DataError, match=r"log\.parquet: cannot be read as parquet \(missing or cut short\?\)"):
        Events.from_parquet(path)
    pq.write_table(pa.table(LOG | {"user": [1, None, 3, 4, 5, 6, 7, 8]}), path)
    with pytest.raises(DataError, match=r"log\.parquet: column 'user', row 1: is null, expected a value"):
        Events.from_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"log\.parquet: cannot be read as parquet"):
        Events.from_parquet(path)


def test_no_labels_no_source() -> None:
    with pytest.raises(DataError, match="log: no event has a label, so there are no samples"):
        EventSource("log", Events.of(log(label=[-1] * 8)))


def test_feature_tables_refuse_texts_and_other_lengths() -> None:
    with pytest.raises(DataError, match="features: column 'a' is <U1, expected integer ids; hash texts first"):
        FeatureTable.of([1, 2], {"a": ["x", "y"]})
    with pytest.raises(DataError, match="features: column 'a' has 1 rows, the ids have 2"):
        FeatureTable.of([1, 2], {"a": [1]})


def test_text_ids() -> None:
    assert text_id("") == 0
    assert text_id("a") == text_id("a") != text_id("b")
