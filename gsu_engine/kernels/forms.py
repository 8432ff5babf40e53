"""The forms in which a CPU multiplies rows by candidates, and which of them this CPU has.

A form says how rows lie in a block (`lanes` x `vectors` of them side by side, int8 or float32) and which instruction
multiplies them. All give the same integers: dot products of int8 vectors stay below 2^24 at d <= 1 040, which float32
holds exactly in whatever order it sums, and int32 sums have no such bound at all.

| form | multiplies | block of ROWS rows |
|---|---|---|
| `avx512-vnni` | 64 x (uint8 x int8) per instruction | `uint8 [d/4][64][4]` |
| `avx-vnni` | 32 x (uint8 x int8) | `uint8 [d/4][16][4]` |
| `avx2` | 16 x (int16 x int16), bytes are widened in registers | `uint8 [d/4][16][4]` |
| `float32` | a fused multiply-add where there is one: any CPU, ARM too | `float32 [d][ROWS]` |

The int8 forms multiply unsigned by signed: rows are stored with +128, and a sum starts at -128 x sum(candidate), which
takes that off again.

Kernels are told the form by the *type* of an argument, a tuple whose length is the form's number (`marker`): so each
form in use is compiled on its own, and none of the others is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.jit import config

Value = Any  # llvmlite's types, values and builders carry no annotations
CANDIDATES = 6  # of a tile: 6 x 4 sums fit AVX-512's 32 registers, 6 x 2 the 16 of AVX2 and SSE, 6 x 4 NEON's 32
SOME = 3  # of a smaller tile, for what is left over
WORD_BYTES = 4  # int8 components come four at a time
Marker = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """One form; see the module's table.

    Attributes:
        name: What `backends` and metrics call it.
        instruction: `vpdpbusd`, `vpmaddwd` or `fma`.
        lanes: 32-bit sums in a vector register.
        vectors: Registers side by side.

    """

    name: str
    instruction: str
    lanes: int
    vectors: int

    @property
    def integer(self) -> bool:
        """Whether blocks hold bytes, else float32."""
        return self.instruction != "fma"

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return self.lanes * self.vectors

    @property
    def cell_bytes(self) -> int:
        """Bytes of one component of a row."""
        return 1 if self.integer else 4

    @property
    def marker(self) -> Marker:
        """What kernels are given: see above."""
        return (0,) * (FORMS.index(self) + 1)


def host_features() -> dict[str, bool]:
    """CPU features that numba compiles for."""
    if config.CPU_NAME == "generic":
        return {}
    if config.CPU_FEATURES is not None:
        return {name[1:]: name.startswith("+") for name in config.CPU_FEATURES.split(",") if name}
    return dict(binding.get_host_cpu_features())


def portable(features: dict[str, bool]) -> Form:
    """The float32 form for a CPU with these features."""
    if features.get("avx512f"):
        return Form("float32", "fma", 16, 4)
    if features.get("avx"):
        return Form("float32", "fma", 8, 2)
    if features.get("neon"):
        return Form("float32", "fma", 4, 4)
    return Form("float32", "fma", 4, 2)


FEATURES = host_features()
AVX512_VNNI = Form("avx512-vnni", "vpdpbusd", 16, 4)
AVX_VNNI = Form("avx-vnni", "vpdpbusd", 8, 2)
AVX2 = Form("avx2", "vpmaddwd", 8, 2)
FLOAT32 = portable(FEATURES)
FORMS = (AVX512_VNNI, AVX_VNNI, AVX2, FLOAT32)  # the best first


def usable(form: Form, features: dict[str, bool]) -> bool:
    """Whether a CPU with these features has the form's instructions."""
    vnni = features.get("avx512vnni", False)
    return {
        AVX512_VNNI: vnni and features.get("avx512bw", False),
        AVX_VNNI: features.get("avxvnni", False) or (vnni and features.get("avx512vl", False)),
        AVX2: features.get("avx2", False),
    }.get(form, True)


def usable_forms(features: dict[str, bool]) -> list[Form]:
    """The forms of such a CPU, the best first."""
    return [form for form in FORMS if usable(form, features)]


def form_of(marker: Value) -> Form:
    """The form that a marker's type stands for."""
    return FORMS[len(marker) - 1]


def _constant(read: Callable[[Form], int]) -> Any:  # noqa: ANN401
    """Intrinsic `value(marker)`: a number that follows from the form."""

    @intrinsic
    def value(_typing: Value, marker: Value) -> tuple[Value, Callable[..., Value]]:
        number = read(form_of(marker))

        def emit(_context: Value, _builder: Value, _signature: Value, _arguments: Value) -> Value:
            return ir.Constant(ir.IntType(64), number)

        return types.int64(marker), emit

    return value


rows_of: Any = _constant(lambda form: form.rows)
lanes_of: Any = _constant(lambda form: form.lanes)
cell_bytes_of: Any = _constant(lambda form: form.cell_bytes)
is_integer: Any = _constant(lambda form: int(form.integer))
