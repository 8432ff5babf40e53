"""Golden files: records as bytes, and what they decode to, for implementations in other languages to test against.

    ids.json         texts, their ids, event ids and partitions at several partition counts
    behaviours.json  records and the rows, or the reason of the reject, that each decodes to on its own
    users.json       records and profiles
    items.json       records and categories, features, titles, vectors
    requests.json    records and what is read from them, or the status and code of the answer

Bytes are base64, 64-bit numbers are decimal text (not every language's JSON reader keeps 64 bits).
`python -m muse_stream.streams.wire.golden` writes them beside this file again; a test fails where they differ.

Invariant: they are made by the decoders that the workers run.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from muse_stream.gsu_engine import quantise
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.behaviours import decode_behaviours
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS, BehaviourRules
from muse_stream.streams.wire.golden import cases
from muse_stream.streams.wire.golden.cases import Case
from muse_stream.streams.wire.ids import event_id_of, id_of
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.rejects import Reject
from muse_stream.streams.wire.requests import BadRequest, Filters, Request, RequestRules, parse_request
from muse_stream.streams.wire.users import UserRules, decode_profile, decode_users

FOLDER = Path(__file__).parent
Json = dict[str, Any]


def golden_text(name: str) -> str:
    """A golden file as it must be on disk."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=True) + "\n"


def write() -> None:
    """Write every golden file."""
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(golden_text(name), encoding="utf-8")


def record_batch(case: Case, topic: str) -> RecordBatch:
    """The case as the only record of a batch."""
    return RecordBatch(
        topic=topic,
        partition=_partition(case),
        keys=[case.key],
        values=[case.value],
        headers=[case.headers],
        offset=np.zeros(1, np.int64),
        broker_time_ms=np.full(1, cases.BROKER_TIME_MS),
        next_offset=1,
    )


def _ids() -> Json:
    return {
        "ids": [
            {
                "text": text,
                "id": str(id_of(text)),
                "event_id": str(event_id_of(text)),
                "partitions": {str(count): partition_of_key(text.encode(), count) for count in cases.PARTITION_COUNTS},
            }
            for text in cases.ID_TEXTS
        ]
    }


def _behaviours() -> Json:
    rules = BehaviourRules(partition_count=cases.PARTITION_COUNT)
    records = []
    for case in cases.BEHAVIOURS:
        batch, rejects = decode_behaviours(record_batch(case, "behaviours"), rules)
        rows = [
            {
                "user": str(batch.user[row]),
                "item": str(batch.item[row]),
                "time_ms": str(batch.time_ms[row]),
                "action": int(batch.action[row]),
                "category": str(batch.category[row]),
                "event_id": str(batch.event_id[row]),
                "erase": bool(batch.erase[row]),
            }
            for row in range(len(batch))
        ]
        records.append({**_record(case), "expected": _expected({"rows": rows}, rejects)})
    return {"partition_count": cases.PARTITION_COUNT, "actions": dict(DEFAULT_ACTIONS), "records": records}


def _users() -> Json:
    records = []
    for case in cases.USERS:
        users, profiles, rejects = decode_users(record_batch(case, "users"), UserRules(cases.PARTITION_COUNT))
        found: Json = {}
        if len(users):
            features = None if profiles[0] is None else decode_profile(profiles[0])
            found = {"user": str(users[0]), "features": features and {name: str(features[name]) for name in features}}
        records.append({**_record(case), "expected": _expected(found, rejects)})
    return {"partition_count": cases.PARTITION_COUNT, "records": records}


def _items() -> Json:
    records = []
    for case in cases.ITEMS:
        batch, rejects = decode_items(
            record_batch(case, "items"), ItemRules(cases.SPACES, quantise, features=cases.FEATURES)
        )
        found: Json = {}
        if len(batch):
            found = {
                "item": str(batch.item[0]),
                "category": str(batch.category[0]),
                "features": [str(feature) for feature in batch.features[0]],
                "title": batch.title[0],
                "forget": bool(batch.forget[0]),
                "vectors": {space: vectors[0].tolist() for space, (_, vectors) in batch.vectors.items()},
            }
        records.append({**_record(case), "expected": _expected(found, rejects)})
    return {"spaces": cases.SPACES, "features": list(cases.FEATURES), "records": records}


def _requests() -> Json:
    rules = RequestRules(cases.PARTITION_COUNT, cases.SPACES, quantise)
    records = []
    for case in cases.REQUESTS:
        request = parse_request(case.key, case.value, rules, partition=_partition(case))
        if isinstance(request, BadRequest):
            found: Json = {"request_id": request.request_id, "status": request.status, "code": request.code}
        else:
            found = {
                "request_id": request.request_id,
                "user": str(request.user),
                "items": [str(item) for item in request.items],
                "own_rows": request.own_rows.tolist(),
                "own_vectors": request.own_vectors.tolist(),
                "k": request.k,
                "want": request.want,
                "prefetch": request.prefetch,
                **({"filters": _filters(request.filters)} if request.filters else {}),
                **_explain_rows(request),
            }
        records.append({**_record(case), "expected": found})
    return {"partition_count": cases.PARTITION_COUNT, "spaces": cases.SPACES, "records": records}


def _explain_rows(request: Request) -> Json:
    """Which candidates are explained, where it is neither none nor all."""
    rows = request.explain_rows.tolist()
    return {"explain_rows": rows} if 0 < len(rows) < len(request.items) else {}


def _filters(filters: Filters) -> Json:
    return {
        "since_ms": None if filters.since_ms is None else str(filters.since_ms),
        "until_ms": None if filters.until_ms is None else str(filters.until_ms),
        "actions": filters.actions and list(filters.actions),
        "exclude_candidate": filters.exclude_candidate,
    }


FILES: dict[str, Callable[[], Json]] = {
    "ids": _ids,
    "behaviours": _behaviours,
    "users": _users,
    "items": _items,
    "requests": _requests,
}
"""Golden files by name, and what makes them."""


def _partition(case: Case) -> int:
    if case.partition is not None or not case.key:
        return case.partition or 0
    return partition_of_key(case.key, cases.PARTITION_COUNT)


def _record(case: Case) -> Json:
    return {
        "name": case.name,
        "partition": _partition(case),
        "broker_time_ms": str(cases.BROKER_TIME_MS),
        "headers": [[name, _base64(value)] for name, value in case.headers or ()],
        "key": _base64(case.key),
        "value": _base64(case.value),
    }


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _expected(found: Json, rejects: list[Reject]) -> Json:
    return {"reject": rejects[0].reason.value} if rejects else found
