"""Requests that are computed: what the answer says of behaviours, positions and scores is what the log says."""

import numpy as np
import pytest

from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.encode import candidate_with, encode_user
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.requests import Candidate, FilterFields, NotBefore
from tests.streams.worker.alone.world import ITEMS, World
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Worker, until
from tests.streams.worker.log import LogModel, Row, read_topic

pytestmark = pytest.mark.kafka
CANDIDATES = [3, 14, 15, 9, 26]
CAP = 100_000


def check_retrieved(world: World, rows: list[Row], answer: Answer, k: int, start: int = 0) -> None:
    """Compare with a plain search over `rows`, whose first one has position `start`."""
    assert answer.retrieved is not None
    assert answer.candidates is not None
    for candidate, found in zip(answer.candidates, answer.retrieved, strict=True):
        numbers, cosines = world.search(rows, world.vectors[int(str(candidate))], k)
        assert found.position == [start + number for number in numbers]
        assert found.cosine == pytest.approx(cosines, abs=1e-6)
        assert list(zip(found.item, found.time_ms, found.action, strict=True)) == [rows[n][:3] for n in numbers]


@pytest.mark.parametrize("want", ["scores", "retrieved", "both"])
def test_the_answer_has_what_was_wanted(world: World, client: Client, want: str) -> None:
    answer = client.ask(6, CANDIDATES, want=want, k=7)
    assert answer.status is Status.OK
    assert answer.candidates == CANDIDATES
    if want == "scores":
        assert answer.retrieved is None
    else:
        check_retrieved(world, world.rows[6], answer, 7)
    if want == "retrieved":
        assert answer.scores is None
        assert answer.model is None
    else:
        assert answer.scores is not None
        assert answer.model is not None
        assert answer.model.version == "untrained-5"
        assert len(set(answer.scores)) == len(CANDIDATES)
        assert all(0 < score < 1 for score in answer.scores)


def test_k_bounds_what_is_shown_and_not_what_is_scored(world: World, client: Client) -> None:
    one, most = client.ask(5, CANDIDATES, want="both", k=1), client.ask(5, CANDIDATES, want="both", k=30)
    assert one.scores == most.scores
    check_retrieved(world, world.rows[5], one, 1)
    check_retrieved(world, world.rows[5], most, 30)


@pytest.mark.usefixtures("world")
def test_positions_and_window_are_those_of_the_log(client: Client) -> None:
    records = read_topic(client.installation, client.topics.behaviours)
    model = LogModel([record for record in records if record.key in {b"%d" % user for user in range(1, 9)}], CAP)
    items = read_topic(client.installation, client.topics.items)
    for user in range(1, 9):
        answer = client.ask(user, CANDIDATES)
        assert answer.positions is not None
        assert answer.window is not None
        place = answer.positions.behaviours
        mine = [record for record in records if record.partition == place.partition]
        start, stop = model.users[user].window(place.offset)
        assert place.partition == partition_of_key(str(user).encode(), client.topics.partitions)
        assert place.offset == mine[-1].offset + 1
        assert (answer.window.start, answer.window.stop) == (start, stop)
        assert answer.history_length == stop - start > 0
        assert answer.watermark_ms == max(record.timestamp for record in mine)
        assert answer.positions.items == items[-1].offset + 1
        assert answer.space == "v1"
        assert {"decode", "queue", "state_read", "gsu", "features", "esu"} <= answer.stages_ms.keys()


def test_filters_narrow_what_is_retrieved(world: World, client: Client) -> None:
    rows = world.rows[8]
    since_ms, until_ms = rows[20][1], rows[90][1]
    fields = FilterFields(since_ms=since_ms, until_ms=until_ms, actions=["purchase", 0])
    answer = client.ask(8, CANDIDATES, want="retrieved", k=50, filters=fields)
    kept = [n for n, row in enumerate(rows) if since_ms <= row[1] < until_ms and row[2] in {4, 0}]
    assert answer.retrieved is not None
    for candidate, found in zip(CANDIDATES, answer.retrieved, strict=True):
        numbers, _ = world.search([rows[n] for n in kept], world.vectors[candidate], 50)
        assert found.position == [kept[n] for n in numbers]
        assert len(found.position) > 5


