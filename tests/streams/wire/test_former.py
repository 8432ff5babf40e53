"""Answers in the form before behaviours stood in one table are read like all others."""

import json
from typing import Any

import msgspec
import pytest

from muse_stream.streams.wire.answers import decode_answer
from muse_stream.streams.wire.features import Behaviours, CandidateFeatures, Features

FORMER: dict[str, Any] = {
    "request_id": "r",
    "user": "7",
    "status": "ok",
    "candidates": [1, 2],
    "scores": [0.5, 0.25],
    "window": {"start": 0, "stop": 6},
    "explanation": {"retrieved_tiers": [[0] * 22] * 2, "recent_tiers": [[0] * 22] * 2},
    "features": {
        "candidate_names": ["item", "category"],
        "user_names": ["band"],
        "user": [1],
        "history": {"start": 4, "item": [8, 9], "category": [1, 0], "time_ms": [100, 200], "action": [1, 4]},
        "candidates": [
            {
                "values": [1, 10],
                "position": [5, 2],
                "item": [9, 6],
                "category": [3, 4],
                "cosine": [0.5, 0.25],
                "recent_cosine": [0.5, 0.0],
                "recent_present": [True, False],
            },
            {
                "values": [2, 20],
                "position": [],
                "item": [],
                "category": [],
                "cosine": [],
                "recent_cosine": [0.5, 0.125],
                "recent_present": [True, True],
            },
        ],
    },
}


def test_features_of_the_former_form_are_read_as_rows_of_one_table() -> None:
    answer = decode_answer(json.dumps(FORMER).encode())
    assert answer.scores == [0.5, 0.25]
    assert answer.behaviours == Behaviours([2, 4, 5], [6, 8, 9], [4, 1, 0], [-1, 100, 200], [-1, 1, 4])
    assert answer.features == Features(
        ["item", "category"],
        ["band"],
        [1],
        2,
        [
            CandidateFeatures([1, 10], [2, 0], [0.5, 0.25], [0.5, 0.0], [1]),
            CandidateFeatures([2, 20], [], [], [0.5, 0.125], []),
        ],
    )
    assert answer.explanation is None, "counts of tiers name no behaviour"


def test_a_former_explanation_alone_is_read_over() -> None:
    value = {name: field for name, field in FORMER.items() if name != "features"}
    answer = decode_answer(json.dumps(value).encode())
    assert (answer.explanation, answer.behaviours, answer.scores) == (None, None, [0.5, 0.25])


@pytest.mark.parametrize(
    "broken",
    [
        b"3",
        b"[]",
        b'{"status":"ok"}',
        b'{"request_id":"r","user":"1","status":"ok","features":3}',
        b'{"request_id":"r","user":"1","status":"ok","explanation":[]}',
        json.dumps({**FORMER, "features": {**FORMER["features"], "history": {"start": 4}}}).encode(),
        json.dumps(FORMER).replace('"position": [5, 2]', '"position": [5]').encode(),
        json.dumps(FORMER).replace('"time_ms": [100, 200]', '"time_ms": []').encode(),
    ],
)
def test_what_is_in_neither_form_is_refused(broken: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_answer(broken)
