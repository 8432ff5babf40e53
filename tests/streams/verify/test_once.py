"""Whole logs: what was served comes out again; every planted difference is named; what is gone is never equal."""

import msgspec
import pytest
import torch

from muse_stream.streams.export.past import Horizon
from muse_stream.streams.verify.ledger import Wanted
from muse_stream.streams.verify.report import Report
from muse_stream.streams.wire.answers import Answer, Status, encode_answer
from muse_stream.streams.wire.encode import candidate_with, encode_item
from muse_stream.streams.wire.ids import key_of
from tests.streams.export.logs import START_MS, partition_of, vector
from tests.streams.verify.served import Served, busy, model, planted

USER, AT = 1, partition_of(1)


@pytest.fixture
def served() -> Served:
    """Two items with vectors, one user with ten behaviours, one answer."""
    made = Served()
    for item in (1, 2, 3):
        made.logs.item(item, START_MS, category=item, features={"brand": item}, vector=vector(item))
    made.logs.profile(USER, {"country": 3}, START_MS)
    for number in range(10):
        made.logs.behave(USER, 1 + number % 3, START_MS + number)
    made.ask(USER, [1, 2, 3], want="both", k=4)
    return made


def wheres(report: Report) -> list[tuple[str, str]]:
    return [(one.what, one.where) for one in report.mismatches]


def test_what_was_served_comes_out_again_whatever_was_asked() -> None:
    made = busy()
    report = made.verify()
    assert report.mismatches == []
    assert (report.computed, report.compared, report.share_compared) == (20, 20, 1.0)
    assert report.not_rebuildable == report.model_not_here == {}
    assert report.window.compared == 20
    assert report.retrieval.compared > 5
    assert report.scores.compared > 5


def test_own_vectors_and_filters_count_as_they_were_sent(served: Served) -> None:
    for turn in range(3):
        served.ask(USER, [candidate_with(9, vector(50 + turn)), 2], want="both", k=9)
    assert served.verify().mismatches == []
    first = served.answer("r2").retrieved
    assert first is not None
    assert len(first[0].position) == 9


def test_answers_of_two_spaces_are_rebuilt_each_in_its_own(served: Served) -> None:
    for item in (1, 2):
        served.logs.item(item, START_MS, category=item, vector=vector(70 + item), space="v2")
    first, second = served.artefact, model(space="v2")
    served.artefact = second
    served.ask(USER, [1, 2], want="both")
    report = served.verify(first, second)
    assert (report.compared, report.mismatches) == (2, [])
    served.plant("r2", space="v1")
    assert served.verify(first, second).retrieval.mismatched == 1


def test_one_weight_of_the_model_is_found(served: Served) -> None:
    def nudge(weight: torch.Tensor) -> torch.Tensor:
        weight[0, 0] += 0.01
        return weight

    other = planted(served.artefact, {"network.tower.linears.2.weight": nudge})
    assert served.answer("r1").model is not None
    answer = served.answer("r1")
    assert answer.model is not None
    served.plant("r1", model=msgspec.structs.replace(answer.model, digest=other.digest))
    report = served.verify(other)
    assert (report.mismatched, report.scores.mismatched, report.retrieval.mismatched) == (1, 1, 0)
    found = report.mismatches[0]
    assert (found.request_id, found.user, found.model) == ("r1", "1", other.digest)
    assert (found.behaviours, found.users, found.items) == ((AT, 10), 1, 3)
    assert found.where == "candidate 1 (item 1)"
    assert answer.scores is not None
    assert (found.found, abs(found.expected - found.found) > 1e-6) == (answer.scores[0], True)


def test_one_vector_is_found(served: Served) -> None:
    (record,) = [one for one in served.logs.records["items", 0] if one.key == b"2"]
    other = vector(2)
    other[0] += 1
    value = encode_item(2, category=2, features={"brand": 2}, vector=other)[1]
    served.logs.records["items", 0][record.offset] = record._replace(value=value)
    report = served.verify()
    assert report.retrieval.mismatched == report.mismatched == 1
    assert any("cosine" in where for what, where in wheres(report) if what == "retrieval")


def test_one_missing_behaviour_is_found(served: Served) -> None:
    served.logs.hidden.add(("behaviours", AT, 9))
    report = served.verify()
    assert ("window", "window.stop") in wheres(report)
    assert ("window", "history_length") in wheres(report)
    stop = next(one for one in report.mismatches if one.where == "window.stop")
    assert (stop.expected, stop.found) == (9, 10)


def test_a_score_may_be_off_by_a_millionth_and_no_more(served: Served) -> None:
    scores = served.answer("r1").scores
    assert scores is not None
    served.plant("r1", scores=[scores[0], scores[1] + 5e-7, scores[2]])
    assert served.verify().mismatched == 0
    served.plant("r1", scores=[scores[0], scores[1] + 2e-6, scores[2]])
    assert wheres(served.verify()) == [("scores", "candidate 2 (item 2)")]


