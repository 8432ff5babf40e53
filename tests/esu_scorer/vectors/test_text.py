"""Hashed n-grams against a plain reading of their definition."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer.vectors.text import Bags, hash_texts

MASK = (1 << 64) - 1
WORDS = st.lists(st.text("abcé日 \t", max_size=12), max_size=6)


def bucket(run: str, size: int, width: int, seed: int) -> int:
    state = (size * 0x9E3779B97F4A7C15 + seed) & MASK
    for letter in run:
        state = (state + ord(letter)) * 0xD1342543DE82EF95 & MASK
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & MASK
    return (state ^ state >> 31) % width


def counts(text: str, width: int, seed: int) -> Counter[int]:
    found: Counter[int] = Counter()
    for word in (f" {word} " for word in text.lower().split()):
        found[bucket(word, 0, width, seed)] += 1
        for size in (3, 4, 5):
            found.update(bucket(word[at : at + size], size, width, seed) for at in range(len(word) - size + 1))
    return found


def rows(bags: Bags) -> list[dict[int, float]]:
    edges = bags.offset.tolist()
    pairs = list(zip(bags.bucket.tolist(), bags.weight.tolist(), strict=True))
    return [dict(pairs[low:high]) for low, high in pairwise(edges)]


@given(texts=WORDS, seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_rows_are_the_tf_idf_weights_of_the_definition(texts: list[str], seed: int) -> None:
    width = 64
    found = [counts(text, width, seed) for text in texts]
    holding = Counter(column for row in found for column in row)
    bags = hash_texts(texts, width=width, seed=seed)
    assert len(bags) == len(texts)
    for row, expected in zip(rows(bags), found, strict=True):
        raw = {
            column: (1 + math.log(often)) * (1 + math.log((1 + len(texts)) / (1 + holding[column])))
            for column, often in expected.items()
        }
        length = math.sqrt(sum(weight * weight for weight in raw.values()))
        assert row.keys() == raw.keys()
        assert all(row[column] == pytest.approx(raw[column] / length, rel=1e-5) for column in raw)


def test_more_texts_than_one_chunk_are_hashed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"mug {number} red" for number in range(10)]
    whole = hash_texts(texts)
    monkeypatch.setattr("muse_stream.esu_scorer.vectors.text._CHUNK", 3)
    parts = hash_texts(texts)
    np.testing.assert_array_equal(whole.bucket, parts.bucket)
    np.testing.assert_array_equal(whole.weight, parts.weight)


def test_rows_can_be_taken_in_any_order_with_repeats() -> None:
    bags = hash_texts(["white heart", "", "red mug", "tea"])
    taken = bags.take(np.array([3, 1, 0, 3]))
    every = rows(bags)
    assert rows(taken) == [every[3], {}, every[0], every[3]]


def test_case_and_spaces_do_not_count_and_another_seed_hashes_otherwise() -> None:
    first, second = hash_texts(["White  HEART"]), hash_texts([" white heart "])
    np.testing.assert_array_equal(first.bucket, second.bucket)
    assert not np.array_equal(first.bucket, hash_texts(["white heart"], seed=1).bucket)
