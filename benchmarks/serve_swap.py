"""Models activated while requests and behaviours arrive: what that costs those who ask meanwhile.

An activation is a record of the control topic, as `muse-stream models activate` writes it, and the worker's own report
says when it runs. Quiet times and swaps take turns, forth and back between two models.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from muse_stream.benchmarks.resident import most_resident, resident_mib
from muse_stream.benchmarks.serve_load import LEAD_IN_SECONDS, PREFETCH_SECONDS
from muse_stream.esu_scorer import Entry
from muse_stream.streams.models import activating
from muse_stream.streams.models.control import Activation
from muse_stream.streams.models.opening import follow, open_store, open_writer
from muse_stream.streams.settings import Settings

AFTER_SECONDS = 1.0  # the first passes of the new model and the end of the old one
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.005
MEMORY_LOOK_SECONDS = 0.02
SETTLE_SECONDS = 2.0  # the worker's memory, after the last swap


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, on the clock of `time.perf_counter`."""

    begin_seconds: float
    end_seconds: float

    def __contains__(self, at_seconds: float) -> bool:
        return self.begin_seconds <= at_seconds < self.end_seconds


@dataclass(frozen=True, slots=True)
class Swap:
    """An activation: of which model, and from it until `AFTER_SECONDS` after the worker has reported that it runs."""

    digest: str
    span: Span


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB resident in the worker: before the first swap, at most, and once the last one has settled."""

    before: float
    most: float
    after: float


@dataclass(frozen=True, slots=True)
class Turns:
    """What was done: quiet times, swaps, and the worker's memory."""

    quiet: Sequence[Span]
    swaps: Sequence[Swap]
    memory: Memory


class Operator:
    """Activates models as an operator does; a context manager."""

    def __init__(self, settings: Settings, names: Sequence[str]) -> None:
        """Look at these models whole, so that an activation does not have to.

        Raises `StoreError`, `ActivationError`: one of them cannot be served; `UnreachableError`.
        """
        store = open_store(settings)
        assert store is not None
        self._entries: dict[str, Entry] = {name: activating.checked(store, settings, name) for name in names}
        self._follower, self._writer = follow(settings), open_writer(settings)

    def __enter__(self) -> Self:
        """Begin to read what workers report."""
        self._follower.start()
        self._follower.caught_up.result(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self._follower.close()
        self._writer.close()

    def activate(self, name: str) -> Swap:
        """Activate a model and wait until `AFTER_SECONDS` after the worker has reported that it runs.

        Raises `RuntimeError`: it was refused, or not taken in time.
        """
        author = activating.Author("benchmark", int(time.time() * 1e3))
        wanted = activating.activation_of(self._entries[name], author, self._follower.current("live"))
        begin = time.perf_counter()
        self._writer.activate(wanted)
        while not activating.settled(found := self._outcomes(wanted)):
            if time.perf_counter() > begin + PATIENCE_SECONDS:
                message = f"{name} was activated {PATIENCE_SECONDS:.0f} s ago and is not in service; found {found}"
                raise RuntimeError(message)
            time.sleep(LOOK_SECONDS)
        if any(one.state == "refused" for one in found):
            message = f"{name} was activated and refused; expected that the worker takes it: {found}"
            raise RuntimeError(message)
        time.sleep(AFTER_SECONDS)
        return Swap(wanted.digest, Span(begin, time.perf_counter()))

    def _outcomes(self, wanted: Activation) -> list[activating.Outcome]:
        return activating.outcomes(self._follower.reports(), "live", wanted, int(time.time() * 1e3))


def take_turns(operator: Operator, names: Sequence[str], quiet_seconds: float, pid: int) -> Turns:
    """Quiet times and swaps in turn, to each model of `names`; `pid` is the worker's."""
    time.sleep(LEAD_IN_SECONDS + PREFETCH_SECONDS)
    quiet, swaps = [], []
    process = psutil.Process(pid)
    before = resident_mib(process)
    with most_resident(process, MEMORY_LOOK_SECONDS) as most:
        for name in names:
            begin = time.perf_counter()
            time.sleep(quiet_seconds)
            quiet.append(Span(begin, time.perf_counter()))
            swaps.append(operator.activate(name))
    time.sleep(SETTLE_SECONDS)
    return Turns(quiet, swaps, Memory(before, most[0], resident_mib(process)))
