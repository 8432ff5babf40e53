"""Answers as they were before behaviours stood in one table: `features` with lists of its own, `explanation` as counts.

They lie in logs for as long as those are kept, and are read like all others. Invariant: a renewed answer says nothing
that the former one did not: a behaviour whose time and action stood nowhere has -1 for both; counts of tiers, which
name no behaviour, are dropped.
"""

from collections.abc import Sized
from typing import Any

import msgspec

from muse_stream.streams.wire.features import Behaviours, CandidateFeatures, Features

NOT_TOLD = -1


class _History(msgspec.Struct):
    start: int
    item: list[int]
    category: list[int]
    time_ms: list[int]
    action: list[int]


class _Candidate(msgspec.Struct):
    values: list[int]
    position: list[int]
    item: list[int]
    category: list[int]
    cosine: list[float]
    recent_cosine: list[float]
    recent_present: list[bool]


class _Features(msgspec.Struct):
    candidate_names: list[str]
    user_names: list[str]
    user: list[int]
    history: _History
    candidates: list[_Candidate]


def renewed(answer: Any) -> Any:  # noqa: ANN401 -- any JSON value
    """An answer's JSON value in the present form. Raises msgspec.ValidationError: it is in neither."""
    if not isinstance(answer, dict):
        return answer
    if _has(answer.get("explanation"), "retrieved_tiers"):
        del answer["explanation"]
    if _has(answer.get("features"), "history"):
        former = msgspec.convert(answer["features"], _Features)
        _check(former)
        behaviours = _behaviours(former)
        answer["features"] = msgspec.to_builtins(_features(former, behaviours))
        answer["behaviours"] = msgspec.to_builtins(behaviours)
    return answer


def _has(part: Any, name: str) -> bool:  # noqa: ANN401 -- any JSON value
    return isinstance(part, dict) and name in part


def _check(former: _Features) -> None:
    history = former.history
    tables: list[tuple[Sized, ...]] = [
        (history.item, history.category, history.time_ms, history.action),
        *((one.position, one.item, one.category, one.cosine) for one in former.candidates),
    ]
    for columns in tables:
        if len(set(map(len, columns))) > 1:
            message = (
                f"columns of one table have the lengths {[len(column) for column in columns]}, expected one length"
            )
            raise msgspec.ValidationError(message)


def _behaviours(former: _Features) -> Behaviours:
    history = former.history
    rows: dict[int, tuple[int, ...]] = {}
    for one in former.candidates:
        for position, item, category in zip(one.position, one.item, one.category, strict=True):
            rows[position] = (position, item, category, NOT_TOLD, NOT_TOLD)
    newest = zip(history.item, history.category, history.time_ms, history.action, strict=True)
    for position, columns in enumerate(newest, history.start):
        rows[position] = (position, *columns)
    table = [rows[position] for position in sorted(rows)]
    return Behaviours(*([row[column] for row in table] for column in range(5)))


def _features(former: _Features, behaviours: Behaviours) -> Features:
    place = {position: row for row, position in enumerate(behaviours.position)}
    candidates = [
        CandidateFeatures(
            values=one.values,
            row=[place[position] for position in one.position],
            cosine=one.cosine,
            recent_cosine=one.recent_cosine,
            recent_absent=[number for number, present in enumerate(one.recent_present) if not present],
        )
        for one in former.candidates
    ]
    return Features(former.candidate_names, former.user_names, former.user, len(former.history.item), candidates)
