from collections import deque

import pytest

from muse_stream.streams.demo.dataset import OnlineRetail, load
from muse_stream.streams.demo.requester import Asked, OpenRequests
from muse_stream.streams.demo.run import figures
from muse_stream.streams.demo.scrape import Reading
from muse_stream.streams.demo.traffic import Replay, Shop, model_of, stage_times_ms
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.answers import Answer, Model, Status


@pytest.fixture(scope="module")
def retail() -> OnlineRetail:
    return load()


def answered(latency_ms: float, stages: dict[str, float], model: Model | None = None) -> Asked:
    asked = OpenRequests().add()
    asked.answer = Answer(request_id=asked.request_id, user="1", status=Status.OK, stages_ms=stages, model=model)
    asked.read_seconds = asked.sent_seconds + latency_ms / 1e3
    return asked


def test_candidates_are_distinct_products_and_the_same_in_every_run(retail: OnlineRetail) -> None:
    first, second = Shop(retail), Shop(retail)
    candidates = first.candidates()
    assert len(set(candidates)) == 200
    assert set(candidates) <= set(retail.catalogue.code)
    assert second.candidates() == candidates
    assert first.candidates() != candidates


def test_customers_have_bought_something_already(retail: OnlineRetail) -> None:
    shop = Shop(retail)
    sent = set(retail.behaviours.user[:500].tolist())
    assert {shop.customer(500) for _ in range(200)} <= sent
    assert shop.customer(0) == retail.behaviours.user[0]


def test_stage_times_leave_out_what_was_not_answered() -> None:
    asked = [answered(1.0, {"gsu": 2.0}), OpenRequests().add(), answered(1.0, {"esu": 3.0})]
    assert stage_times_ms(asked, "gsu") == [2.0]


def test_the_model_is_the_last_one_named() -> None:
    old, new = Model("a", "old"), Model("b", "new")
    assert model_of([answered(1.0, {}, old), answered(1.0, {}, new), OpenRequests().add()]) == new
    assert model_of([]) is None


def test_figures_rate_is_over_the_last_looks_and_stored_since_the_beginning(retail: OnlineRetail) -> None:
    replay = Replay(Settings(), retail, None, sent=900)
    before = Reading(100)
    looks = deque([(10.0, Reading(600)), (11.0, Reading(700)), (12.0, Reading(1_000))])
    asked = [answered(20.0, {"gsu": 1.5}), answered(40.0, {"esu": 4.0}), OpenRequests().add()]
    seen = figures(6.0, replay, asked, before, looks)
    assert (seen.sent, seen.stored, seen.total) == (900, 900, 32_181)
    assert seen.events_per_second == 200.0
    assert (seen.requests_sent, seen.requests_answered) == (3, 2)
    assert seen.latency_p99_ms == pytest.approx(40.0)
    assert (seen.retrieval_p50_ms, seen.scoring_p50_ms) == (1.5, 4.0)
