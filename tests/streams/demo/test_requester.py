import time

import pytest

from muse_stream.streams.demo.requester import Asked, OpenRequests
from muse_stream.streams.errors import DeliveryError
from muse_stream.streams.kafka.producer import Written
from muse_stream.streams.wire.answers import Answer, AnswerError, Status, encode_answer


def answer(asked: Asked, status: Status = Status.OK) -> bytes:
    return encode_answer(Answer(request_id=asked.request_id, user="7", status=status))


def test_an_answer_settles_its_own_request() -> None:
    requests = OpenRequests()
    first, second = requests.add(), requests.add()
    requests.settle(answer(second), second.sent_seconds + 0.25)
    assert second.done.is_set()
    assert second.scored
    assert second.latency_ms == 250.0
    assert not first.done.is_set()
    assert not first.scored


def test_a_refusal_is_an_answer_but_no_score() -> None:
    requests = OpenRequests()
    asked = requests.add()
    refused = Answer(
        request_id=asked.request_id, user="7", status=Status.EXPIRED, error=AnswerError("late", "too late")
    )
    requests.settle(encode_answer(refused), 1.0)
    assert asked.done.is_set()
    assert not asked.scored


def test_a_second_answer_is_counted_and_changes_nothing() -> None:
    requests = OpenRequests()
    asked = requests.add()
    requests.settle(answer(asked), 1.0)
    requests.settle(answer(asked, Status.ERROR), 2.0)
    assert requests.repeated == 1
    assert asked.scored
    assert asked.read_seconds == 1.0


def test_records_that_are_no_answers_of_ours_pass_by() -> None:
    ours, others = OpenRequests(), OpenRequests()
    asked = ours.add()
    for value in (None, b"", b"not json", b'{"request_id": 5}', answer(others.add())):
        ours.settle(value, 1.0)
    nameless = Answer(request_id=None, user=None, status=Status.MALFORMED)
    ours.settle(encode_answer(nameless), 1.0)
    assert not asked.done.is_set()
    assert ours.repeated == 0


def test_giving_up_wakes_whoever_waits() -> None:
    requests = OpenRequests()
    asked = requests.add()
    requests.give_up()
    assert asked.done.is_set()
    assert asked.answer is None


class Refused:
    """A request that the broker does not take."""

    def done(self) -> bool:
        return True

    def exception(self) -> DeliveryError | None:
        return DeliveryError("1 record(s) not acknowledged: too large")

    def result(self, timeout: float | None = None) -> Written:
        raise DeliveryError


def test_who_waits_for_a_request_that_the_broker_refused_is_told_at_once() -> None:
    asked = OpenRequests().add()
    asked.pending = Refused()
    with pytest.raises(DeliveryError, match="not acknowledged"):
        asked.wait(time.monotonic() + 60)


def test_waiting_ends_with_the_answer_or_in_time() -> None:
    requests = OpenRequests()
    asked = requests.add()
    assert not asked.wait(time.monotonic())
    requests.settle(answer(asked), 1.0)
    assert asked.wait(time.monotonic())
