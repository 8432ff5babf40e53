"""The committed items are what the script makes of the purchases."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("sklearn")
ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "streams" / "demo" / "data" / "online_retail"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_demo_items", ROOT / "scripts" / "build_demo_items.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def committed() -> Any:
    return pq.read_table(DATA / "items.parquet")


@pytest.fixture(scope="module")
def rebuilt(script: ModuleType) -> Any:
    return script.build(pq.read_table(DATA / "purchases.parquet"))


def vectors(table: Any) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.asarray(table["vector"].combine_chunks().flatten()).reshape(table.num_rows, -1)


@pytest.mark.parametrize("column", ["stock_code", "title", "unit_price", "price_band"])
def test_columns_without_linear_algebra_are_rebuilt_exactly(committed: Any, rebuilt: Any, column: str) -> None:
    assert rebuilt[column].to_pylist() == committed[column].to_pylist()


def test_vectors_are_rebuilt_to_the_last_place(committed: Any, rebuilt: Any) -> None:
    """Another LAPACK may round a float64 the other way: one step of int8, in at most one value of ten thousand."""
    difference = np.abs(vectors(rebuilt).astype(np.int16) - vectors(committed))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-4


def test_categories_follow_from_the_committed_vectors(script: ModuleType, committed: Any) -> None:
    assert script.clusters(vectors(committed)).tolist() == committed["category"].to_pylist()


def test_category_names_follow_from_titles(script: ModuleType, committed: Any) -> None:
    category = committed["category"].to_numpy()
    names = script.category_names(committed["title"].to_pylist(), category)
    assert [names[number] for number in category.tolist()] == committed["category_name"].to_pylist()


def test_titles_prefer_the_common_then_the_alphabet(script: ModuleType) -> None:
    assert script.titles(["A", "A", "A", "B", "B"], ["x", "y", "y", "q", "p"]) == {"A": "y", "B": "p"}


def test_equal_prices_share_a_band(script: ModuleType) -> None:
    bands = script.price_bands(np.array([1.0] * 15 + [2.0] * 5))
    assert len(set(bands[:15].tolist())) == 1
    assert bands[0] < bands[-1]


def test_near_titles_have_near_vectors(committed: Any) -> None:
    title = committed["title"].to_pylist()
    rows = vectors(committed).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows[title.index("WHITE HANGING HEART T-LIGHT HOLDER")]
    best = [title[row] for row in np.argsort(-cosines)[:4]]
    assert "RED HANGING HEART T-LIGHT HOLDER" in best