def test_a_candidate_is_not_retrieved_for_itself_where_that_was_asked(world: World, client: Client) -> None:
    rows = world.rows[8]
    fields = FilterFields(since_ms=rows[20][1], exclude_candidate=True)
    answer = client.ask(8, CANDIDATES, want="retrieved", k=50, filters=fields)
    assert answer.retrieved is not None
    assert len({row[0] for row in rows[20:]} & set(CANDIDATES)) > 2
    for candidate, found in zip(CANDIDATES, answer.retrieved, strict=True):
        kept = [n for n in range(20, len(rows)) if rows[n][0] != candidate]
        numbers, _ = world.search([rows[n] for n in kept], world.vectors[candidate], 50)
        assert found.position == [kept[n] for n in numbers]
        assert candidate not in found.item


@pytest.mark.usefixtures("world")
def test_an_explanation_comes_with_what_it_speaks_of(client: Client) -> None:
    answer = client.ask(4, CANDIDATES, want="retrieved", k=9, explain=True)
    assert answer.explanation is not None
    assert answer.behaviours is not None
    assert answer.retrieved is not None
    positions = [[answer.behaviours.position[row] for row in one.row] for one in answer.explanation.candidates]
    assert positions == [found.position for found in answer.retrieved]
    assert [len(one.tier) for one in answer.explanation.candidates] == [9] * len(CANDIDATES)
    scored = client.ask(4, CANDIDATES[:1], explain=True)
    assert scored.explanation is not None
    assert len(scored.explanation.candidates[0].change) == len(scored.explanation.candidates[0].row) > 0


def test_a_candidate_s_own_vector_replaces_the_item_log_s(world: World, client: Client) -> None:
    own: list[int | Candidate] = [
        candidate_with(26, world.vectors[3]),
        26,
        candidate_with(999_999, world.vectors[3].astype(np.float32)),
    ]
    answer = client.ask(6, own, want="retrieved", k=5)
    plain = client.ask(6, [3, 26], want="retrieved", k=5)
    assert answer.retrieved is not None
    assert plain.retrieved is not None
    assert answer.retrieved[:2] == plain.retrieved
    assert answer.retrieved[2].position == plain.retrieved[0].position
    assert answer.candidates == [26, 26, 999_999]


def test_unknown_users_and_items_get_scores(world: World, client: Client) -> None:
    nobody = client.ask("nobody-at-all", CANDIDATES, want="both")
    assert nobody.status is Status.OK
    assert nobody.history_length == 0
    assert nobody.window is not None
    assert (nobody.window.start, nobody.window.stop) == (0, 0)
    assert nobody.scores is not None
    assert all(0 < score < 1 for score in nobody.scores)
    assert nobody.retrieved is not None
    assert all(found.position == [] for found in nobody.retrieved)
    strange = client.ask(6, [123_456_789, "no such item", ITEMS, 3], want="both", k=5)
    assert strange.scores is not None
    assert all(0 < score < 1 for score in strange.scores)
    assert strange.retrieved is not None
    assert [len(found.position) for found in strange.retrieved] == [0, 0, 0, 5]
    assert strange.scores[0] != strange.scores[3]
    check_retrieved(world, world.rows[6], client.ask(6, [3], want="retrieved", k=5), 5)


@pytest.mark.usefixtures("world")
def test_the_profile_counts_and_the_context_wins(client: Client) -> None:
    def scores(**options: object) -> list[float] | None:
        return client.ask(2, CANDIDATES, **options).scores

    def profile(country: int) -> None:
        key, value = encode_user(2, {"country": country, "not in the model": 1})
        written = client.put(client.topics.users, key, value)
        (worker,) = client.installation.workers
        until(lambda: worker.position(client.topics.users, written.partition) > written.offset, "the profile", worker)

    unknown = scores()
    profile(3)
    third = scores()
    profile(4)
    fourth = scores()
    assert unknown != third != fourth != unknown
    assert scores(context={"country": 3}) == third
    assert scores(context={"country": 7}) not in (unknown, third, fourth)
    written = client.put(client.topics.users, b"2", None)
    (worker,) = client.installation.workers
    until(lambda: worker.position(client.topics.users, written.partition) > written.offset, "forgetting", worker)
    assert scores() == unknown


