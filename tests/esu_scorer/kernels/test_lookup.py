import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer import Vocabulary
from muse_stream.esu_scorer.fused import enter_lookup
from muse_stream.esu_scorer.kernels import lookup
from muse_stream.esu_scorer.kernels.jit import I64, kernel
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup

IDS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5))


@kernel
def rows(feature: I64, ids: I64, out: I64) -> None:
    for number in range(len(ids)):
        out[number] = lookup.row_of(feature, ids[number])


def looked_up(known: Lookup, ids: I64) -> I64:
    feature = np.zeros(lookup.COLUMNS, np.int64)
    held = enter_lookup(feature, known)
    out = np.full(len(ids), -7)
    rows(feature, ids, out)
    del held
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(IDS, max_size=40), st.lists(IDS, max_size=40))
def test_rows_are_the_vocabularys(known: list[int], asked: list[int]) -> None:
    vocabulary = Vocabulary.of(known)
    ids = np.array([*asked, *known[:20], 0], np.int64)
    assert looked_up(vocabulary, ids).tolist() == vocabulary.rows(ids).tolist()


@pytest.mark.parametrize("buckets", [1, 7, 2**40])
def test_rows_are_the_hashed_vocabularys(buckets: int) -> None:
    ids = np.array([0, 1, -1, 2**62, -(2**63), 5])
    hashed = HashedVocabulary(buckets)
    assert looked_up(hashed, ids).tolist() == hashed.rows(ids).tolist()


def test_every_id_of_a_large_vocabulary_is_found() -> None:
    vocabulary = Vocabulary.of(np.random.default_rng(0).integers(-(2**62), 2**62, 50_000))
    assert looked_up(vocabulary, vocabulary.ids).tolist() == list(range(1, len(vocabulary.ids) + 1))
