"""Samples of features that answers carried; which users' answers carry them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.columns import Columns, Taken
from muse_stream.streams.export.replay import LeftOut
from muse_stream.streams.export.sampler import Shape
from muse_stream.streams.export.served import served
from muse_stream.streams.export.tape import Tapes
from muse_stream.streams.serving.features import in_share
from muse_stream.streams.wire import answers as wire
from muse_stream.streams.wire.answers import encode_answer
from muse_stream.streams.wire.features import Behaviours, CandidateFeatures, Features
from tests.streams.export.logs import SHAPE, START_MS, ListReader, Logs, shown


def answer(request: str, user: str = "7", **more: Any) -> wire.Answer:
    """Candidates 1 and 2, a history of three, and one behaviour older than it."""
    made = [CandidateFeatures([item, 10 * item, 0], [2, 0], [0.5, 0.25], [0.5, 0.0], [1]) for item in (1, 2)]
    told = Behaviours([2, 3, 4, 5], [6, 8, 9, 9], [7, 1, 0, 2], [50, 100, 200, 300], [1, 1, 1, 4])
    names = list(SHAPE.spec.candidate_names), list(SHAPE.spec.user_names)
    return wire.Answer(
        request_id=request,
        user=user,
        status=wire.Status.OK,
        candidates=[1, 2],
        positions=wire.Positions(wire.PartitionOffset(1, 50), 60, 70),
        window=wire.Window(0, 6),
        behaviours=told,
        features=Features(*names, [1, 2], 3, made),
        **more,
    )


def former(request: str) -> bytes:
    """The same answer in the form before behaviours stood in one table."""
    value = msgspec.to_builtins(answer(request))
    del value["behaviours"]
    history = {"start": 3, "item": [8, 9, 9], "category": [1, 0, 2], "time_ms": [100, 200, 300], "action": [1, 1, 4]}
    candidate = {
        "position": [4, 2],
        "item": [9, 6],
        "category": [0, 7],
        "cosine": [0.5, 0.25],
        "recent_cosine": [0.5, 0.0],
        "recent_present": [True, False],
    }
    features = value["features"]
    del features["history_rows"]
    features["history"] = history
    features["candidates"] = [{"values": one["values"], **candidate} for one in features["candidates"]]
    return msgspec.json.encode(value)


def taken(values: list[bytes | None], requests: list[str], rows: list[tuple[Any, Any, int]], length: int = 2) -> Any:
    logs = Logs()
    for number, value in enumerate(values):
        logs.add("scores", 0, START_MS + number, b"7", value)
    shows = replace(shown(rows), request=requests)
    tapes = Tapes(ListReader(logs, most=1), [("scores", 0)])
    found = list(served(shows, [tapes["scores", 0]], SHAPE, length))
    left_out = {int(row): one.reason.value for one in found if isinstance(one, LeftOut) for row in one.rows}
    mine = [one for one in found if isinstance(one, Taken)]
    return Columns(SHAPE, "own").table(mine, shows).to_pylist() if mine else [], left_out


@pytest.mark.parametrize("value", [encode_answer(answer("a")), former("a")], ids=["table", "former"])
def test_a_sample_is_what_its_answer_carried(value: bytes) -> None:
    rows = [(7, 2, 5), (7, 3, 5), (8, 1, 5), (7, 1, 5)]
    samples, left_out = taken([b"poison", None, value], ["a", "a", "a", "b"], rows)
    assert left_out == dict.fromkeys([1, 2, 3], "not_served")
    (sample,) = samples
    assert (sample["user"], sample["item"], sample["category"], sample["user.band"]) == (7, 2, 20, 2)
    assert (sample["history_start"], sample["history_item"], sample["history_category"]) == (4, [9, 9], [0, 2])
    assert (sample["history_time_ms"], sample["history_action"]) == ([200, 300], [1, 4])
    assert (sample["retrieved_position"], sample["retrieved_cosine"]) == ([4, 2], [0.5, 0.25])
    assert (sample["retrieved_item"], sample["retrieved_category"]) == ([9, 6], [0, 7])
    assert (sample["recent_cosine"], sample["recent_cosine_present"]) == ([0.5, 0.0], [True, False])
    positions = ("behaviours_partition", "behaviours_position", "users_position", "items_position")
    assert [sample[name] for name in positions] == [1, 50, 60, 70]


def test_the_first_of_several_answers_counts() -> None:
    later = msgspec.structs.replace(answer("a"), window=wire.Window(1, 7))
    samples, _ = taken([encode_answer(answer("a")), encode_answer(later)], ["a"], [(7, 1, 5)])
    assert [sample["window_start"] for sample in samples] == [0]


def test_features_that_name_rows_beyond_the_table_give_nothing() -> None:
    whole = answer("a")
    assert whole.behaviours is not None
    assert whole.features is not None
    cut = Behaviours(*(getattr(whole.behaviours, name)[:2] for name in whole.behaviours.__struct_fields__))
    uneven = msgspec.structs.replace(whole.behaviours, action=[1])
    many = msgspec.structs.replace(whole.features, history_rows=5)
    for broken in ({"behaviours": None}, {"behaviours": cut}, {"behaviours": uneven}, {"features": many}):
        value = encode_answer(msgspec.structs.replace(whole, **broken))
        assert taken([value], ["a"], [(7, 1, 5)]) == ([], {0: "not_served"})


def test_answers_without_features_and_reserved_users_give_nothing() -> None:
    bare = msgspec.structs.replace(answer("a"), features=None)
    assert taken([encode_answer(bare)], ["a"], [(7, 1, 5)]) == ([], {0: "not_served"})
    shows = replace(shown([(7, 1, 5)]), request=["a"])
    shows.partition[0] = -1
    (first, second) = served(shows, [], SHAPE, 2)
    assert isinstance(first, LeftOut)
    assert isinstance(second, LeftOut)
    assert (first.reason.value, len(first.rows), len(second.rows)) == ("reserved", 1, 0)


def test_features_of_another_model_are_refused() -> None:
    other = Shape(FeatureSpec.of({"item": 4, "category": 4}, {"country": 4}), 3, 2, "v1")
    logs = Logs()
    logs.add("scores", 0, START_MS, b"7", encode_answer(answer("a")))
    shows = replace(shown([(7, 1, 5)]), request=["a"])
    tapes = Tapes(ListReader(logs), [("scores", 0)])
    with pytest.raises(ExportError, match="name the model that answered"):
        list(served(shows, [tapes["scores", 0]], other, 2))


def test_a_share_of_users_is_always_the_same_and_about_as_large() -> None:
    users = range(-5_000, 5_000)
    assert not any(in_share(user, 0.0) for user in users)
    assert all(in_share(user, 1.0) for user in users)
    tenth = {user for user in users if in_share(user, 0.1)}
    assert 800 < len(tenth) < 1_200
    assert tenth < {user for user in users if in_share(user, 0.5)}
