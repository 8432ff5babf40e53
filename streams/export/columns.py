"""Samples as an Arrow table: the released joined layout, or our own names.

Released names (`--layout released`), as the public data set has them:

    label_0                  list<int8>, [0, 1] = taken
    129_1, 205, 206          user, item, category
    213, 214                 the next two item features, in the scorer's order
    130_1 .. 130_5           the user features, in the scorer's order
    150_2_180, 151_2_180     list<int64>: items and categories of the history's newest behaviours, oldest first

A feature whose own name is one of these has that column; the others take the free ones in order; a column that nobody
takes is 0. Which is which stands in the schema's metadata. `--layout own` names all of them: `label`, `user`, `item`,
`category`, `item.NAME`, `user.NAME`, `history_item`, `history_category`.

Beside these, in both: `row` (of the impressions' file), `time_ms`, `history_start` (sequence number of the first
behaviour listed), `history_time_ms`, `history_action`, `window_start`, `window_stop` (what was searched),
`retrieved_position`, `retrieved_item`, `retrieved_category`, `retrieved_cosine` (best first), `recent_cosine`,
`recent_cosine_present` (newest first), `behaviours_partition`, `behaviours_position`, `users_position`,
`items_position` (the moment; -1 = not known).

Invariant: a feature has one column, whose values are those that the network would read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.impressions import I64, Impressions
from muse_stream.streams.export.sampler import Shape
from muse_stream.streams.serving.features import RequestFeatures

Layout = Literal["released", "own"]
USER, ITEM, CATEGORY = "129_1", "205", "206"
HISTORY_ITEM, HISTORY_CATEGORY, LABEL = "150_2_180", "151_2_180", "label_0"
ITEM_PLACES, USER_PLACES = ("213", "214"), ("130_1", "130_2", "130_3", "130_4", "130_5")
METADATA = b"muse_export"


@dataclass(frozen=True, slots=True)
class Taken:
    """Samples of one request.

    Attributes:
        rows: `[n] int64` numbers into the impressions.
        candidates: `[n] int64` which candidate each one is.
        features: The request's features.
        partition: Of behaviours.
        positions: Behaviours, users, items: the moment.

    """

    rows: I64
    candidates: I64
    features: RequestFeatures
    partition: int
    positions: tuple[int, int, int]


class Columns:
    """Turns samples into tables of one schema."""

    def __init__(self, shape: Shape, layout: Layout) -> None:
        """Decide the names. Raises `ExportError`: the released layout has no place for all features."""
        self.shape, self._layout = shape, layout
        self._items = _placed(shape.spec.candidate_names[2:], ITEM_PLACES, "item", layout)
        users = [name for name in shape.spec.user_names if name != USER or layout == "own"]
        self._users = _placed(users, USER_PLACES, "user", layout)

    def metadata(self) -> dict[bytes, bytes]:
        """What the schema says of its columns."""
        shape = self.shape
        known: dict[str, Any] = {"layout": self._layout, "k": shape.k, "r": shape.r, "space": shape.space}
        known |= {"item_features": self._items, "user_features": self._users}
        return {METADATA: json.dumps(known, sort_keys=True).encode()}

    def differing_user_ids(self, taken: Sequence[Taken], impressions: Impressions) -> int:
        """Samples whose network reads another 129_1 than the user's id, where the layout cannot show it."""
        if self._layout == "own" or USER not in self.shape.spec.user_names:
            return 0
        place = self.shape.spec.user_names.index(USER)
        return sum(len(one.rows) for one in taken if one.features.user[place] != impressions.user[one.rows[0]])

    def table(self, taken: Sequence[Taken], impressions: Impressions) -> pa.Table:
        """The samples in the order given; `taken` is not empty."""
        rows = np.concatenate([one.rows for one in taken])
        owner = np.repeat(np.arange(len(taken)), [len(one.rows) for one in taken])
        columns: dict[str, pa.Array] = {
            **self._named(taken, impressions, rows, owner),
            "row": pa.array(impressions.row[rows]),
            "time_ms": pa.array(impressions.time_ms[rows]),
            **_of_requests(taken, owner),
            **_of_candidates(taken),
        }
        return pa.table(columns).replace_schema_metadata(self.metadata())

    def _named(self, taken: Sequence[Taken], impressions: Impressions, rows: I64, owner: I64) -> dict[str, pa.Array]:
        own = self._layout == "own"
        labels, ids = impressions.label[rows], impressions.user[rows]
        candidates = np.concatenate([one.features.candidates[one.candidates] for one in taken])  # [N, F]
        users = np.stack([one.features.user for one in taken])  # [groups, U]
        found: dict[str, pa.Array] = {
            "label" if own else LABEL: pa.array(labels.astype(np.int8)) if own else _one_hot(labels),
            "user" if own else USER: pa.array(ids),
            "item" if own else ITEM: pa.array(candidates[:, 0]),
            "category" if own else CATEGORY: pa.array(candidates[:, 1]),
        }
        spec = self.shape.spec
        found |= {
            column: pa.array(candidates[:, spec.candidate_names.index(name)] if name else np.zeros(len(rows), np.int64))
            for column, name in self._items.items()
        }
        found |= {
            column: pa.array(users[owner, spec.user_names.index(name)] if name else np.zeros(len(rows), np.int64))
            for column, name in self._users.items()
        }
        histories = [one.features.history.rows["item"] for one in taken]
        found["history_item" if own else HISTORY_ITEM] = _lists(histories, pa.int64(), owner)
        categories = [one.features.categories for one in taken]
        found["history_category" if own else HISTORY_CATEGORY] = _lists(categories, pa.int64(), owner)
        return found


