"""The running mode over lists: in whatever order logs and answers come, each answer is compared on its own moment."""

import random
from collections import Counter

import msgspec
import pytest

from muse_stream.streams.verify import waiting
from muse_stream.streams.verify.compare import Verdict
from muse_stream.streams.verify.follow import state_of
from muse_stream.streams.verify.live import LiveVerifier
from muse_stream.streams.verify.reasons import Unknown
from tests.streams.export.logs import START_MS, batch_of, partition_of, vector
from tests.streams.verify.served import USERS, Served, busy, models

HOLD = 2.0
TOPICS = ("behaviours", "users", "items", "requests", "scores")


class Following:
    """A verifier that is fed from a served world's logs, up to where it is told."""

    def __init__(self, served: Served, share: float = 1.0) -> None:
        self.served = served
        self.live = LiveVerifier(state_of(served.settings, models(served.artefact), share), share, HOLD)
        self.read: Counter[tuple[str, int]] = Counter()
        self.found: list[Verdict | Unknown] = []
        self.now = 100.0

    def begin(self, cut: tuple[int, ...] = ()) -> "Following":
        """Read what there is, and start."""
        for topic in ("behaviours", "users", "items"):
            for partition in range(2):
                self.feed(topic, partition, before=True)
        self.live.begin(cut)
        return self

    def feed(self, topic: str, partition: int, upto: int | None = None, *, before: bool = False) -> None:
        """Records of one log up to an offset, by default all."""
        at = (topic, partition)
        end = len(self.served.logs.records.get(at, [])) if upto is None else upto
        if end > self.read[at]:
            seen = [one for one in self.served.logs.seen(at) if self.read[at] <= one.offset < end]
            batch = batch_of(at, seen, end)
            if before:
                self.live.read_before(batch)
            else:
                self.found += self.live.read(batch, self.now)
            self.read[at] = end

    def feed_all(self, *topics: str) -> None:
        for topic in topics or TOPICS:
            for partition in range(2):
                self.feed(topic, partition)

    def turn(self, seconds: float = 0.0) -> list[Verdict | Unknown]:
        """Let time pass; what came out in this turn."""
        self.now += seconds
        ends = {at: len(records) for at, records in self.served.logs.records.items()}
        found = list(self.live.turn(self.now, ends))
        self.found += found
        return found

    @property
    def reasons(self) -> list[Unknown]:
        return [one for one in self.found if isinstance(one, Unknown)]

    @property
    def verdicts(self) -> list[Verdict]:
        return [one for one in self.found if isinstance(one, Verdict)]


def world() -> Served:
    made = Served()
    for item in (1, 2, 3):
        made.logs.item(item, START_MS, category=item, vector=vector(item))
    for number in range(6):
        made.logs.behave(1, 1 + number % 3, START_MS + number)
    return made


def grown(served: Served, turn: int) -> None:
    """More behaviours, another profile, other vectors."""
    served.logs.item(1 + turn % 3, START_MS, category=turn, vector=vector(100 + turn))
    served.logs.profile(1, {"country": turn + 1}, START_MS)
    served.logs.behave(1, 1 + turn % 3, START_MS + 10 + turn)


def assert_all_equal(following: Following, count: int) -> None:
    assert following.reasons == []
    assert [one.differences for one in following.verdicts] == [[]] * count


def test_answers_are_compared_each_on_its_own_moment_in_whatever_order_they_come() -> None:
    served = world()
    following = Following(served).begin()
    for turn in range(8):
        grown(served, turn)
        served.ask(1, [1, 2, 3], want="both", k=9)
    dice = random.Random(5)
    for at in [("scores", partition_of(1)), ("requests", partition_of(1))]:
        dice.shuffle(records := served.logs.records[at])
        records[:] = [one._replace(offset=number) for number, one in enumerate(records)]
    following.feed_all("scores", "behaviours", "users", "items", "requests")
    assert following.turn() == [], "they wait for others"
    following.turn(HOLD)
    assert_all_equal(following, 8)
    assert len({one.exchange.positions.items for one in following.verdicts}) == 8


