import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer.data.block import Block, Histories
from muse_stream.gsu_engine import VectorError, quantise
from muse_stream.streams.learning import retrieval, windows
from muse_stream.streams.learning.retrieval import EngineMaker, make_table
from tests.streams.learning.worlds import (
    assert_same,
    behaviours_of,
    expected,
    pieces,
    random_block,
    random_histories,
    random_vectors,
)

ITEMS = 30
MAKE = EngineMaker(backend="cpu", threads=1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    k=st.integers(1, 12),
    recent=st.integers(0, 9),
    rows=st.sampled_from([1, 50, 10**6]),
    sharing=st.sampled_from([(1, 0), (1, 1), (3, 4), (10**6, 4)]),
)
def test_the_definition(seed: int, k: int, recent: int, rows: int, sharing: tuple[int, int]) -> None:
    """Blocks one after the other, some with new histories of the same users: each answer is the definition's."""
    rng = np.random.default_rng(seed)
    vectors = random_vectors(rng, ITEMS)
    engine = MAKE(pieces(vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "ROWS_PER_SEARCH", rows)
        patch.setattr(windows, "SHARED_FROM", sharing[0])
        patch.setattr(windows, "BEYOND", sharing[1])
        for _ in range(3):
            behaviours = behaviours_of(rng.integers(0, ITEMS + 5, int(rng.integers(0, 80))))
            for _ in range(2):
                histories = random_histories(rng, behaviours, int(rng.integers(1, 6)))
                block = random_block(rng, histories, ITEMS, int(rng.integers(0, 20)))
                assert_same(engine.retrieve(block, k, recent), expected(block, vectors, k, recent))


def test_a_user_whose_history_changes_between_blocks() -> None:
    vectors = random_vectors(np.random.default_rng(1), ITEMS)
    engine = MAKE(pieces(vectors))
    for items in ([1, 2, 3], [3, 2, 1], [5, 6, 7, 9]):
        block = _one_sample(np.array(items))
        assert_same(engine.retrieve(block, 3, 2), expected(block, vectors, 3, 2))


def test_a_history_longer_than_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "CAP", 600)
    rng = np.random.default_rng(2)
    vectors = random_vectors(rng, ITEMS)
    engine = MAKE(pieces(vectors))
    block = _one_sample(rng.integers(1, ITEMS, 2_000))
    for _ in range(2):
        assert_same(engine.retrieve(block, 5, 5), expected(block, vectors, 5, 5))


def test_histories_stay_for_the_next_block_of_the_same_rows() -> None:
    engine = MAKE(pieces(random_vectors(np.random.default_rng(3), ITEMS)))
    block = _one_sample(np.array([1, 2, 3]))
    for _ in range(3):
        engine.retrieve(block, 3, 2)
    assert engine.stats().misses == 1
    assert engine.stats().hits == 2


def test_float_vectors_are_quantised_and_padded() -> None:
    rng = np.random.default_rng(4)
    floats = rng.normal(size=(4, 70)).astype(np.float32)
    table = make_table([(np.array([1, 2]), floats[:2]), (np.array([3, 4]), floats[2:])])
    assert table.dimension == 128
    rows, _ = table.lookup(np.array([1, 2, 3, 4]))
    np.testing.assert_array_equal(rows[:, :70], quantise(floats))
    assert not rows[:, 70:].any()


def test_no_vectors_at_all() -> None:
    found = MAKE([]).retrieve(_one_sample(np.array([1, 2])), 2, 2)
    assert (found.places == -1).all()
    assert not found.recent_present.any()


@pytest.mark.parametrize("shape", [(2, 65), (3, 64)], ids=["width", "length"])
def test_pieces_that_do_not_fit(shape: tuple[int, int]) -> None:
    first = (np.array([1]), np.ones((1, 64), np.int8))
    with pytest.raises(VectorError, match=r"a piece of vectors is \[\d, \d+\] for 2 items, expected \[n, 64\]"):
        make_table([first, (np.array([2, 3]), np.ones(shape, np.int8))])


def test_more_vectors_than_the_table_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "TABLE_BYTES", 2 * 68)
    with pytest.raises(VectorError, match="1 vectors found no room, the table takes 2 of 64"):
        make_table([(np.array([1, 2, 3]), np.ones((3, 64), np.int8))])


def _one_sample(items: np.ndarray) -> Block:
    histories = Histories(np.array([8]), np.array([0]), np.array([len(items)]), behaviours_of(items.astype(np.int64)))
    return Block(
        histories,
        np.array([0]),
        np.array([0]),
        np.array([len(items)]),
        np.array([[1, 1]]),
        np.zeros((1, 0), np.int64),
        np.array([0]),
        np.array([True]),
    )
