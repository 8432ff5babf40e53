"""Which ways a search took: what is counted, so that a run shows that it went everywhere."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from muse_stream.gsu_engine import SearchBatch, SearchResult
from muse_stream.gsu_engine.stats import EngineStats
from tests.gsu_engine.cases.draw import LONG, Shape
from tests.gsu_engine.cases.truth import has_ties

ON_ALL = (
    "bitmap",
    "range",
    "exclusion",
    "bitmap and exclusion",
    "ragged",
    "one thread",
    "two threads",
    "small shares",
    "k 50",
    "k 200",
    "other k",
    "width 128",
    "other width",
    "ties",
    "after an append",
    "after an eviction",
    "after a late vector",
    "after a changed vector",
    "gathered",
)
ON_DEVICE = ("on the device",)
ON_PACKED = ("packed", "packed range", "packed exclusion", "packed after a changed vector", "standing", "refills")


def of_search(batch: SearchBatch, k: int, shape: Shape, since: Sequence[str], expected: SearchResult) -> Counter[str]:
    """What holds for every path."""
    lengths = batch.stops - batch.starts
    bitmap = batch.allowed is not None and any(mask is not None for mask in batch.allowed)
    exclusion = batch.excluded is not None and bool(batch.excluded.any())
    # an eviction is an append to a history that is as long as may be
    evicted = bool((lengths >= shape.cap).any()) and any("append" in event for event in since)
    named = {
        "bitmap": bitmap,
        "exclusion": exclusion,
        "bitmap and exclusion": bitmap and exclusion,
        "ragged": len(batch.users) > 1,
        "no rows": not lengths.any(),
        f"{('one', 'two')[shape.threads - 1]} thread{'s' * (shape.threads > 1)}": True,
        "small shares": shape.small_shares and shape.threads > 1,
        f"k {k}" if k in {50, 200} else "other k": True,
        "width 128" if shape.dimension == 128 else "other width": True,
        f"over {LONG} rows": bool((lengths > LONG).any()),
        "ties": has_ties(expected),
        "equal rows": shape.kind == "equal",
        "after an eviction": evicted,
        "after an append": any("append" in event for event in since),
        **{f"after {event}": True for event in since if "append" not in event},
    }
    return Counter({name: 1 for name, true in named.items() if true})


def of_path(batch: SearchBatch, common: Counter[str], earlier: EngineStats, later: EngineStats) -> Counter[str]:
    """What one path did besides."""
    searched = int((batch.stops > batch.starts).sum())
    if earlier.device and later.device:
        answered = later.device.answered - earlier.device.answered
        own = {"cases": 1, "gathered": int(searched > 0), "has a device": 1, "on the device": int(answered > 0)}
        return Counter(own)
    before, after = earlier.packed, later.packed
    if before is None or after is None:
        return Counter({"cases": 1, "gathered": int(searched > 0)})
    hits = after.hits - before.hits
    taken = Counter(
        {
            "cases": 1,
            "rows may be packed": 1,
            "gathered": int(hits < searched),
            "packed": int(hits > 0),
            "standing": after.served - before.served,
            "refills": after.refills - before.refills,
            "rows scored for standing answers": after.rows_scored - before.rows_scored,
        }
    )
    for way in ("range", "exclusion", "ragged", "after a changed vector", "after an eviction", "two threads"):
        taken[f"packed {way}"] = int(hits > 0 and common[way] > 0)
    taken["standing with exclusion"] = taken["standing"] if common["exclusion"] else 0
    return taken


def never_taken(taken: Counter[str]) -> list[str]:
    """Ways that a long run must have taken and did not."""
    packed, device = ON_PACKED if taken["rows may be packed"] else (), ON_DEVICE if taken["has a device"] else ()
    return [way for way in (*ON_ALL, *packed, *device) if not taken[way]]


def told(batch: SearchBatch, k: int, recent: int, common: Counter[str]) -> str:
    """A search in one line."""
    named = sorted(way for way in common if common[way])
    lengths, candidates = (batch.stops - batch.starts).tolist(), np.diff(batch.bounds).tolist()
    pairs = ", ".join(
        f"user {user}: {count} x {length}"
        for user, count, length in zip(batch.users.tolist(), candidates, lengths, strict=True)
    )
    return f"width {batch.vectors.shape[1]}, k {k}, recent {recent}; {pairs or 'nobody'}; {', '.join(named)}"
