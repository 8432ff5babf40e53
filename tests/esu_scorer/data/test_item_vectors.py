from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer.data.item_vectors import from_npy, from_parquet, released
from muse_stream.esu_scorer.errors import DataError

INT8, FLOAT = pa.list_(pa.int8()), pa.list_(pa.float32())


def parquet(path: Path, items: list[int], vectors: list[Any], kind: pa.DataType = INT8, **names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        names.get("item", "item"): pa.array(items, pa.int64()),
        names.get("vector", "vector"): pa.array(vectors, kind),
    }
    pq.write_table(pa.table(columns), path)
    return path


def pair(folder: Path, keys: object, values: object) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "scl_emb_int8_p90_keys.npy", folder / "scl_emb_int8_p90_values.npy"
    np.save(paths[0], np.asarray(keys))
    np.save(paths[1], np.asarray(values))
    return paths


def random_vectors(count: int, width: int = 128) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.random.default_rng(1).integers(-127, 128, (count, width)).astype(np.int8)


def test_both_released_forms_give_the_same(tmp_path: Path) -> None:
    ids, vectors = np.arange(-3, 0), random_vectors(3)
    parquet(
        tmp_path / "a/raw/scl_embedding_int8_p90.parquet", ids.tolist(), vectors.tolist(), item="205", vector="205_c"
    )
    pair(tmp_path / "b/feature_map", ids, vectors)
    for folder in ("a", "b"):
        [(found, values)] = released(tmp_path / folder)
        assert np.array_equal(found, ids)
        assert np.array_equal(values, vectors)
        assert values.dtype == np.int8


def test_vectors_come_in_pieces(tmp_path: Path) -> None:
    keys, values = pair(tmp_path, np.arange(1, 70_001), np.ones((70_000, 4), np.int8))
    assert [len(ids) for ids, _ in from_npy(keys, values)] == [65_536, 4464]


def test_floats_go_through_the_quantiser(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", [4, 5], [[0.5, 1.0], [-1.0, 0.0]], FLOAT)
    [(ids, values)] = from_parquet(path, quantise=lambda floats: (floats * 100).astype(np.int8))
    assert ids.tolist() == [4, 5]
    assert values.tolist() == [[50, 100], [-100, 0]]
    with pytest.raises(DataError, match=r"x\.parquet: column 'vector' holds floats, expected list<int8>"):
        list(from_parquet(path))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_vector_that_is_not_finite_is_named(tmp_path: Path, bad: float) -> None:
    path = parquet(tmp_path / "x.parquet", [4, 5], [[0.5, 1.0], [-1.0, bad]], FLOAT)
    with pytest.raises(
        DataError, match=rf"x\.parquet: column 'vector', row 1: place 1 is {bad}, expected a finite number"
    ):
        list(from_parquet(path, quantise=lambda floats: floats.astype(np.int8)))


def test_a_vector_of_zeros_does_not_come(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", [4, 5, 6], [[1, 0], [0, 0], [0, 2]])
    [(ids, values)] = from_parquet(path)
    assert ids.tolist() == [4, 6]
    assert values.tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize(
    ("items", "vectors", "says"),
    [
        ([4, 5], [[1, 2], [1, 2, 3]], "column 'vector', row 1: has 3 numbers, expected 2"),
        ([4, 5], [[1, 2], None], "column 'vector', row 1: has 0 numbers, expected 2"),
        ([4, 5], [[1, 2], [1, None]], "column 'vector', row 1: place 1 is null"),
        ([4, 0], [[1, 2], [1, 2]], "column 'item', row 1: is 0 or null"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, items: list[int], vectors: list[Any], says: str) -> None:
    path = parquet(tmp_path / "x.parquet", items, vectors)
    with pytest.raises(DataError) as caught:
        list(from_parquet(path))
    assert str(caught.value).startswith(f"{path}: {says}")


def test_another_width_than_the_released_one(tmp_path: Path) -> None:
    parquet(
        tmp_path / "raw/scl_embedding_int8_p90.parquet", [1], random_vectors(1, 64).tolist(), item="205", vector="205_c"
    )
    with pytest.raises(DataError, match="column '205_c', row 0: has 64 numbers, expected 128"):
        list(released(tmp_path))
    pair(tmp_path / "feature_map", [1], random_vectors(1, 64))
    with pytest.raises(DataError, match=r"values\.npy: is int8 \(1, 64\), expected int8 \[N, 128\]"):
        list(released(tmp_path))


def test_bad_npy_files_are_named(tmp_path: Path) -> None:
    for keys, values, says in (
        ([1.0], random_vectors(1), r"keys\.npy: is float64 \(1,\), expected int64 \[N\]"),
        ([1, 2], random_vectors(1), r"values\.npy: has 1 rows, .*keys\.npy has 2"),
        ([1, 0], random_vectors(2), r"keys\.npy: row 1: is 0 \(missing\)"),
        ([1], np.ones((1, 128)), r"values\.npy: is float64"),
    ):
        paths = pair(tmp_path, keys, values)
        with pytest.raises(DataError, match=says):
            list(from_npy(*paths))
    paths = pair(tmp_path, np.arange(1, 100), random_vectors(99))
    paths[1].write_bytes(paths[1].read_bytes()[:-50])
    with pytest.raises(DataError, match=r"values\.npy: cannot be read as npy \(missing or cut short\?\)"):
        list(from_npy(*paths))
    with pytest.raises(
        DataError, match=r"no vectors found, expected raw/scl_embedding_int8_p90.parquet or feature_map/"
    ):
        list(released(tmp_path / "nothing"))
