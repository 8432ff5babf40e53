from muse_stream.streams.ingest.letters import PAUSE_FIRST_SECONDS, PAUSE_MAX_SECONDS, Delivery
from tests.streams.ingest.fakes import FakeClock, FakeSink
from tests.streams.ingest.test_clients import reject


def test_nothing_to_send_is_settled() -> None:
    sink = FakeSink(at_once=False)
    assert Delivery(sink, [], FakeClock().seconds).settled()
    assert sink.flying == []


def test_the_pause_between_attempts_grows_to_its_bound_and_all_are_sent_again() -> None:
    sink, clock = FakeSink(at_once=False), FakeClock()
    delivery = Delivery(sink, [reject(1), reject(2)], clock.seconds)
    pauses = []
    for _ in range(10):
        sink.refuse()
        assert not delivery.settled()
        began = clock.now
        while not sink.flying:
            clock.sleep(0.01)
            assert not delivery.settled()
        pauses.append(round(clock.now - began, 1))
    assert pauses[0] == PAUSE_FIRST_SECONDS
    assert pauses[-1] == PAUSE_MAX_SECONDS
    assert pauses == sorted(pauses)
    assert "2 dead letters" in str(delivery.error)
    sink.acknowledge()
    assert delivery.settled()
    assert [letter.offset for letter in sink.letters] == [1, 2]


def test_letters_that_were_cancelled_are_sent_again() -> None:
    sink, clock = FakeSink(at_once=False), FakeClock()
    delivery = Delivery(sink, [reject(1)], clock.seconds)
    sink.flying.pop()[1].cancel()
    assert not delivery.settled()
    clock.sleep(PAUSE_FIRST_SECONDS)
    assert not delivery.settled()
    sink.acknowledge()
    assert delivery.settled()
