"""What the ring kernels write down for the device, whatever is asked of a pool that is too small."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import residents
from muse_stream.gsu_engine.arrays import I64, U32, reserve
from muse_stream.gsu_engine.cuda.layout import LINK, RUN
from muse_stream.gsu_engine.kernels import rings
from muse_stream.gsu_engine.kernels.residents import FREE, NEXT_PAGE, PAGE, USED_PAGES
from muse_stream.gsu_engine.kernels.rings import LINKS, RECORD, RUNS, SLOTS, STATE, Rings, Work

LENGTHS = st.sampled_from((0, 1, 2, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 3, 9 * PAGE))


def make(pages: int, users: int, cap: int) -> Rings:
    return Rings(
        **residents.columns(users, RECORD, STATE),
        page_table=np.zeros((users + 1, -(-cap // PAGE) + 2), np.uint32),
        free=np.zeros(pages, np.uint32),
    )


def empty_work(users: int, slots: int) -> Work:
    size = slots // PAGE + 2 * users  # what `histories` allows for
    return Work(np.zeros(size, RUN), np.zeros(size, LINK), np.zeros(slots, np.uint32), np.zeros(3, np.int64))


def pages_of(pool: Rings) -> dict[int, list[int]]:
    """Each user's pages, oldest first."""
    numbers = pool.numbers[pool.tags != 0].tolist()
    spans = {number: pool.records[number] for number in numbers}
    ring = pool.page_table.shape[1]
    return {
        int(pool.ids[number]): [
            int(pool.page_table[number, n % ring]) for n in range(span["start"] // PAGE, -(-span["stop"] // PAGE))
        ]
        for number, span in spans.items()
    }


def check_pages(pool: Rings) -> dict[int, int]:
    """Every page is one user's, or free, or was never used; returns whose each one is."""
    owned = pages_of(pool)
    taken = [page for pages in owned.values() for page in pages]
    free = pool.free[: pool.state[FREE]].tolist()
    assert sorted(taken + free) == list(range(1, pool.state[NEXT_PAGE]))
    assert pool.state[USED_PAGES] == len(taken) <= len(pool.free)
    return {page: user for user, pages in owned.items() for page in pages}


def check_work(pool: Rings, work: Work, rows: dict[int, int]) -> None:
    """No page is written twice, and none for a user who is not here, or had no rows."""
    owners = check_pages(pool)
    runs, links = work.runs[: work.counts[RUNS]], work.links[: work.counts[LINKS]]
    pages = (runs["to"] // PAGE).tolist()
    assert len(set(pages)) == len(pages)
    assert {owners[page] for page in pages} <= set(rows)
    assert ((runs["to"] % PAGE + runs["count"] <= PAGE) & (runs["count"] > 0)).all()
    assert all(low["from"] + low["count"] == high["from"] for low, high in pairwise(runs))
    assert runs["count"].sum() == work.counts[SLOTS] <= sum(rows.values())
    assert len(np.unique(links["at"])) == len(links)
    assert (pool.page_table.reshape(-1)[links["at"]] == links["page"]).all()
    assert set(links["page"].tolist()) <= set(pages)


def append(pool: Rings, rows: dict[int, int], stops: dict[int, int], cap: int) -> None:
    users: I64 = np.array(list(rows), np.int64)
    bounds = np.concatenate(([0], np.cumsum(list(rows.values())))).astype(np.int64)
    slots: U32 = np.arange(bounds[-1], dtype=np.uint32)
    work = empty_work(len(rows), len(slots))
    starts: I64 = np.array([stops.get(user, 0) for user in rows], np.int64)
    rings.append(pool, users, starts, bounds, slots, cap, work)
    check_work(pool, work, rows)


@given(
    pages=st.integers(1, 24),
    users=st.integers(1, 8),
    cap=st.sampled_from((1, PAGE, 3 * PAGE + 1)),
    batches=st.lists(st.dictionaries(st.integers(1, 8), LENGTHS, min_size=1), min_size=2, max_size=12),
    start=st.integers(0, 3 * PAGE),
)
@settings(max_examples=300, deadline=None)
def test_no_page_is_written_for_two_users(
    pages: int, users: int, cap: int, batches: list[dict[int, int]], start: int
) -> None:
    pool = make(pages, users, cap)
    stops: dict[int, int] = {}
    for turn, rows in enumerate(batches):
        for user in rows if turn % 2 == 0 else ():  # everybody who will come comes in first, every other time
            work = empty_work(1, min(cap, 300))
            rings.enter(pool, np.array([user]), start, np.zeros(min(cap, 300), np.uint32), cap, work)
            check_work(pool, work, {user: min(cap, 300)})
            stops[user] = start + min(cap, 300)
        append(pool, rows, stops, cap)
        for user, count in rows.items():
            stops[user] = stops.get(user, 0) + count


def test_places_beyond_2_to_the_32_are_told_whole() -> None:
    pool = make(100, 4, PAGE)._replace(free=reserve(((1 << 23) + 100,), np.uint32))
    pool.state[NEXT_PAGE] = first = (1 << 23) + 5
    work = empty_work(1, 3)
    assert rings.enter(pool, np.array([1]), 510, np.array([7, 8, 9], np.uint32), PAGE, work)
    assert work.runs[:2].tolist() == [(first * PAGE + 510, 0, 2), ((first + 1) * PAGE, 2, 1)]
    assert work.links[:2]["page"].tolist() == [first, first + 1]


def test_a_user_of_the_batch_may_leave_for_another_before_their_turn() -> None:
    count = 1_000
    pool = make(2 * count, 2 * count, 4 * PAGE)
    for user in range(1, 2 * count + 1):
        pool = residents.with_room(pool)
        assert rings.enter(pool, np.array([user]), 0, np.zeros(PAGE, np.uint32), 4 * PAGE, empty_work(1, PAGE))
    append(pool, dict.fromkeys(range(1, count + 1), 1), dict.fromkeys(range(1, count + 1), PAGE), 4 * PAGE)
    here = residents.resident(pool, np.arange(1, 2 * count + 1))
    assert here.sum() == count + count // 2
