"""Files in the layouts of Taobao-MM, small and known, and ways to compare what was read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.data.joining import join

DEMO = Path(__file__).parent / "taobao_mm_demo"
ID, IDS, BYTES = pa.int64(), pa.list_(pa.int64()), pa.list_(pa.int8())
TYPES = {
    "label_0": BYTES,
    "129_1": ID,
    **{f"130_{number}": ID for number in range(1, 6)},
    "150_2_180": IDS,
    "151_2_180": IDS,
    **dict.fromkeys(("205", "206", "213", "214"), ID),
}

Sample = tuple[int, int, bool, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""User, item, click, history items, history categories, candidate features, user features."""


@dataclass
class World:
    """Users with histories, items with features, and samples that join them."""

    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    samples: list[tuple[int, int, bool]] = field(default_factory=list)

    @classmethod
    def random(cls, users: int, samples: int, length: int = 6, seed: int = 1) -> "World":
        """Hashed-looking ids, histories of up to `length`."""
        rng = np.random.default_rng(seed)
        world = cls()
        ids = rng.integers(-(2**62), 2**62, users).tolist()
        items = rng.integers(-(2**62), 2**62, 50).tolist()
        for user in ids:
            history = rng.choice(items, int(rng.integers(0, length + 1))).tolist()
            features = {f"130_{number}": int(rng.integers(0, 9)) for number in range(1, 6)}
            world.users[user] = {
                "129_1": user,
                **features,
                "150_2_180": history,
                "151_2_180": [item % 7 + 1 for item in history],
            }
        for item in items:
            world.items[item] = {"205": item, "206": item % 7 + 1, "213": 5, "214": int(rng.integers(0, 9))}
        for _ in range(samples):
            world.samples.append((int(rng.choice(ids)), int(rng.choice(items)), bool(rng.random() < 0.3)))
        return world

    def joined_rows(self) -> list[dict[str, object]]:
        """One row a sample."""
        return [
            {"label_0": [int(not click), int(click)], **self.users[user], **self.items[item]}
            for user, item, click in self.samples
        ]

    def expected(self) -> list[Sample]:
        """What a loader must give, sorted."""
        found: list[Any] = []
        for user, item, click in self.samples:
            owner, of_item = self.users[user], self.items[item]
            found.append(
                (
                    user,
                    item,
                    click,
                    tuple(owner["150_2_180"]),
                    tuple(owner["151_2_180"]),
                    tuple(of_item[name] for name in ("205", "206", "213", "214")),
                    (user, *(owner[f"130_{number}"] for number in range(1, 6))),
                )
            )
        return sorted(found)


def write(path: Path, rows: list[dict[str, object]], *, group: int = 10_000, **changed: pa.DataType) -> Path:
    """Write rows as the release writes them; `changed` sets other types of columns (`c205=` for 205)."""
    types = TYPES | {name.removeprefix("c"): kind for name, kind in changed.items()}
    schema = pa.schema([(name, types[name]) for name in rows[0]])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=group, compression="ZSTD")
    return path


def write_raw(folder: Path, world: World, part: str = "train", *, group: int = 10_000) -> Path:
    """The raw layout of one part below `folder/raw`."""
    raw = folder / "raw"
    samples: list[dict[str, object]] = [
        {"label_0": [int(not click), int(click)], "129_1": user, "205": item} for user, item, click in world.samples
    ]
    write(raw / f"{part}_samples.parquet", samples, group=group)
    write(raw / f"{part}_user_features.parquet", list(world.users.values()), group=group)
    write(raw / "item_features.parquet", list(world.items.values()), group=group)
    return folder


def samples_of(block: Block) -> list[Sample]:
    """The samples of a block with their windows written out, in order."""
    found = []
    for row in range(len(block)):
        low = int(block.histories.lows[block.owner[row]])
        window = slice(low + int(block.start[row]), low + int(block.stop[row]))
        found.append(
            (
                int(block.user[row]),
                int(block.item[row]),
                bool(block.label[row]),
                tuple(block.histories.behaviours.item[window].tolist()),
                tuple(block.histories.behaviours.category[window].tolist()),
                tuple(block.candidate_features[row].tolist()),
                tuple(block.user_features[row].tolist()),
            )
        )
    return found


def all_samples(blocks: list[Block]) -> list[Sample]:
    """The samples of blocks, in order."""
    return [sample for block in blocks for sample in samples_of(block)]


def assert_distinct_users(blocks: list[Block]) -> None:
    for block in [*blocks, join(blocks)]:
        assert len(set(block.histories.user.tolist())) == len(block.histories.user)
