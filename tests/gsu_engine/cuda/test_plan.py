"""The work list: every product is asked for once, and samples are what the kernels have room for."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda import grid, plan, sources
from muse_stream.gsu_engine.cuda.layout import PAIR
from muse_stream.gsu_engine.cuda.plan import Lists, Plan
from muse_stream.gsu_engine.kernels import planning
from muse_stream.gsu_engine.kernels.planning import Windows
from muse_stream.gsu_engine.kernels.residents import PAGE
from tests.gsu_engine.cuda import numpy_plan

RING = 198
LENGTHS = st.one_of(st.integers(1, 5_000), st.integers(1, 10**6), st.sampled_from((127, 128, 129, 256, 257, 4_096)))
CANDIDATES = st.one_of(st.integers(0, 130), st.integers(0, 5_000), st.sampled_from((64, 65, 128, 256, 257, 512, 513)))
PAIRS = st.lists(st.tuples(st.integers(0, 10**12), LENGTHS, CANDIDATES), min_size=1, max_size=12)
RESULTS = st.one_of(st.integers(1, 1_000), st.sampled_from((1, 50, 200)))


def planned(pairs: list[tuple[int, int, int]], k: int, multiprocessors: int = 132) -> Plan:
    starts, lengths, candidates = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    bounds = np.concatenate(([0], np.cumsum(candidates)))
    records = np.arange(1, len(pairs) + 1)
    nowhere = np.full(len(pairs), -1)
    windows = Windows(starts, starts + lengths, bounds, records, nowhere)
    return plan.plan(windows, RING, Lists.of(k), multiprocessors)


@given(PAIRS, RESULTS, st.sampled_from((1, 2, 132)), st.integers(0, 4_096))
@settings(max_examples=300, deadline=None)
def test_what_is_compiled_is_the_definition(
    pairs: list[tuple[int, int, int]], k: int, multiprocessors: int, whole: int
) -> None:
    starts, lengths, candidates = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    bounds = np.concatenate(([0], np.cumsum(candidates)))
    records, allowed_at = np.arange(len(pairs)) * 7, np.arange(len(pairs)) - 1
    lists = Lists.of(k, whole)
    made = plan.plan(Windows(starts, starts + lengths, bounds, records, allowed_at), RING, lists, multiprocessors)
    expected = numpy_plan.plan(starts, starts + lengths, bounds, records, RING, allowed_at, lists, multiprocessors)
    for name in PAIR.names or ():
        np.testing.assert_array_equal(made.pairs[name], expected.pairs[name], name)
    totals = ("sample_items", "filter_items", "candidate_tiles")
    assert [getattr(made, name) for name in totals] == [getattr(expected, name) for name in totals]


@given(PAIRS, RESULTS, st.sampled_from((1, 2, 132)))
@settings(max_examples=200, deadline=None)
def test_items_cover_every_tile_once(pairs: list[tuple[int, int, int]], k: int, multiprocessors: int) -> None:
    made = planned(pairs, k, multiprocessors)
    firsts = made.pairs["first_item"]
    seen = [np.zeros((pair["candidate_tiles"], pair["tiles"]), np.int64) for pair in made.pairs]
    for item in range(made.filter_items) if made.filter_items < 20_000 else ():
        number = int(np.flatnonzero(firsts <= item)[-1])  # as pair_with of kernels/tiles.cuh
        pair, own = made.pairs[number], item - int(firsts[number])
        first = own // pair["candidate_tiles"] * pair["tiles_per_item"]
        assert first < pair["tiles"]
        seen[number][own % pair["candidate_tiles"], first : first + pair["tiles_per_item"]] += 1
    if made.filter_items < 20_000:
        assert all((count == 1).all() for count in seen)
    assert (made.pairs["candidate_tiles"] * made.pairs["groups"] * 64 >= made.pairs["candidates"]).all()
    assert (made.pairs["tiles"] * 128 >= made.pairs["length"]).all()
    assert set(made.pairs["groups"].tolist()) <= {1, 2, 4, 8}


@given(PAIRS, RESULTS)
@settings(max_examples=300, deadline=None)
def test_samples_fit_the_kernels(pairs: list[tuple[int, int, int]], k: int) -> None:
    made = planned(pairs, k)
    sampling = made.pairs[made.pairs["sampled"] > 0]
    whole = made.pairs[made.pairs["sampled"] == 0]
    assert (whole["length"] <= Lists.of(k).room).all()
    assert (sampling["sampled"] <= np.minimum(sampling["length"], planning.SAMPLE_MOST)).all()
    last = (sampling["sampled"].astype(np.int64) - 1) * sampling["sample_step"] >> planning.STEP_BITS
    assert (last < sampling["length"]).all()
    lanes = 8 // sampling["groups"] * 4
    maxima = sampling["sample_parts"] * sampling["spans"] * lanes
    assert (maxima <= plan.MAXIMA).all()
    real = sampling["sampled"] // 2 // np.maximum(sampling["span"], 1)  # a lane has two rows of each multiplication
    assert (sampling["rank"] <= real).all()
    assert ((sampling["rank"] >= 1) & (sampling["rank"] <= k)).all()


def maxima_of(scores: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Maxima over what a lane sees: two of eight rows, `span` times."""
    groups = -(-len(scores) // 8)
    padded = np.full(groups * 8, -np.inf)
    padded[: len(scores)] = scores
    pairs = padded.reshape(groups, 4, 2).max(axis=2)
    return np.concatenate([pairs[low : low + span].max(axis=0) for low in range(0, groups, span)])


SHAPES = ((300, 50), (5_000, 50), (20_000, 50), (100_000, 50), (100_000, 1), (9_000, 200))


@pytest.mark.parametrize(("length", "k"), SHAPES)
def test_the_guess_holds_and_leaves_few_hits(length: int, k: int) -> None:
    """Rows in no order: enough of them reach the threshold, and the lists have room for all that do."""
    rng = np.random.default_rng(length + k)
    pair = planned([(0, length, 1)], k).pairs[0]
    places = np.arange(int(pair["sampled"])) * int(pair["sample_step"]) >> planning.STEP_BITS
    hits = []
    for _ in range(200):
        scores = rng.standard_normal(length)
        best = np.sort(maxima_of(scores[places], int(pair["span"])))[::-1]
        hits.append(int((scores >= best[int(pair["rank"]) - 1]).sum()))
    assert min(hits) >= k
    assert max(hits) <= Lists.of(k).room


def test_the_rank_is_a_bound_whatever_the_rows() -> None:
    """At least `rank` rows of the sample reach the rank-th largest maximum."""
    rng = np.random.default_rng(3)
    for span in (1, 3, 16):
        scores = np.round(rng.standard_normal(4_000), 1)  # many are equal
        best = np.sort(maxima_of(scores, span))[::-1]
        for rank in (1, 12, 50):
            assert (scores >= best[rank - 1]).sum() >= rank


@pytest.mark.parametrize("k", [1, 2, 3, 50, 51, 52, 200, 204, 205, 1_000])
def test_lists_hold_what_a_cut_may_leave(k: int) -> None:
    lists = Lists.of(k)
    assert 5 * k / 4 <= lists.most_kept < 2 * max(5 * k / 4, 2)
    assert lists.most_kept & (lists.most_kept - 1) == 0
    assert lists.room >= lists.most_kept + grid.FINISH_THREADS
    assert 8 * (lists.room + lists.most_kept) + grid.FINISH_MEMORY_BYTES < 99 << 10


def test_numbers_are_those_of_the_kernels() -> None:
    text = sources.text_of("search")
    defined = {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)\b", text)}
    assert defined["ROWS_PER_TILE"] == planning.TILE
    assert defined["PAGE_SLOTS"] == PAGE
    assert defined["CANDIDATES_PER_WARP"] == planning.GROUP
    assert defined["WARPS"] == planning.GROUPS_MOST
    assert defined["SAMPLE_TILES_PER_ITEM"] == planning.SAMPLE_TILES
    assert defined["SAMPLE_STEP_BITS"] == planning.STEP_BITS
    assert defined["MAXIMA"] == plan.MAXIMA
    assert (defined["THREADS"], defined["FINISH_THREADS"]) == (grid.THREADS, grid.FINISH_THREADS)
    assert f"__launch_bounds__(THREADS, {planning.BLOCKS_PER_MULTIPROCESSOR})" in text