def test_an_answer_waits_until_the_logs_have_its_moment() -> None:
    served = world()
    following = Following(served).begin()
    grown(served, 1)
    served.ask(1, [1, 2], want="both")
    following.feed_all("scores")
    assert following.turn(HOLD) == []
    following.feed_all("requests", "items", "users")
    assert following.turn(HOLD) == [], "the behaviours are behind"
    assert following.turn(100 * HOLD) == [], "for as long as the log has them"
    following.feed_all("behaviours")
    following.turn()
    assert_all_equal(following, 1)


def test_items_wait_for_answers_and_go_on_without_any() -> None:
    served = world()
    following = Following(served).begin()
    served.ask(1, [1, 2], want="both")
    grown(served, 1)
    following.feed_all()
    following.turn(HOLD)
    assert_all_equal(following, 1)
    late = served.ends(1)
    grown(served, 2)
    following.feed_all()
    following.turn(HOLD + 1)
    served.ask(1, [1, 2], positions=late, want="both")
    following.feed_all()
    assert following.turn(HOLD) == [Unknown.PASSED]


def test_a_planted_difference_is_found() -> None:
    served = world()
    following = Following(served).begin()
    served.ask(1, [1, 2], want="both")
    scores = served.answer("r1").scores
    assert scores is not None
    served.plant("r1", scores=[scores[0] + 2e-6, scores[1]])
    following.feed_all()
    (verdict,) = following.turn(HOLD)
    assert isinstance(verdict, Verdict)
    assert [one.where for one in verdict.differences] == ["candidate 1 (item 1)"]


def test_what_cannot_be_placed_comes_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    served = world()
    early = served.ends(1)
    grown(served, 1)
    following = Following(served).begin()
    served.ask(1, [1], positions=early)
    served.ask(1, [2])
    del served.logs.records["requests", partition_of(1)][1]
    served.ask(1, [3])
    at = served.answer("r3").positions
    assert at is not None
    served.plant("r3", positions=msgspec.structs.replace(at, users=99))
    served.ask(1, [3])
    served.plant("r4", space="v9")
    following.feed_all()
    following.turn(HOLD)
    following.turn(10 * HOLD)
    assert Counter(following.reasons) == {
        Unknown.BEFORE_START: 1,
        Unknown.REQUEST_GONE: 1,
        Unknown.BEYOND_LOG: 1,
        Unknown.SPACE_UNKNOWN: 1,
    }
    monkeypatch.setattr(waiting, "BYTES_MAX", 10)
    served.ask(1, [1])
    following.feed_all()
    assert following.reasons[-1] is Unknown.NO_ROOM
    assert len(following.live.waiting) == 0


def test_a_partition_without_its_beginning_is_not_rebuildable() -> None:
    served = world()
    following = Following(served).begin(cut=(partition_of(1),))
    served.ask(1, [1])
    following.feed_all()
    assert following.turn(HOLD) == [Unknown.LOG_BEGINS_LATER]


def test_what_waits_at_the_end_is_counted() -> None:
    served = world()
    following = Following(served).begin()
    served.ask(1, [1])
    following.feed_all()
    assert following.live.end() == [Unknown.ENDED]
    assert following.turn(HOLD) == []


def test_only_the_share_of_users_is_taken() -> None:
    served = world()
    following = Following(served, share=1e-9).begin()
    served.ask(1, [1])
    following.feed_all()
    assert following.turn(HOLD) == []
    assert len(following.live.waiting) == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_all_kinds_of_requests(seed: int) -> None:
    served = busy(seed, answers=0)
    following = Following(served).begin()
    dice = random.Random(seed)
    for number in range(40):
        served.logs.behave(dice.choice(USERS), dice.randint(1, 12), START_MS + 10**6 + number)
        if number % 4 == 0:
            served.ask(dice.choice(USERS), [1, 2, 3], want="both", k=dice.choice([2, 60]))
    following.feed_all()
    following.turn(HOLD)
    assert_all_equal(following, 10)
