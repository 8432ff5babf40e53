#!/usr/bin/env python3
"""Build the demo's items.parquet from the bundled purchases: titles, prices, vectors, categories.

One row a product, ascending by stock code. Title = most common description (ties: the first in the alphabet); price =
median unit price, band = its decile; vector = character n-gram TF-IDF of the title, SVD to 128, unit length, quantised
to int8 per row; category = spherical k-means over the int8 rows in integer arithmetic.

Invariant: the result is a function of purchases.parquet alone. The n-gram part is float64 work that is rounded to int8
once; everything after it is integer arithmetic, so that two machines agree on the categories when they agree on the
vectors.

    python scripts/build_demo_items.py            # rewrites streams/demo/data/online_retail/items.parquet
    python scripts/build_demo_items.py --check    # exits 1 if the committed file differs from a rebuild
"""

import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from muse_stream.gsu_engine.quantise import quantise

DATA = Path(__file__).resolve().parent.parent / "streams" / "demo" / "data" / "online_retail"
DIMENSION = 128
CATEGORIES = 64  # 2 501 products: about 40 a category, as fine as a shop's shelf labels
PRICE_BANDS = 10
SEED = 20101201  # the first day of the data
MAX_ROUNDS = 100  # k-means settles within 30 here
FIXED_POINT = 1 << 12  # unit rows as integers; sums of 2 501 rows stay far below 2^63


def titles(codes: list[str], descriptions: list[str]) -> dict[str, str]:
    """Most common description of each stock code; ties go to the first in the alphabet."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for code, description in zip(codes, descriptions, strict=True):
        counts[code][description] += 1
    return {code: min(seen, key=lambda text: (-seen[text], text)) for code, seen in counts.items()}


def median_prices(codes: list[str], prices: NDArray[np.float32]) -> dict[str, float]:
    """Median unit price (GBP) of each stock code, returns and free lines included."""
    paid: defaultdict[str, list[float]] = defaultdict(list)
    for code, price in zip(codes, prices.tolist(), strict=True):
        paid[code].append(price)
    return {code: float(np.median(seen)) for code, seen in paid.items()}


def price_bands(prices: NDArray[np.float64]) -> NDArray[np.int64]:
    """Decile of each price, 1 (cheapest) .. 10; equal prices share a band."""
    edges = np.quantile(prices, np.arange(1, PRICE_BANDS) / PRICE_BANDS)
    return np.searchsorted(edges, prices, side="left").astype(np.int64) + 1


def text_vectors(texts: list[str]) -> NDArray[np.int8]:
    """Character n-gram TF-IDF -> SVD -> unit -> int8 `[n, 128]`: titles that share word parts are near."""
    weights = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit_transform(texts)
    reduced = TruncatedSVD(DIMENSION, algorithm="arpack", random_state=SEED).fit_transform(weights)
    return quantise(normalize(reduced).astype(np.float32))


def clusters(vectors: NDArray[np.int8]) -> NDArray[np.int64]:
    """Cluster of each row, 1..64 by falling size: spherical k-means, seeded, in integers."""
    wide = vectors.astype(np.int64)
    norms = np.sqrt((wide * wide).sum(axis=1).astype(np.float64))
    unit = np.rint(wide * FIXED_POINT / norms[:, None]).astype(np.int64)  # [n, 128]
    centres = unit[_spread(unit, CATEGORIES)]
    label = np.full(len(unit), -1)
    for _ in range(MAX_ROUNDS):
        length = np.sqrt((centres * centres).sum(axis=1).astype(np.float64))
        nearest = (unit @ centres.T / np.maximum(length, 1.0)).argmax(axis=1)
        if np.array_equal(nearest, label):
            break
        label = nearest
        centres = np.zeros_like(centres)
        np.add.at(centres, label, unit)
    sizes = np.bincount(label, minlength=CATEGORIES)
    rank = np.empty(CATEGORIES, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(1, CATEGORIES + 1)
    return rank[label]


def _spread(unit: NDArray[np.int64], count: int) -> list[int]:
    """Row numbers to start from, as k-means++ draws them: far from those drawn before."""
    generator = np.random.default_rng(SEED)
    chosen = [int(generator.integers(len(unit)))]
    far = np.full(len(unit), np.inf)
    for _ in range(count - 1):
        away = unit - unit[chosen[-1]]
        far = np.minimum(far, (away * away).sum(axis=1).astype(np.float64))
        chosen.append(int(np.searchsorted(np.cumsum(far), generator.random() * far.sum(), side="right")))
    return chosen


def category_names(texts: list[str], category: NDArray[np.int64]) -> dict[int, str]:
    """Name of each cluster: the word that most of its titles share and few others have."""
    words = [set(re.findall(r"[A-Z]{3,}", text.upper())) for text in texts]
    everywhere = Counter(word for row in words for word in row)
    names = {}
    for number in sorted(set(category.tolist())):
        here = Counter(word for row, label in zip(words, category, strict=True) if label == number for word in row)
        best = max(sorted(here), key=lambda word: here[word] ** 2 / everywhere[word], default="MISCELLANEOUS")
        names[number] = best.lower()
    return names


def build(purchases: pa.Table) -> pa.Table:
    """The items table of a purchases table."""
    lines = purchases.select(["stock_code", "description", "unit_price"]).to_pydict()
    title_of = titles(lines["stock_code"], lines["description"])
    price_of = median_prices(lines["stock_code"], np.asarray(lines["unit_price"], dtype=np.float32))
    codes = sorted(title_of)
    texts = [title_of[code] for code in codes]
    prices = np.asarray([price_of[code] for code in codes], dtype=np.float64)
    vectors = text_vectors(texts)
    category = clusters(vectors)
    names = category_names(texts, category)
    return pa.table(
        {
            "stock_code": codes,
            "title": texts,
            "category": category,
            "category_name": [names[number] for number in category.tolist()],
            "unit_price": prices.astype(np.float32),
            "price_band": price_bands(prices),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSION),
        }
    )


def main() -> int:
    """Rebuild the file, or with --check compare the committed one with a rebuild."""
    parser = argparse.ArgumentParser(description="Build the demo's items.parquet from purchases.parquet.")
    parser.add_argument("--check", action="store_true", help="compare with the committed file; write nothing")
    check = parser.parse_args().check
    built = build(pq.read_table(DATA / "purchases.parquet"))
    target = DATA / "items.parquet"
    if check:
        same = pq.read_table(target).equals(built)
        print(f"{target.name}: {'as committed' if same else 'differs from a rebuild; run this script without --check'}")
        return 0 if same else 1
    pq.write_table(built, target, compression="zstd", write_statistics=False)
    print(f"{target.name}: {built.num_rows} products, {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
