"""What a person sees of an explanation."""

import io

import msgspec
from rich.console import Console

from muse_stream.streams.cli.explanation import Names, bars, by_change, show_explanation
from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.features import Behaviours, CandidateExplanation, Explanation

TIME_MS = 1_291_213_020_000
COUNT = 10
ONE = CandidateExplanation(
    candidate=1,
    row=list(range(COUNT)),
    cosine=[0.9 - place / 100 for place in range(COUNT)],
    tier=[19] * COUNT,
    recent_tier=[-1],
    weight=[0.1] * COUNT,
    change=[0.0, 0.25, -0.5, *[0.001] * 7],
    recent_weight=[1.0],
    block_change=[-0.02, 0.01],
)
ANSWER = Answer(
    request_id="r",
    user="7",
    status=Status.OK,
    candidates=["[a]", "85123A"],
    scores=[0.25, 0.75],
    behaviours=Behaviours(
        list(range(COUNT)), list(range(100, 100 + COUNT)), [0] * COUNT, [TIME_MS] * COUNT, [4] * 9 + [77]
    ),
    explanation=Explanation([9], [ONE], ["sa_ta", "user"]),
)
NAMES = Names({102: "WHITE [heart]"}, {4: "purchase"})


def shown(answer: Answer) -> list[str]:
    output = io.StringIO()
    show_explanation(Console(file=output, width=160), answer, NAMES)
    return output.getvalue().splitlines()


def test_behaviours_are_shown_by_what_they_change() -> None:
    lines = shown(ANSWER)
    assert lines[0].strip() == "85123A, score 0.7500: 10 behaviours retrieved"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "purchase" in line]
    assert rows[0] == ["-0.5000", "0.100", "0.880", "19", "2010-12-01 14:17", "purchase", "102", "WHITE [heart]"]
    assert [row[6] for row in rows[:2]] == ["102", "101"]
    assert len(rows) == 8
    assert "  2 more change the score by 0.0010 at most" in lines
    assert any("1 of 2 candidates are explained" in line for line in lines)


def test_blocks_are_bars_the_largest_the_longest() -> None:
    assert bars(["sa_ta", "user"], [-0.02, 0.01]) == [
        "  sa_ta  -0.0200  ##############################",
        "  user   +0.0100  ###############",
    ]
    assert bars(["user"], [0.0]) == ["  user  +0.0000"]
    assert bars([], []) == []
    assert bars(["sa_ta", "user"], [-0.02, 0.01])[0] in shown(ANSWER)


def test_what_a_model_does_not_tell_is_not_shown() -> None:
    bare = msgspec.structs.replace(ONE, weight=[], change=[], recent_weight=[], block_change=[], candidate=0)
    explanation = Explanation([9], [bare])
    lines = shown(msgspec.structs.replace(ANSWER, explanation=explanation, scores=None))
    assert lines[0].strip() == "[a]: 10 behaviours retrieved"
    assert by_change(bare) == list(range(COUNT))
    (first, *_) = [line for line in lines if "purchase" in line]
    assert [cell.strip() for cell in first.strip("│").split("│")][:3] == ["-", "-", "0.900"]


def test_without_an_explanation_nothing_is_shown() -> None:
    assert shown(Answer(request_id="r", user="7", status=Status.OK)) == []
