"""Structs that host and kernels share; `kernels/structs.cuh` says the same in C++, and a test compares them.

Layout: C alignment, little endian, pointers as uint64. A struct and all that it points to travel to the device in one
upload: see `parcel`.
"""

import numpy as np

RUN = np.dtype([("to", "<u8"), ("from", "<u4"), ("count", "<u4")], align=True)
LINK = np.dtype([("at", "<u4"), ("page", "<u4")], align=True)
APPEND = np.dtype(
    [
        ("pages", "<u8"),
        ("page_table", "<u8"),
        ("runs", "<u8"),
        ("slots", "<u8"),
        ("links", "<u8"),
        ("run_count", "<i4"),
        ("link_count", "<i4"),
    ],
    align=True,
)
FILL = np.dtype(
    [
        ("vectors", "<u8"),
        ("inv_norms", "<u8"),
        ("slots", "<u8"),
        ("rows", "<u8"),
        ("norms", "<u8"),
        ("count", "<i4"),
        ("width", "<i4"),
    ],
    align=True,
)
PAIR = np.dtype(
    [
        ("allowed_at", "<i8"),
        ("table_at", "<u4"),
        ("first_page", "<u4"),
        ("head", "<i4"),
        ("length", "<i4"),
        ("first_candidate", "<i4"),
        ("candidates", "<i4"),
        ("groups", "<i4"),
        ("candidate_tiles", "<i4"),
        ("tiles", "<i4"),
        ("tiles_per_item", "<i4"),
        ("first_item", "<i4"),
        ("sampled", "<i4"),
        ("sample_step", "<i4"),
        ("sample_parts", "<i4"),
        ("first_sample_item", "<i4"),
        ("spans", "<i4"),
        ("span", "<i4"),
        ("rank", "<i4"),
        ("first_done", "<i4"),
    ],
    align=True,
)
SEARCH = np.dtype(
    [
        *(
            (name, "<u8")
            for name in (
                *("pages", "page_table", "vectors", "inv_norms"),
                *("pairs", "candidates", "candidate_norms", "excluded", "allowed", "done", "tickets"),
                *("maxima", "thresholds", "counts", "hits"),
                *("scores", "places", "found", "recent_scores", "recent_present"),
            )
        ),
        *(
            (name, "<i4")
            for name in (
                *("ring", "pair_count", "candidate_count", "sample_items", "filter_items"),
                *("room", "k", "recent", "most_kept"),
            )
        ),
    ],
    align=True,
)
