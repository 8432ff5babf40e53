"""Stores on a small file system that is filled, emptied and made read-only; see `full_disk.py`."""

from pathlib import Path

from tests.state.small_disk import run


def test_on_a_small_disk(tmp_path: Path) -> None:
    run("tests.state.full_disk", "everything", tmp_path)
