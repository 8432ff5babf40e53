import io

import numpy as np
import pytest
from rich.console import Console

from muse_stream.streams.demo import story
from muse_stream.streams.demo.dataset import OnlineRetail, load
from muse_stream.streams.demo.long_history import Added, LongHistory, busiest, newest_of, not_yet_bought
from muse_stream.streams.demo.requester import OpenRequests
from muse_stream.streams.demo.stage import Worth
from muse_stream.streams.wire.answers import Answer, Model, PartitionOffset, Positions, Retrieved, Status, Window

EMPTY = Retrieved([], [], [], [], [])
FOUND = Retrieved([71053, 4], [1291191960000, 1291191960001], [4, 4], [12, 99], [0.9876, -0.25])
ANSWER = Answer(
    request_id="r",
    user="17850",
    status=Status.OK,
    candidates=["85123A", 71053, "nosuch"],
    scores=[0.25, 0.75, 0.25],
    retrieved=[EMPTY, FOUND, EMPTY],
    positions=Positions(PartitionOffset(3, 8847), 296, 2501),
    window=Window(0, 100),
    model=Model("abc", "test"),
    stages_ms={"gsu": 1.25},
)


@pytest.fixture(scope="module")
def retail() -> OnlineRetail:
    return load()


def printed(show: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200)
    assert callable(show)
    show(console)
    return out.getvalue()


def test_candidates_are_ranked_and_ties_keep_the_requests_order() -> None:
    assert story.ranking(ANSWER) == [1, 0, 2]


@pytest.mark.parametrize("trained", [False, True])
def test_a_customers_story_shows_titles_scores_and_cosines(retail: OnlineRetail, trained: bool) -> None:
    text = printed(lambda console: story.show_customer(console, retail, 17850, ANSWER, trained=trained))
    assert "Customer 17850, United Kingdom: 297 purchases" in text
    assert "HAND WARMER UNION JACK" in text
    assert text.index("0.7500") < text.index("0.2500")
    assert "retrieved for WHITE METAL LANTERN: 2 behaviours" in text
    assert ("untrained" in text) is not trained
    assert "0.988" in text
    assert "2010-12-01 08:26" in text
    assert "offset 8847, items version 2501; gsu 1.2 ms" in text


def test_returns_are_told(retail: OnlineRetail) -> None:
    returned = retail.behaviours.of(int(retail.behaviours.user[retail.behaviours.action == 5][0]))
    last = np.flatnonzero(returned.action == 5)[-1]
    newest_first = type(returned)(*(getattr(returned, name)[: last + 1] for name in returned.__slots__))
    assert "(returned)" in printed(lambda console: console.print(story.last_purchases(newest_first, retail.catalogue)))


@pytest.mark.parametrize(
    ("worth", "text"),
    [
        (Worth(trained=False, samples=0, gauc=None), "x: first weights from a seed, nothing has been trained yet."),
        (Worth(trained=True, samples=0, gauc=None), "x: trained; how good it is, its artefact does not say."),
        (Worth(trained=True, samples=1_234, gauc=0.63514), "on 1,234 samples of these purchases, GAUC 0.635 on later"),
    ],
)
def test_what_scores_are_worth_is_said(worth: Worth, text: str) -> None:
    assert text in printed(lambda console: story.show_worth(console, "x", worth))


def test_drawn_negatives_are_called_so() -> None:
    worth = Worth(trained=True, samples=10, gauc=0.6)
    assert "negatives are drawn by popularity" in printed(lambda console: story.show_worth(console, "x", worth))


def long(added: Added) -> LongHistory:
    return LongHistory(-12748, 12748, 100_000, 100, 400.0, 200, 50, 9.0, 3.14, 0.55, added, [])


@pytest.mark.parametrize(
    ("cosine", "visible_ms", "said"),
    [(1.0, 12.5, "the next answer has it, cosine 1.000: 12.5 ms"), (None, None, "NOT retrieved")],
)
def test_the_long_history_is_marked_and_its_end_told(
    retail: OnlineRetail, cosine: float | None, visible_ms: float | None, said: str
) -> None:
    added = Added(71053, cosine, visible_ms, OpenRequests().add())
    text = printed(lambda console: story.show_long(console, retail.catalogue, long(added)))
    assert "Synthetic user -12748: customer 12748's purchases repeated to 100,000" in text
    assert "3.1 ms" in text
    assert "asked again: 0.6 ms" in text
    assert "a purchase of WHITE METAL LANTERN" in text
    assert said in text


def test_the_newest_behaviour_is_found_by_its_position() -> None:
    assert newest_of(ANSWER, "85123A") is None
    candidates: list[int | str] = ["a", "b"]
    newest = Answer(
        request_id="r",
        user="1",
        status=Status.OK,
        candidates=candidates,
        retrieved=[EMPTY, FOUND],
        window=Window(0, 100),
    )
    assert newest_of(newest, "b") == -0.25
    assert newest_of(newest, "a") is None


def test_the_added_item_is_new_to_the_customer(retail: OnlineRetail) -> None:
    assert busiest(retail) == 12748
    bought = retail.behaviours.of(17850).item
    assert not_yet_bought(["71053", "22423"], bought) == "22423"
    assert not_yet_bought(["71053"], bought) == "71053"
