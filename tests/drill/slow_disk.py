"""Makes writes of a process slow on demand: `slow_disk.c`, compiled with the machine's C compiler and preloaded.

What was tried instead: a cgroup's io throttle does not reach buffered writes (version 1), and neither it nor a device
of one's own can be had by an ordinary program.
"""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("slow_disk.c")
COMPILERS = ("cc", "gcc", "clang", "g++")
COMPILE_SECONDS = 60.0


def compiler() -> str | None:
    """The first C compiler that is installed, None where there is none."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def compile_library(directory: Path) -> Path:
    """The library, in `directory`. Raises `CalledProcessError`: the compiler refused it; its words went to stderr."""
    found, library = compiler(), directory / "slow_disk.so"
    assert found is not None, f"needs a C compiler, one of {', '.join(COMPILERS)}"
    command = [found, "-x", "c", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=COMPILE_SECONDS)
    return library
