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
