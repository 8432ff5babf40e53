"""One world for all tests of this directory: two workers under load, and a Prometheus that scrapes them.

Snapshots are made, some records are refused, and the shipped rules run, in a thirtieth of their time, so that as much
of what boards and rules ask for as can be is there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.prometheus.shorten import shortened
from tests.deploy.rules import FILES
from tests.live.load import Rates
from tests.live.world import LiveWorld, Plan, live_world

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

SHORTER = 30
"""Divides the rules' times: evaluated each second, with windows of ten seconds and more."""
WINDOW_SECONDS_MIN = 4
SNAPSHOT_HOURS = 5 / 3600


@pytest.fixture(scope="package")
def world(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorld]:
    """Leave its workers and its broker running."""
    directory = tmp_path_factory.mktemp("live")
    sections = {"snapshots": {"location": str(directory / "snapshots"), "interval_hours": SNAPSHOT_HOURS}}
    plan = Plan(rates=Rates(poison=0.05), rules=shortened_rules(directory), sections=sections)
    with live_world(plan, kafka, directory) as made:
        yield made


def shortened_rules(directory: Path) -> list[Path]:
    """The shipped rules with shorter times, as files."""
    made = []
    for path in FILES:
        text = shortened(path.read_text(encoding="utf-8"), SHORTER, window_seconds_min=WINDOW_SECONDS_MIN)
        made.append(directory / path.name)
        made[-1].write_text(text, encoding="utf-8")
    return made