def test_a_score_that_differs_at_the_networks_step_is_listed_apart(served: Served) -> None:
    def level(tensor: torch.Tensor) -> torch.Tensor:
        tensor[1] = tensor[0]
        return tensor

    last = {"network.tower.linears.2.weight": level, "network.tower.linears.2.bias": level}
    served.artefact = planted(served.artefact, last)
    served.ask(USER, [1, 2, 3], want="both")
    scores = served.answer("r2").scores
    assert scores is not None
    served.plant("r2", scores=[scores[0] + 0.01, *scores[1:]])
    report = served.verify(served.artefact)
    assert (report.near_step, report.mismatched, report.scores.mismatched) == (1, 0, 0)
    (found,) = report.mismatches
    assert (found.near_step, found.where) == (True, "candidate 1 (item 1)")


def test_swapped_behaviours_and_a_flipped_last_bit_are_found(served: Served) -> None:
    retrieved = served.answer("r1").retrieved
    assert retrieved is not None
    position = retrieved[1].position
    swapped = msgspec.structs.replace(retrieved[1], position=[position[1], position[0], *position[2:]])
    served.plant("r1", retrieved=[retrieved[0], swapped, retrieved[2]])
    places = ["candidate 2 (item 2), place 1, position", "candidate 2 (item 2), place 2, position"]
    assert wheres(served.verify()) == [("retrieval", where) for where in places]
    cosine = retrieved[2].cosine
    flipped = msgspec.structs.replace(retrieved[2], cosine=[*cosine[:-1], cosine[-1] * (1 + 2**-52)])
    served.plant("r1", retrieved=[*retrieved[:2], flipped])
    assert wheres(served.verify()) == [("retrieval", f"candidate 3 (item 3), place {len(cosine)}, cosine")]
    short = msgspec.structs.replace(retrieved[2], cosine=cosine[:-1])
    served.plant("r1", retrieved=[*retrieved[:2], short])
    assert wheres(served.verify()) == [("retrieval", "candidate 3 (item 3), cosines")]


def test_an_order_of_candidates_that_is_not_the_requests_is_found(served: Served) -> None:
    served.plant("r1", candidates=[2, 1, 3])
    assert wheres(served.verify()) == [("window", "candidates")]


@pytest.mark.parametrize(("left_away", "what"), [("retrieved", "retrieval"), ("scores", "scores")])
def test_what_was_asked_for_and_is_not_there_is_found(served: Served, left_away: str, what: str) -> None:
    served.plant("r1", **{left_away: None})
    assert {found for found, _ in wheres(served.verify())} == {what}


def test_a_model_that_is_not_here_leaves_the_retrieval_compared(served: Served) -> None:
    other = model(seed=9)
    report = served.verify(other)
    assert report.model_not_here == {served.artefact.digest: 1}
    assert (report.scores.compared, report.retrieval.compared, report.mismatched) == (0, 1, 0)


def test_what_cannot_be_rebuilt_is_never_equal(served: Served) -> None:
    served.ask(USER, [1], request_id="twice")
    served.ask(USER, [2], request_id="twice")
    served.plant("r1", space="v9")
    assert served.verify().not_rebuildable == {"request_ambiguous": 2, "space_unknown": 1}
    served.plant("r1", space="v1")
    del served.logs.records["requests", AT][1:]
    gone = served.verify()
    assert (gone.not_rebuildable, gone.compared, gone.computed) == ({"request_gone": 2}, 1, 3)
    assert gone.share_compared == pytest.approx(1 / 3)
    served.logs.begin["behaviours", AT] = 1
    assert served.verify().not_rebuildable == {"request_gone": 2, "log_begins_later": 1}
    assert served.verify().compared == 0


@pytest.mark.parametrize(("part", "past"), [("users", 1), ("items", 1), ("items", 10**9)])
def test_positions_that_the_logs_do_not_have(served: Served, part: str, past: int) -> None:
    at = served.answer("r1").positions
    assert at is not None
    served.plant("r1", positions=msgspec.structs.replace(at, **{part: getattr(at, part) + past}))
    assert served.verify().not_rebuildable == {"beyond_log": 1}


def test_what_compaction_may_have_taken_is_not_rebuildable(served: Served) -> None:
    served.logs.item(1, START_MS + 50, category=1)
    served.logs.hidden.add(("items", 0, 0))
    report = served.verify(items=Horizon(True, START_MS + 100))
    assert report.not_rebuildable == {"items_incomplete": 1}


def test_answers_that_were_not_computed_are_counted_apart(served: Served) -> None:
    for status in (Status.EXPIRED, Status.OVERLOAD, Status.OVERLOAD):
        served.logs.add(
            "scores", AT, START_MS, key_of(USER), encode_answer(Answer(request_id="x", user="1", status=status))
        )
    served.logs.add("scores", AT, START_MS, key_of(USER), b"{")
    report = served.verify()
    assert report.not_computed == {"expired": 1, "overload": 2}
    assert (report.answers, report.unreadable, report.computed) == (4, 1, 1)


def test_only_what_was_asked_for(served: Served) -> None:
    assert (served.verify(wanted=Wanted(since_ms=START_MS + 1)).skipped, served.verify().computed) == (1, 1)
    some = served.verify(wanted=Wanted(share=1e-9))
    assert (some.skipped, some.computed) == (1, 0)


def test_an_answer_that_came_twice_is_compared_twice(served: Served) -> None:
    (record,) = served.logs.records["scores", AT]
    served.logs.add("scores", AT, START_MS, record.key or b"", record.value)
    assert served.verify().compared == 2
