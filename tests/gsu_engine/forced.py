"""Thresholds that tests lower, so that small worlds take the paths of large ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from muse_stream.gsu_engine import packed
from muse_stream.gsu_engine.backends import cpu


@contextmanager
def small_shares() -> Iterator[None]:
    """The cpu backends cut even a small search between their threads."""
    with mock.patch.object(cpu, "SMALL", 1):
        yield


@contextmanager
def standing_from_the_first_row() -> Iterator[None]:
    """Answers stand also over short histories, and where a search would cost little."""
    with mock.patch.object(packed, "STANDING_FROM_ROWS", 0), mock.patch.object(cpu, "STANDING_ABOVE", 0):
        yield
