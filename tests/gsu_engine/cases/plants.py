"""Bugs to plant, each at one seam: what the random cases are there to find.

Invariant: a plant changes one behaviour and nothing else, for the length of a `with` block.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from muse_stream.gsu_engine import SearchResult, VectorTable
from muse_stream.gsu_engine.contract import Backend, Work
from muse_stream.gsu_engine.packed import PackedCopies, PackedCopy
from tests.gsu_engine.cases.runner import Backends
from tests.gsu_engine.cases.truth import swapped_ties

Plant = Callable[[Backends], AbstractContextManager[Backends]]


class Planted:
    """A backend with another search; all else is the backend's own."""

    def __init__(
        self, backend: Backend, work: Callable[[Work], Work], result: Callable[[SearchResult], SearchResult]
    ) -> None:
        self._backend, self._work, self._result = backend, work, result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def search(self, work: Work) -> SearchResult:
        return self._result(self._backend.search(self._work(work)))


def _searching(
    *,
    work: Callable[[Work], Work] = lambda work: work,
    result: Callable[[SearchResult], SearchResult] = lambda result: result,
) -> Plant:
    """Every search is given, or gives, something else."""

    @contextmanager
    def plant(backends: Backends) -> Iterator[Backends]:
        planted: dict[tuple[str, int], Any] = {}
        for path, backend in backends.items():
            assert not isinstance(backend, str), "a plant wants the backend itself"
            planted[path] = Planted(backend, work, result)
        yield planted

    return plant


def _elsewhere(patch: Callable[[], AbstractContextManager[object]]) -> Plant:
    """Something outside the backends is another."""

    @contextmanager
    def plant(backends: Backends) -> Iterator[Backends]:
        with patch():
            yield backends

    return plant


def _without_newest(work: Work) -> Work:
    """The newest row of what is gathered counts as absent."""
    slots = work.slots.copy()
    slots[work.offsets[1:][np.diff(work.offsets) > 0] - 1] = 0
    return work._replace(slots=slots)


def _bitmap_shifted(work: Work) -> Work:
    return work if work.allowed is None else work._replace(allowed=np.roll(work.allowed, 1))


def _one_bit_off(result: SearchResult) -> SearchResult:
    """The last score of a candidate is the next float32 above."""
    scores = result.scores.copy()
    for row in np.flatnonzero(result.count)[:1]:
        last = result.count[row] - 1
        scores[row, last] = np.nextafter(scores[row, last], np.float32(np.inf))
    return replace(result, scores=scores)


def _nothing_for_who_excludes(work: Work) -> Work:
    """A candidate that excludes something counts as one without a vector."""
    if work.excluded is None:
        return work
    inv_norms = work.inv_norms.copy()
    inv_norms[work.excluded != 0] = 0
    return work._replace(inv_norms=inv_norms)


def answers_outlive_vectors() -> AbstractContextManager[object]:
    """Answers stand although a vector among the user's rows has changed."""
    renewed = PackedCopies._is_renewed

    def keep(copies: PackedCopies, copy: PackedCopy) -> bool:
        standing = copy.standing
        current = renewed(copies, copy)
        copy.standing = standing
        return current

    return mock.patch.object(PackedCopies, "_is_renewed", keep)


def packed_rows_outlive_vectors() -> AbstractContextManager[object]:
    """Packed rows are not renewed when vectors change."""
    return mock.patch.object(VectorTable, "changed_since", return_value=np.zeros(0, np.uint32))


PLANTS: Mapping[str, Plant] = {
    "two tied positions swapped": _searching(result=swapped_ties),
    "a score one bit off": _searching(result=_one_bit_off),
    "the newest row dropped": _searching(work=_without_newest),
    "the exclusion ignored": _searching(work=lambda work: work._replace(excluded=None)),
    "nothing for who excludes": _searching(work=_nothing_for_who_excludes),
    "the bitmap ignored": _searching(work=lambda work: work._replace(allowed=None)),
    "the bitmap shifted by one": _searching(work=_bitmap_shifted),
    "answers outlive vectors": _elsewhere(answers_outlive_vectors),
    "packed rows outlive vectors": _elsewhere(packed_rows_outlive_vectors),
}
