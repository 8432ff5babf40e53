"""Backends of the search: one contract, the same bits from each."""

from muse_stream.gsu_engine.backends.cpu import CpuBackend
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.errors import BackendError

NAMES = ("auto", "reference", "cpu", "cpu-float32")


def choose(name: str, threads: int | None = None) -> tuple[Backend, str]:
    """The backend of that name, and why it is this one.

    Raises:
        BackendError: Unknown name, or the backend cannot run on this machine.

    """
    if name not in NAMES:
        message = f"backend {name!r} is unknown, expected one of {', '.join(NAMES)}"
        raise BackendError(message)
    if name == "reference":
        return ReferenceBackend(), "asked for by name"
    if name == "cpu-float32":
        return CpuBackend(threads, integer=False), "asked for by name"
    return CpuBackend(threads), "asked for by name"
