"""A sample by its definition: prefixes of lists, the audit's plain model of the rules, the oracle of the search."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muse_stream.gsu_engine import SearchBatch
from muse_stream.state.rules import RuleChange, Rules
from muse_stream.streams.audit.decoding import BEHAVIOUR, Contract, Record, id_of
from muse_stream.streams.audit.model import ROW_BYTES, History, PartitionModel
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from tests.gsu_engine import oracle
from tests.streams.export.logs import DIMENSION, PARTITIONS, SHAPE, Logs


def prefix(records: Sequence[Record], offset: int | None, time_ms: int) -> list[Record]:
    if offset is not None:
        return [one for one in records if one.offset < offset]
    first = next((place for place, one in enumerate(records) if one.broker_time_ms >= time_ms), len(records))
    return list(records[:first])


@dataclass
class Items:
    """Items after a prefix of their log."""

    categories: dict[int, int] = field(default_factory=dict)
    brands: dict[int, int] = field(default_factory=dict)
    vectors: dict[int, np.ndarray[Any, np.dtype[np.int8]]] = field(default_factory=dict)

    @classmethod
    def after(cls, records: Sequence[Record]) -> "Items":
        made = cls()
        for one in records:
            item, value = id_of((one.key or b"").decode()), json.loads(one.value or b"{}")
            made.categories[item] = id_of(value.get("category") or 0)
            made.brands[item] = id_of(value.get("features", {}).get("brand") or 0)
            made.vectors.pop(item, None)
            if "vector_int8" in value:
                made.vectors[item] = np.frombuffer(base64.b64decode(value["vector_int8"]), np.int8)
        return made


def sample(
    logs: Logs, where: tuple[int, int, int, int], rules: Rules, at: Sequence[int | None] = (None,) * 3
) -> dict[str, Any]:
    """What the columns of a sample (partition, user, item, time) must say."""
    partition, user, item, time_ms = where
    model = PartitionModel(Contract(partition, PARTITIONS, DEFAULT_ACTIONS), [RuleChange(0, rules)])
    behaviours = prefix(logs.seen(("behaviours", partition)), at[0], time_ms)
    for one in behaviours:
        model.feed(one)
    model.finish(behaviours[-1].offset + 1 if behaviours else 0)
    history = model.users.get(user, History())
    rows = [BEHAVIOUR.unpack_from(history.rows, low) for low in range(0, len(history.rows), ROW_BYTES)]
    items = Items.after(prefix(logs.seen(("items", 0)), at[2], time_ms))
    profile: dict[str, Any] = {}
    for one in prefix(logs.seen(("users", partition)), at[1], time_ms):
        if id_of((one.key or b"").decode()) == user:
            profile = json.loads(one.value)["features"] if one.value else {}
    categories = [category or items.categories.get(what, 0) for what, _, _, category in rows]
    found = _found(user, item, history.start, [row[0] for row in rows], items)
    count = int(found.count[0])
    places = [position - history.start for position in found.positions[0, :count].tolist()]
    recent = min(len(rows), SHAPE.r)
    return {
        "user": user,
        "item": item,
        "category": items.categories.get(item, 0),
        "item.brand": items.brands.get(item, 0),
        "user.country": id_of(profile.get("country", 0)),
        "user.band": id_of(profile.get("band", 0)),
        "history_item": [row[0] for row in rows],
        "history_category": categories,
        "history_time_ms": [row[1] for row in rows],
        "history_action": [row[2] for row in rows],
        "history_start": history.start,
        "window_start": history.start,
        "window_stop": history.stop,
        "retrieved_position": found.positions[0, :count].tolist(),
        "retrieved_item": [rows[place][0] for place in places],
        "retrieved_category": [categories[place] for place in places],
        "retrieved_cosine": found.scores[0, :count].tolist(),
        "recent_cosine": found.recent_scores[0, :recent].tolist(),
        "recent_cosine_present": found.recent_present[0, :recent].tolist(),
    }


def _found(user: int, item: int, start: int, history: list[int], items: Items) -> Any:
    own = items.vectors.get(item, np.zeros(DIMENSION, np.int8))
    batch = SearchBatch(
        users=np.array([user]),
        starts=np.array([start]),
        stops=np.array([start + len(history)]),
        bounds=np.array([0, 1]),
        vectors=own[np.newaxis],
        inv_norms=np.array([oracle.inverse_norm(own)]),
    )
    return oracle.answer(batch, {user: oracle.History(start, history)}, items.vectors, SHAPE.k, SHAPE.r)