def _placed(names: Sequence[str], places: Sequence[str], kind: str, layout: Layout) -> dict[str, str]:
    """Column -> feature; "" for a column that nobody takes."""
    if layout == "own":
        return {f"{kind}.{name}": name for name in names}
    free = [place for place in places if place not in names]
    others = [name for name in names if name not in places]
    if len(others) > len(free):
        message = (
            f"the released layout has {len(places)} columns for further {kind} features ({', '.join(places)}), the "
            f"model reads {len(names)} ({', '.join(names)}); export with --layout own"
        )
        raise ExportError(message)
    taken: Mapping[str, str] = dict(zip(free, others, strict=False))
    return {place: place if place in names else taken.get(place, "") for place in places}


def _of_requests(taken: Sequence[Taken], owner: I64) -> dict[str, pa.Array]:
    """What all candidates of a request share."""
    histories = [one.features.history for one in taken]
    single = {
        "history_start": [history.start for history in histories],
        "window_start": [one.features.window[0] for one in taken],
        "window_stop": [one.features.window[1] for one in taken],
        "behaviours_partition": [one.partition for one in taken],
        "behaviours_position": [one.positions[0] for one in taken],
        "users_position": [one.positions[1] for one in taken],
        "items_position": [one.positions[2] for one in taken],
    }
    found: dict[str, pa.Array] = {name: pa.array(np.array(cells, np.int64)[owner]) for name, cells in single.items()}
    found["history_time_ms"] = _lists([history.rows["time_ms"] for history in histories], pa.int64(), owner)
    found["history_action"] = _lists([history.rows["action"] for history in histories], pa.uint8(), owner)
    return found


def _of_candidates(taken: Sequence[Taken]) -> dict[str, pa.Array]:
    """What was retrieved for each candidate, and how near the newest behaviours are."""
    positions = np.concatenate([one.features.positions[one.candidates] for one in taken])  # [N, K]
    there = positions >= 0
    parts = {
        "retrieved_position": (positions, pa.int64()),
        "retrieved_item": (_all(taken, "items"), pa.int64()),
        "retrieved_category": (_all(taken, "item_categories"), pa.int64()),
        "retrieved_cosine": (_all(taken, "cosines"), pa.float32()),
    }
    found = {name: _masked(cells, there, kind) for name, (cells, kind) in parts.items()}
    recents = _all(taken, "recent_cosines")  # [N, R]
    lengths = np.concatenate([np.full(len(one.rows), one.features.window[1] - one.features.window[0]) for one in taken])
    real = np.arange(recents.shape[1]) < lengths[:, np.newaxis]
    found["recent_cosine"] = _masked(recents, real, pa.float32())
    found["recent_cosine_present"] = _masked(_all(taken, "recent_present"), real, pa.bool_())
    return found


def _all(taken: Sequence[Taken], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(one.features, name)[one.candidates] for one in taken])


def _masked(cells: NDArray[Any], there: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Per row the cells that are there, as lists."""
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(cells[there], kind))


def _lists(parts: Sequence[NDArray[Any]], kind: pa.DataType, owner: I64) -> pa.Array:
    """One list per request, repeated for its samples."""
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(parts), kind))
    return lists if len(owner) == len(parts) else lists.take(pa.array(owner))


def _one_hot(labels: NDArray[np.bool_]) -> pa.Array:
    """`[1, 0]` = not taken, `[0, 1]` = taken."""
    cells = np.column_stack([~labels, labels]).astype(np.int8).ravel()
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(cells) + 1, 2, dtype=np.int32)), pa.array(cells))
