"""Standing answers: when they serve, what they cost, when they are made again; each is compared with the oracle."""

from collections.abc import Sequence

import numpy as np
import pytest

from muse_stream.gsu_engine import SearchBatch, standing
from muse_stream.gsu_engine.backends import cpu
from muse_stream.gsu_engine.contract import Backend
from tests.gsu_engine.oracle import answer, assert_identical
from tests.gsu_engine.test_packed import Follower

K, RECENT = 7, 5
pytestmark = pytest.mark.usefixtures("answers_stand")


class Asker(Follower):
    """Asks for the same candidates again and again."""

    def ask(self, items: Sequence[int] = range(1, 21), user: int = 1, k: int = K) -> tuple[int, int, int]:
        """Search and compare; returns what was served, scored and refilled by it."""
        before, history = self.stats(), self.world.histories[user]
        vectors, norms = self.engine.table.lookup(np.array(items))
        window = np.array([history.start]), np.array([history.stop])
        batch = SearchBatch(np.array([user]), *window, np.array([0, len(items)]), vectors, norms)
        expected = answer(batch, self.world.histories, self.world.vectors, k, RECENT)
        assert_identical(self.engine.search(batch, k, RECENT, self.world), expected)
        after = self.stats()
        return (
            after.served - before.served,
            after.rows_scored - before.rows_scored,
            after.refills - before.refills,
        )


@pytest.fixture
def asker(packing: Backend) -> Asker:
    """A user with 300 behaviours, whose answers stand."""
    made = Asker(packing, cap=300)
    made.append(1, made.rng.integers(1, 60, 300).tolist())
    for _ in range(3):
        made.ask()
    return made


def test_a_repeated_question_is_served_without_scoring_a_row(asker: Asker) -> None:
    assert asker.ask() == (20, 0, 0)
    assert asker.stats().answers == 20


def test_new_rows_alone_are_scored(asker: Asker) -> None:
    asker.append(1, [5, 61, 62])
    assert asker.ask()[:2] == (20, 60)
    assert asker.ask()[:2] == (20, 0)


def test_candidates_that_are_new_are_searched_for_beside_those_that_stand(asker: Asker) -> None:
    assert asker.ask(range(11, 31)) == (10, 0, 0)
    assert asker.ask(range(1, 31)) == (30, 0, 0)


def test_a_candidate_named_more_than_once_hears_of_a_new_row_once(asker: Asker) -> None:
    often = [5] * 12 + [6, 5, 7]
    asker.ask(often)
    asker.append(1, [5, 6])
    asker.ask(often)
    asker.append(1, [5])
    asker.ask(range(5, 8))


def test_rows_that_leave_cost_a_refill_only_when_too_few_remain(asker: Asker) -> None:
    served = scored = refilled = 0
    for _ in range(400):
        asker.append(1, asker.rng.integers(1, 60, 2).tolist())
        result = asker.ask()
        served, scored, refilled = served + result[0], scored + result[1], refilled + result[2]
    assert 0 < refilled < served // 20


def test_rows_that_came_to_an_empty_answer_leave_it_again(asker: Asker) -> None:
    nothing = 200  # an item without a vector
    asker.append(2, [nothing] * 10)
    for _ in range(4):
        asker.ask(user=2)
    served = []
    for more in ([5, 6, 7], [nothing] * 280, [nothing] * 20):
        asker.append(2, more)
        served.append(asker.ask(user=2)[0])
    assert served == [20] * 3


def test_serving_and_searching_share_a_thread_s_buffers(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    asker.append(1, [5])
    asker.ask(range(1, 31))  # rows have left: more keys are listed than are asked for
    made: list[int] = []
    monkeypatch.setattr(cpu, "make_arena", lambda *_, **__: made.append(1))
    for first in (31, 41, 51):
        asker.append(1, [5])
        asker.ask(range(first, first + 10))
    assert made == []


def test_fewer_results_come_from_the_same_answer_and_more_make_new_ones(asker: Asker) -> None:
    assert asker.ask(k=3) == (20, 0, 0)
    assert asker.ask(k=60)[0] == 0
    assert asker.ask(k=60) == (20, 0, 0)


def test_a_vector_that_changes_takes_the_answers_of_its_users_alone(asker: Asker) -> None:
    asker.put(np.array([90]))
    assert asker.ask()[0] == 20
    asker.put(np.array([30]))
    assert asker.ask()[0] == 0
    assert asker.ask()[0] == 20


def test_a_candidate_whose_own_vector_changed_is_another_one(asker: Asker) -> None:
    asker.ask(range(80, 90))
    asker.put(np.array([85]))
    assert asker.ask(range(80, 90)) == (9, 0, 0)


def test_more_candidates_than_there_is_room_for_start_again(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "CANDIDATES", 25)
    monkeypatch.setattr(standing, "BUCKETS", 40)
    asker.put(np.array([30]))
    asker.ask()
    assert asker.ask()[0] == 20
    asker.ask(range(21, 31))
    assert asker.stats().answers == 0
    asker.ask()
    assert asker.ask()[0] == 20
