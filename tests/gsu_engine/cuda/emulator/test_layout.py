"""The structs of structs.cuh and the dtypes of layout.py say the same, field by field."""

import numpy as np
import pytest

from muse_stream.gsu_engine.cuda import layout, sources
from tests.gsu_engine.cuda.emulator.builder import build, compiler
from tests.gsu_engine.cuda.emulator.device import EmulatedDevice

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

DTYPES = {
    name: value for name, value in vars(layout).items() if isinstance(value, np.dtype) and value.fields is not None
}


def struct_of(name: str) -> str:
    return name.title().replace("_", "")


def text_comparing(dtypes: dict[str, np.dtype[np.void]]) -> str:
    """A kernel that writes sizeof of each struct, then offset and size of each field."""
    structs = sources.INCLUDE.sub("", (sources.FOLDER / "structs.cuh").read_text(encoding="utf-8"))
    primitives = (sources.FOLDER / "primitives.cuh").read_text(encoding="utf-8")
    lines = []
    for name, dtype in dtypes.items():
        struct = struct_of(name)
        lines.append(f"*out++ = sizeof({struct});")
        names = dtype.names or ()
        lines += [f"*out++ = __builtin_offsetof({struct}, {n}); *out++ = sizeof({struct}::{n});" for n in names]
    body = "\n    ".join(lines)
    head = 'struct Sizes { int64* out; };\nextern "C" __global__ void sizes(const Sizes* use)'
    kernel = f"{head} {{\n    int64* out = use->out;\n    {body}\n}}\n"
    return f"{primitives}{structs}{kernel}".replace("#pragma once\n", "")


def expected_of(dtype: np.dtype[np.void]) -> list[int]:
    assert dtype.fields is not None
    fields = [dtype.fields[name] for name in dtype.names or ()]
    return [dtype.itemsize, *(number for field in fields for number in (field[1], field[0].itemsize))]


def test_structs_are_laid_out_alike() -> None:
    assert {"RUN", "LINK", "APPEND", "FILL"} <= DTYPES.keys()
    device = EmulatedDevice(library=build(text_comparing(DTYPES)))
    expected = [number for dtype in DTYPES.values() for number in expected_of(dtype)]
    buffer, struct = device.allocate(8 * len(expected)), device.allocate(8)
    device.write(struct, 0, np.array([buffer.address], np.uint64))
    device.launch("sizes", 1, 1, 0, struct.address)
    np.testing.assert_array_equal(device.read(buffer, 0, buffer.bytes).wait().view(np.int64), expected)
