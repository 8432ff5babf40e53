"""Items with and without vectors, users with histories in JSON and frames, a seeded model that knows them; a search."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Artefact, FeatureSpec
from muse_stream.streams.wire.encode import encode_behaviours, encode_item
from tests.streams.worker.client import TIME_MS, Client
from tests.streams.worker.installation import DIMENSION, PATIENCE_SECONDS, Worker
from tests.streams.worker.log import Row

ITEMS, WITH_VECTOR, USERS = 60, 50, 8
CANDIDATES_MAX = 100
ANSWER_BYTES = 20_000
"""A hundred candidates with fifty retrieved behaviours each are far above this, ten with twenty far below."""
WIDTH = 8


def write_model(directory: Path) -> Path:
    """A seeded model whose vocabulary holds the world's items, categories, price bands and countries."""
    spec = FeatureSpec.of(dict.fromkeys(("item", "category", "band"), WIDTH), {"country": WIDTH})
    known = {
        "item": np.arange(1, ITEMS + 1),
        "category": np.arange(1, 7),
        "band": np.arange(1, 4),
        "country": np.arange(1, 10),
    }
    artefact = Artefact.untrained(spec, known, seed=5, space="v1")
    artefact.save(directory / "model")
    return directory / "model"


@dataclass
class World:
    """What was written before the first test."""

    vectors: NDArray[np.int8]
    titles: list[str]
    rows: dict[int, list[Row]] = field(default_factory=dict)

    def search(self, rows: list[Row], vector: NDArray[np.int8], k: int) -> tuple[list[int], list[float]]:
        """Row numbers of the `k` most similar behaviours, newest first among equals, and their cosines, in float64."""
        found = []
        for number, (item, *_) in enumerate(rows):
            if 1 <= item <= WITH_VECTOR:
                mine = self.vectors[item].astype(np.float64)
                cosine = mine @ vector / np.linalg.norm(mine) / np.linalg.norm(vector.astype(np.float64))
                found.append((-round(float(cosine), 9), -number))
        best = sorted(found)[:k]
        return [-number for _, number in best], [-cosine for cosine, _ in best]


def build_world(worker: Worker, client: Client) -> World:
    rng = np.random.default_rng(11)
    vectors = rng.integers(-127, 128, (ITEMS + 1, DIMENSION), np.int8)
    world = World(vectors, [f"item {number}" for number in range(ITEMS + 1)])
    for item in range(1, ITEMS + 1):
        vector = vectors[item] if item <= WITH_VECTOR else None
        features = {"band": item % 3 + 1}
        pair = encode_item(item, category=item % 6 + 1, features=features, title=world.titles[item], vector=vector)
        client.producer.send(client.topics.items, *pair)
    client.producer.flush(PATIENCE_SECONDS)
    for user in range(1, USERS + 1):
        world.rows[user] = [
            (int(item), TIME_MS - 10_000 + place, int(rng.integers(0, 6)), 0)
            for place, item in enumerate(rng.integers(1, ITEMS + 1, 15 * user))
        ]
        _write_rows(client, user, world.rows[user])
    worker.wait_items(client.topics.items, ITEMS)
    return world


def _write_rows(client: Client, user: int, rows: list[Row]) -> None:
    """The first half as one frame, the others as JSON."""
    half = len(rows) // 2
    item, time_ms, action, _ = (np.array(column, np.int64) for column in zip(*rows[:half], strict=True))
    (frame,) = encode_behaviours(
        np.full(half, user), item, time_ms, action.astype(np.uint8), partition_count=client.topics.partitions
    )
    client.put(client.topics.behaviours, frame.key, frame.value, headers=frame.headers)
    for each_item, each_time, each_action, _ in rows[half:]:
        client.behave(user, each_item, each_action, time_ms=each_time)
