"""Sampled users' histories and profiles at any moment, against the worker's own store replayed up to it."""

import random
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import Sequence
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.streams.export.cluster import codecs_of
from muse_stream.streams.export.moments import Moment
from muse_stream.streams.export.past import LogPast, Seen, scratch_store
from muse_stream.streams.export.tape import Tapes
from muse_stream.streams.serving.features import in_share, in_share_each
from muse_stream.streams.verify import sampled
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.verify.sampled import SampledPartition
from muse_stream.streams.wire.ids import Id, id_of
from tests.streams.export.logs import START_MS, ListReader, Logs, batch_of, mixed, partition_of, settings_of
from tests.streams.verify.served import NEVER

USERS: list[Id] = [1, 2, 3, "anna", "bert", "nobody"]
STRICT = Rules(cap=6, duplicate_window=4, ttl_seconds=9)
CODECS = codecs_of(settings_of())


def fed(logs: Logs, partition: int, rules: Rules, share: float = 1.0, most: int = 7) -> SampledPartition:
    """Both logs, read in batches of `most`."""
    made = SampledPartition(CODECS, rules, share)
    for topic, take in (("behaviours", made.behaviours), ("users", made.users)):
        at = (topic, partition)
        end = len(logs.records.get(at, []))
        for low in range(0, end, most):
            high = min(end, low + most)
            take(batch_of(at, [one for one in logs.seen(at) if low <= one.offset < high], high))
    return made


def by_store(logs: Logs, partition: int, rules: Rules, where: tuple[int, int, int]) -> Seen:
    """The same by replay into a store: user, behaviours, users."""
    at = [("behaviours", partition), ("users", partition)]
    tapes = Tapes(ListReader(logs), at)
    with tempfile.TemporaryDirectory() as directory:
        identity = StoreIdentity("cluster", "behaviours", partition, 2)
        store = scratch_store(Path(directory), identity, rules, StoreBudget(1 << 20, 8 << 20))
        with closing(LogPast(store, tapes[at[0]], tapes[at[1]], CODECS, NEVER)) as past:
            found = past.see(where[0], Moment(0, where[1], where[2], 0))
    assert isinstance(found, Seen)
    return found


def assert_same(ours: Sequence, theirs: Sequence) -> None:
    assert (ours.start, ours.stop) == (theirs.start, theirs.stop)
    assert ours.rows.tobytes() == theirs.rows.tobytes()


@given(st.integers(0, 10**6), st.sampled_from([STRICT, Rules(), Rules(cap=3), Rules(ttl_seconds=3)]))
@settings(max_examples=15, deadline=None)
def test_any_moment_is_what_a_store_would_have_held(seed: int, rules: Rules) -> None:
    logs, dice = mixed(seed), random.Random(seed)
    made = {partition: fed(logs, partition, rules, most=dice.randint(1, 40)) for partition in (0, 1)}
    for _ in range(6):
        user = dice.choice(USERS)
        partition = partition_of(user)
        ends = [len(logs.records.get((topic, partition), [])) for topic in ("behaviours", "users")]
        behaviours, users = (dice.randint(0, end) for end in ends)
        ours = made[partition].see(id_of(user), behaviours, users)
        if ours is Unknown.PASSED:
            erasures = [one for one in logs.seen(("behaviours", partition)) if one.value is None]
            assert len(erasures) > 1, "only an erasure long ago is let go of"
            continue
        theirs = by_store(logs, partition, rules, (id_of(user), behaviours, users))
        assert isinstance(ours, Seen)
        assert_same(ours.history, theirs.history)
        assert ours.profile == theirs.profile


def test_others_count_for_repeats_and_for_the_clock_and_are_not_kept() -> None:
    logs, share = Logs(), 0.5
    users = [user for user in range(1, 40) if partition_of(user) == partition_of(1)]
    inside = next(user for user in users if in_share(user, share))
    other = next(user for user in users if not in_share(user, share))
    rules = Rules(duplicate_window=2, ttl_seconds=60)
    logs.behave(inside, 1, START_MS, event_id="a")
    logs.behave(other, 1, START_MS + 1, event_id="b")
    logs.behave(other, 1, START_MS + 2, event_id="c")
    logs.behave(inside, 2, START_MS + 3, event_id="a")
    logs.behave(other, 1, START_MS + 61_500, event_id="d")
    made = fed(logs, partition_of(1), rules, share)
    assert len(made) == 2
    found = made.see(inside, 4, 0)
    assert isinstance(found, Seen)
    assert found.history.rows["item"].tolist() == [1, 2], "the others' event ids push it out of the window"
    expired = made.see(inside, 5, 0)
    assert isinstance(expired, Seen)
    assert (len(expired.history), expired.history.start) == (0, 2), "another user's record moves the clock"


def test_what_was_let_go_of_is_never_a_shorter_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "SLACK_ROWS", 4)
    logs = Logs()
    for number in range(200):
        logs.behave(1, 1 + number % 9, START_MS + number)
    made = fed(logs, partition_of(1), Rules(cap=5))
    assert len(made) < 50
    assert made.see(1, 40, 0) is Unknown.PASSED
    found = made.see(1, 199, 0)
    assert isinstance(found, Seen)
    assert (found.history.start, found.history.stop) == (194, 199)
    assert made.see(1, 0, 0) is Unknown.PASSED


def test_the_share_of_many_is_the_share_of_each() -> None:
    users = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 2_000)
    for share in (0.0, 0.01, 0.5, 1.0):
        assert in_share_each(users, share).tolist() == [in_share(user, share) for user in users.tolist()]
