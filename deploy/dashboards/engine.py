"""State, below: resident histories, packed rows, standing answers, and the search over them."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import WARN, About, Query
from deploy.dashboards.panels import lines, rows
from deploy.dashboards.promql import busiest, fullest, per_second, share, total, worst

CANDIDATES = per_second("muse_engine_search_candidates_total")
BUILD = "version, commit, torch, cuda"


def hits(kind: str) -> str:
    """Share of look-ups in a cache that found what they wanted."""
    found, missing = (per_second(f"muse_engine_{kind}_{end}_total") for end in ("hits", "misses"))
    return share(found, f"({found} + {missing})")


def histories() -> Iterator[Panel]:
    """The caches of the search."""
    yield from _caches()
    yield from _standing()


def _caches() -> Iterator[Panel]:
    """How full they are, and what is found in them."""
    yield lines(
        About(
            "Caches full",
            "percentunit",
            means="Share of its budget that the fullest worker uses for resident histories and for hot users' packed "
            "rows. Full is normal: they are caches.",
            do="Full with a low hit share: raise engine.pool_bytes or engine.packed_bytes, or add workers.",
            width=6,
        ),
        Query(fullest("muse_engine_pool_bytes", "muse_engine_pool_budget_bytes"), "histories"),
        Query(fullest("muse_engine_packed_bytes", "muse_engine_packed_budget_bytes"), "packed rows"),
        top=1,
    )
    yield lines(
        About(
            "Found in the caches",
            "percentunit",
            means="Share of searches whose history was resident, and whose rows lay packed. What is missing costs "
            "time, never changes an answer.",
            do="Histories below 90 %: `state_read` on Serving grows; give the pool more memory, or let clients "
            "prefetch.",
            width=6,
            limits=((0.9, WARN),),
        ),
        Query(hits("pool"), "histories"),
        Query(hits("packed"), "packed rows"),
        top=1,
    )
    yield lines(
        About(
            "Left for room, per second",
            "cps",
            means="Users whose history or packed rows left because others needed the room.",
            do="Many beside a low hit share: as there.",
            width=6,
        ),
        Query(per_second("muse_engine_pool_evictions_total"), "histories"),
        Query(per_second("muse_engine_packed_evictions_total"), "packed rows"),
    )
    yield lines(
        About(
            "Resident",
            "short",
            means="Users with a resident history, their behaviours, and users with packed rows, of all workers.",
            do="Nothing by itself; after a restart it grows as users are asked about.",
            width=6,
        ),
        Query(total("muse_engine_pool_users"), "users"),
        Query(total("muse_engine_pool_behaviours"), "behaviours"),
        Query(total("muse_engine_packed_users"), "users, packed"),
        log=True,
    )


def _standing() -> Iterator[Panel]:
    """Answers that stand, and the memory of everything."""
    yield lines(
        About(
            "Answered by standing answers",
            "percentunit",
            means="Share of candidates whose former answer stood, so that only new behaviours were looked at.",
            do="Nothing; low means that users or candidates seldom repeat.",
        ),
        Query(share(per_second("muse_engine_standing_served_total"), CANDIDATES), "standing"),
        top=1,
    )
    yield lines(
        About(
            "Standing answers",
            "short",
            means="Candidates whose answer stands now; new rows scored for them, and refills, per second.",
            do="Refills near the candidates per second: they do not pay here.",
        ),
        Query(total("muse_engine_standing_candidates"), "standing"),
        Query(per_second("muse_engine_standing_rows_scored_total"), "rows scored per second"),
        Query(per_second("muse_engine_standing_refills_total"), "refills per second"),
        log=True,
    )
    yield lines(
        About(
            "Memory of tables and caches",
            "bytes",
            means="Bytes of the vector tables by space, of the item index and of each cache, of the worker with the "
            "most: the bounds are settings, and the sum must fit its memory.",
            do="A table at its bound refuses vectors: see Model & retrieval quality; raise items.table_budget_bytes.",
        ),
        Query(worst("muse_engine_table_bytes", by="space"), "vectors {{space}}"),
        Query(worst("muse_engine_index_bytes"), "index"),
        Query(worst("muse_engine_pool_bytes"), "histories"),
        Query(worst("muse_engine_packed_bytes"), "packed rows"),
        Query(worst("muse_store_block_cache_bytes"), "blocks of stores"),
        stacked=True,
    )


def search() -> Iterator[Panel]:
    """What the search does, and what it costs."""
    yield from _searching()
    yield from _what_runs()


def _searching() -> Iterator[Panel]:
    """Load and cost of the search."""
    yield lines(
        About(
            "Searches per second",
            "ops",
            means="Calls of the search; one may serve several requests.",
            do="Nothing by itself; it follows the traffic.",
            width=6,
        ),
        Query(per_second("muse_engine_searches_total"), "searches"),
    )
    yield lines(
        About(
            "Candidates per second",
            "cps",
            means="Candidates that were searched for: the load of the search.",
            do="If search is slow: this grew, or the time per candidate beside; add workers for the first, look there "
            "for the second.",
            width=6,
        ),
        Query(CANDIDATES, "candidates"),
    )
    yield lines(
        About(
            "Search time per candidate",
            "s",
            means="Time inside the backend for one candidate over one whole history; it grows with the length of "
            "histories.",
            do="Grown with unchanged histories: cores are shared with a neighbour, or a GPU was lost.",
            width=6,
        ),
        Query(share(per_second("muse_engine_search_seconds_total"), CANDIDATES), "per candidate"),
    )
    yield lines(
        About(
            "Busy with search and loading",
            "percentunit",
            means="Share of its time that the busiest worker searches, and loads histories that were not resident.",
            do="Loading above searching: the pool is too small.",
            width=6,
        ),
        Query(busiest("muse_engine_search_seconds_total", by=""), "search"),
        Query(busiest("muse_engine_load_seconds_total", by=""), "loading"),
    )


def _what_runs() -> Iterator[Panel]:
    """Backends and versions."""
    yield rows(
        About(
            "Backends",
            "none",
            means="Which backend searches, on how many workers. All give the same answers to the bit.",
            do="`cpu` where a GPU is expected: the log of the start says why; `reference` is for tests only.",
            height=5,
            width=12,
        ),
        Query("count by (backend) (" + total("muse_engine_info", by="backend, instance") + ")", "{{backend}}"),
        "backend",
        value="workers",
    )
    yield rows(
        About(
            "Versions",
            "none",
            means="What runs on how many workers: version and commit, Torch, and the CUDA that Torch was built for.",
            do="Two lines outside a roll-out: it stopped half-way.",
            height=5,
            width=12,
        ),
        Query(f"count by ({BUILD}) ({total('muse_build_info', by=f'{BUILD}, instance')})", "{{version}}"),
        *BUILD.split(", "),
        value="workers",
    )
