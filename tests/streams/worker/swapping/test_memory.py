"""Freed memory goes back where the C library can, and nothing happens where it cannot."""

import ctypes

import pytest

from muse_stream.streams.worker.swapping import memory


def test_a_library_without_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._trim.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.give_back() is False
    memory._trim.cache_clear()


def test_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(memory, "_trim", lambda: asked.append)
    assert memory.give_back() is True
    assert asked == [0]