def test_a_prefetch_makes_the_history_resident(world: World, worker: Worker, client: Client) -> None:
    assert world.rows
    written = [client.behave("early bird", item) for item in (1, 2, 3)][-1]
    not_before = NotBefore(written.partition, written.offset)
    before = worker.get("/v1/status").body["engine"]["resident_users"]
    answer = client.ask("early bird", [], prefetch=True, not_before=not_before)
    assert answer.status is Status.PREFETCHED
    assert answer.history_length == 3
    assert answer.scores is None
    assert worker.get("/v1/status").body["engine"]["resident_users"] == before + 1
    client.ask("early bird", CANDIDATES)
    assert worker.get("/v1/status").body["engine"]["resident_users"] == before + 1


def test_not_before_shows_the_client_its_own_write(world: World, client: Client) -> None:
    rows: list[Row] = []
    for number in range(1, 31):
        item = number % 9 + 1
        written = client.behave(1_001, item)
        answer = client.ask(
            1_001, [item], want="retrieved", k=3, not_before=NotBefore(written.partition, written.offset)
        )
        assert answer.status is Status.OK
        assert answer.window is not None
        assert answer.window.stop == number
        assert answer.positions is not None
        assert answer.positions.behaviours.offset > written.offset
        assert answer.retrieved is not None
        assert answer.retrieved[0].position[0] == number - 1
        rows.append((item, answer.retrieved[0].time_ms[0], 1, 0))
        check_retrieved(world, rows, answer, 3)


@pytest.mark.usefixtures("world")
def test_not_before_a_record_to_come_waits_for_it(client: Client) -> None:
    first = client.behave(1_002, 1)
    waiting = client.send(1_002, [1], not_before=NotBefore(first.partition, first.offset + 1), deadline_ms=60_000)
    later = client.ask(1_002, [1])
    assert later.status is Status.OK
    assert waiting not in client.answers
    client.behave(1_002, 2)
    answer = client.answer(waiting)
    assert answer.status is Status.OK
    assert answer.window is not None
    assert answer.window.stop == 2


def test_an_erased_user_starts_again_and_keeps_counting(world: World, client: Client) -> None:
    for item in (1, 2, 3):
        client.behave(1_003, item)
    client.ask(1_003, CANDIDATES)
    client.put(client.topics.behaviours, b"1003", None)
    written = client.behave(1_003, 4)
    answer = client.ask(1_003, CANDIDATES, want="both", k=5, not_before=NotBefore(written.partition, written.offset))
    assert answer.window is not None
    assert (answer.window.start, answer.window.stop) == (3, 4)
    assert answer.retrieved is not None
    assert all(found.item == [4] for found in answer.retrieved)
    assert world.rows


def test_a_vector_that_comes_late_finds_the_behaviours_that_were_there(world: World, client: Client) -> None:
    from muse_stream.streams.wire.encode import encode_item

    item = ITEMS + 7
    written = client.behave(1_004, item)
    not_before = NotBefore(written.partition, written.offset)
    early = client.ask(1_004, [3], want="retrieved", not_before=not_before)
    assert early.retrieved is not None
    assert early.retrieved[0].item == []
    assert early.positions is not None
    put = client.put(client.topics.items, *encode_item(item, vector=world.vectors[3]))
    (worker,) = client.installation.workers
    until(
        lambda: worker.get("/v1/status").body["items"]["version"] > put.offset,
        "the vector",
        worker,
    )
    late = client.ask(1_004, [3], want="retrieved")
    assert late.retrieved is not None
    assert late.retrieved[0].item == [item]
    assert late.retrieved[0].cosine == pytest.approx([1.0], abs=1e-6)
    assert late.positions is not None
    assert late.positions.items > put.offset >= early.positions.items
