"""Fixtures of the swapping tests."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.streams.worker.swapping.world import World, make_world

PATIENCE_SECONDS = 60.0
"""On a busy machine; each takes milliseconds."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)
