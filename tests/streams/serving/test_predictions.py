"""What asks are predicted to cost, and what is learnt from the answers."""

from dataclasses import replace
from typing import Any

import pytest

from muse_stream.streams.serving.cost import CostModel, Size, Stages
from muse_stream.streams.serving.pipeline import Ask
from muse_stream.streams.serving.predictions import PREFETCH_WAIT_SECONDS, Predictions, size_of
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.requests import Request, RequestValue, parse_request
from tests.streams.serving.parts import rules


def ask(candidates: int, user: int = 1, **options: Any) -> Ask:
    value = RequestValue(request_id="r", candidates=list(range(1, candidates + 1)), **options)
    request = parse_request(*encode_request(user, value), rules())
    assert isinstance(request, Request)
    clock = StageClock()
    return Ask(0, request, clock.started + 10, clock)


def test_a_size_counts_what_the_request_asks_for() -> None:
    scores = size_of(ask(20), 1_000)
    assert scores == Size(0, 1, 1_000, 20_000, 20, 0)
    assert size_of(ask(20, want="retrieved", k=5), 1_000) == Size(0, 1, 1_000, 20_000, 0, 100)
    assert size_of(ask(20, want="both", k=50, features=True), 30) == Size(0, 1, 30, 600, 20, 2 * 600)
    assert size_of(ask(0, prefetch=True), 1_000) == Size(0, 1, 1_000, 0, 0, 0)


def test_a_claim_grows_with_the_history_of_the_last_answer() -> None:
    predictions = Predictions(CostModel())
    stranger = predictions.claim(ask(200), 0.0)
    predictions.learn([ask(200)], [100_000], 50.0)
    known, other = predictions.claim(ask(200), 0.0), predictions.claim(ask(200, user=2), 0.0)
    assert stranger.ms < other.ms < known.ms
    assert (known.weight, predictions.claim(ask(0, prefetch=True), 0.0).weight) == (200, 0)


def test_a_prefetch_is_of_use_for_a_moment_only() -> None:
    predictions = Predictions(CostModel())
    usual, prefetch = ask(3), ask(0, prefetch=True)
    assert predictions.claim(usual, 5.0).deadline == usual.deadline
    now = prefetch.deadline - 2 * PREFETCH_WAIT_SECONDS
    assert predictions.claim(prefetch, now).deadline == now + PREFETCH_WAIT_SECONDS
    hurried = replace(prefetch, deadline=now)
    assert predictions.claim(hurried, now).deadline == now


def test_passes_teach_by_stage_and_passes_that_computed_nothing_do_not() -> None:
    costs, fast, slow = CostModel(), ask(200), ask(200)
    predictions = Predictions(costs)
    predictions.learn([fast, slow], [None, None], 0.01)
    assert (costs.factors, costs.stretch) == (Stages(1, 1, 1), 1)
    slow.clock.seconds.update(state_read=0.001, gsu=0.010, features=0.002, esu=0.070)
    for _ in range(200):
        predictions.learn([slow, fast], [10_000, None], 90.0)
    assert costs.factors.score > 5
    assert costs.stretch * (costs.overhead_ms + predictions.claim(slow, 0.0).ms) == pytest.approx(90, rel=0.05)
