"""The kernels' text: one translation unit per use, put together here so that no include path is needed.

A kernel source is a `.cu` file in `kernels/`; a `.cuh` file is a header. Lines `#include "x.cuh"` are replaced by that
header, each once, so that NVRTC, which sees no folder, compiles what a reader sees.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "kernels"
WIDTHS = (64, 128)  # vectors that the search kernels are written out for
KERNELS = {  # unit by kernel
    "append": "histories",
    "fill": "histories",
    **{f"{step}_{width}": "search" for step in ("threshold", "filter", "finish") for width in WIDTHS},
}
# -fmad=false: a product and a sum are rounded one by one, as every backend does. No -use_fast_math, ever.
OPTIONS = ("--std=c++17", "--fmad=false")
INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def units() -> list[str]:
    """All units, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


def text_of(unit: str) -> str:
    """One unit with its headers in it."""
    included: set[str] = set()

    def paste(found: re.Match[str]) -> str:
        name = found[1]
        if name in included:
            return ""
        included.add(name)
        return INCLUDE.sub(paste, (FOLDER / name).read_text(encoding="utf-8").replace("#pragma once\n", ""))

    return INCLUDE.sub(paste, (FOLDER / f"{unit}.cu").read_text(encoding="utf-8"))
