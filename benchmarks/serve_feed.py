"""A process that sends behaviours at a rate until it is ended.

`python -m muse_stream.benchmarks.serve_feed CONFIG RATE ITEMS USER...`: one JSON record a behaviour, users by Zipf's
law; one in 500 is of a USER that the benchmark asks for, so that resident histories grow while they are searched.
The records are made before the first is sent, then sent in turn.
"""

import sys
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from muse_stream.benchmarks.append import zipf_users
from muse_stream.benchmarks.serve_world import FIRST_TIME_MS
from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo import feed
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.encode import encode_behaviour

RECORDS = 50_000
ASKED_SHARE = 1 / 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: behaviours per second, items 1..items, users that requests ask for."""

    rate: float
    items: int
    asked: tuple[int, ...]


def records(plan: Plan) -> feed.Records:
    """The records, in the order in which they are sent."""
    rng = np.random.default_rng(2)
    users = zipf_users(rng, RECORDS)
    ours = rng.random(RECORDS) < ASKED_SHARE
    users[ours] = rng.choice(np.array(plan.asked, np.int64), int(ours.sum()))
    items, actions = rng.integers(1, plan.items + 1, RECORDS), rng.integers(0, 6, RECORDS)
    columns = zip(users.tolist(), items.tolist(), actions.tolist(), strict=True)
    return feed.Records.of(
        encode_behaviour(user, item, FIRST_TIME_MS + row, action) for row, (user, item, action) in enumerate(columns)
    )


def send(config: Path, plan: Plan) -> None:
    """Send for ever."""
    settings = Settings.load(config)
    producer = open_producer(settings, client_id="muse-benchmark-feed")
    sent = records(plan)
    feed.replay(producer, settings.topics.behaviours, repeat(sent), rate=plan.rate, on_sent=lambda count: None)


if __name__ == "__main__":
    file, per_second, item_count, *asked = sys.argv[1:]
    send(Path(file), Plan(float(per_second), int(item_count), tuple(map(int, asked))))
