import json

import pytest

from muse_stream.streams.wire.answers import (
    Answer,
    AnswerError,
    Model,
    PartitionOffset,
    Positions,
    Retrieved,
    Status,
    Window,
    decode_answer,
    encode_answer,
)
from muse_stream.streams.wire.features import (
    Behaviours,
    CandidateExplanation,
    CandidateFeatures,
    Explanation,
    Features,
)

FULL = Answer(
    request_id="r",
    user="17850",
    status=Status.OK,
    candidates=[1, "85123A"],
    scores=[0.25, 0.75],
    retrieved=[Retrieved([5], [6], [1], [7], [0.5]), Retrieved([], [], [], [], [])],
    positions=Positions(PartitionOffset(3, 12), 4, 5),
    window=Window(0, 8),
    model=Model("d", "v"),
    space="v1",
    history_length=8,
    watermark_ms=9,
    stages_ms={"retrieve": 1.5},
    behaviours=Behaviours([3, 7], [5, 5], [0, 2], [4, 6], [1, 1]),
    explanation=Explanation(
        [1, 0],
        [CandidateExplanation(0, [1], [0.5], [15], [15, -1], [1.0], [-0.25], [0.5, 0.5], [0.0, 0.125])],
        ["user", "candidate"],
    ),
    features=Features(["item"], ["country"], [3], 1, [CandidateFeatures([1], [1], [0.5], [0.5], [0])]),
    left_out=["features"],
)


@pytest.mark.parametrize(
    "answer",
    [FULL, Answer(request_id=None, user=None, status=Status.MALFORMED, error=AnswerError("bad_json", "why"))],
)
def test_round_trip(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


def test_what_does_not_apply_is_left_out() -> None:
    answer = Answer(request_id="r", user="1", status=Status.PREFETCHED)
    assert json.loads(encode_answer(answer)) == {"request_id": "r", "user": "1", "status": "prefetched"}


def test_later_fields_are_read_over() -> None:
    assert decode_answer(b'{"request_id":"r","user":"1","status":"ok","from_2030":1}').status is Status.OK
