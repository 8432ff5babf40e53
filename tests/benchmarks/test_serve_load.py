import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from muse_stream.benchmarks.serve_load import (
    LEAD_IN_SECONDS,
    LIMIT_MS,
    PREFETCH_SECONDS,
    Case,
    Fired,
    Shot,
    State,
    fire,
    schedule,
    users_of,
)
from muse_stream.streams.demo.requester import Asked
from muse_stream.streams.wire.answers import Answer, Status

RATE, SECONDS = 50.0, 200.0


def shots_of(state: State, seed: int = 0) -> list[Shot]:
    case = Case(10, state, RATE)
    rng = np.random.default_rng(seed)
    users = users_of(case, rng, itertools.cycle([1, 2, 3]), [7, 8])
    return schedule(case, rng, users, SECONDS)


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    at = np.array([shot.at_seconds for shot in shots_of(State.COLD)])
    gaps = np.diff(at)
    assert (gaps >= 0).all()
    assert at.min() >= -LEAD_IN_SECONDS
    assert at.max() < SECONDS
    assert len(at) == pytest.approx(RATE * (SECONDS + LEAD_IN_SECONDS), rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05), "a fixed step would have no spread"


def test_the_same_seed_gives_the_same_load() -> None:
    assert shots_of(State.RESIDENT) == shots_of(State.RESIDENT)
    assert shots_of(State.RESIDENT) != shots_of(State.RESIDENT, seed=1)


def test_who_is_asked_for() -> None:
    assert {shot.user for shot in shots_of(State.RESIDENT)} == {7, 8}
    assert [shot.user for shot in shots_of(State.COLD)][:4] == [1, 2, 3, 1]


def test_a_prefetch_goes_ahead_of_every_request_and_does_not_count() -> None:
    shots = shots_of(State.PREFETCH)
    ahead = [shot.at_seconds for shot in shots if shot.prefetch]
    asked = [shot.at_seconds for shot in shots if not shot.prefetch]
    assert np.allclose(np.array(ahead) + PREFETCH_SECONDS, asked)
    assert [shot.at_seconds for shot in shots] == sorted(ahead + asked)
    assert not any(shot.counted for shot in shots if shot.prefetch or shot.at_seconds < 0)
    assert all(shot.counted for shot in shots if not shot.prefetch and shot.at_seconds >= 0)


class Recorder:
    def __init__(self) -> None:
        self.sent: list[tuple[int, list[int], dict[str, Any]]] = []

    def send(self, user: int, candidates: Sequence[int], **options: Any) -> Asked:
        self.sent.append((user, list(candidates), options))
        return Asked(str(len(self.sent)), time.perf_counter())


def test_shots_are_sent_in_their_order_and_never_early(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    recorder = Recorder()
    shots = [Shot(-0.05, 1, prefetch=True), Shot(0.0, 1), Shot(0.5, 2)]
    fired = fire(recorder, shots, [[10], [11]])
    assert recorder.sent == [(1, [], {"prefetch": True}), (1, [10], {}), (2, [11], {})]
    assert [one.asked.sent_seconds for one in fired] == pytest.approx([one.meant_seconds for one in fired])
    assert fired[2].meant_seconds - fired[1].meant_seconds == pytest.approx(0.5)


def test_latency_counts_from_the_intended_time() -> None:
    asked = Asked("a", sent_seconds=5.0, answer=answer(Status.OK), read_seconds=5.25)
    assert Fired(Shot(0.0, 1), meant_seconds=4.0, asked=asked).latency_ms == pytest.approx(1250.0)


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.OVERLOAD, None])
def test_a_request_without_a_result_counts_as_the_longest_wait(status: Status | None) -> None:
    asked = Asked("a", sent_seconds=5.0, answer=answer(status) if status else None, read_seconds=5.001)
    assert Fired(Shot(0.0, 1), meant_seconds=5.0, asked=asked).latency_ms == LIMIT_MS


def answer(status: Status) -> Answer:
    return Answer(request_id="a", user="1", status=status)
