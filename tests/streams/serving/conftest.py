"""Fixtures of the serving tests."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from muse_stream.streams.serving.pipeline import Ask
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.requests import Request, RequestValue, parse_request
from tests.streams.serving.parts import PARTITION, World, make_world, rules


@pytest.fixture(scope="session", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A machine's first run compiles kernels for longer than the deadline of the requests in these tests."""
    world = make_world(tmp_path_factory.mktemp("compiled"))
    world.behave(1, [2, 9, 4])
    request = parse_request(*encode_request(1, RequestValue(request_id="r", candidates=[9, 5])), rules())
    assert isinstance(request, Request)
    world.pipeline()([Ask(PARTITION, request, time.perf_counter() + 600, StageClock())])
    world.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.store.close()
