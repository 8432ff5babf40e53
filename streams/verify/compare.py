"""Where an answer differs from what comes out of the logs.

Everything about behaviours is compared to the bit. Scores may differ by `TOLERANCE`: the order in which a pass adds up
depends on what else is in it. Where the two numbers that the last Dice reads are within `STEP` of each other, the
network is at a step (docs/model.md), and a last bit moves the score visibly: such a difference is given apart.

Invariant: no cell that an answer has is left uncompared; a difference says where, what was expected and what was found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.serving.gather import rows_at
from muse_stream.streams.verify.exchanges import Exchange
from muse_stream.streams.verify.models import step_gaps
from muse_stream.streams.verify.rebuild import Rebuilt
from muse_stream.streams.wire.answers import Retrieved

What = Literal["window", "retrieval", "scores"]
WHATS: tuple[What, ...] = ("window", "retrieval", "scores")
TOLERANCE = 1e-6
STEP = 1e-5
COLUMNS = ("position", "cosine", "item", "time_ms", "action")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where an answer is not what it must be.

    Attributes:
        what: Which part of the answer.
        where: Which cell of it.
        expected: By the logs.
        found: In the answer.

    """

    what: What
    where: str
    expected: Any
    found: Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer, compared.

    Attributes:
        exchange: The answer.
        compared: What of it was.
        differences: Where it differs.
        near_step: Scores that differ where the network is at a step.
        model_unknown: It has scores, and their model is not here.

    """

    exchange: Exchange
    compared: frozenset[What]
    differences: list[Difference]
    near_step: list[Difference]
    model_unknown: bool

    def mismatched(self) -> set[What]:
        """What differs."""
        return {difference.what for difference in self.differences}


def compare(exchange: Exchange, rebuilt: Rebuilt) -> Verdict:
    """Everything that the answer has, with what it must be."""
    answer = exchange.answer
    differences = list(_window(exchange, rebuilt))
    compared: set[What] = {"window"}
    near_step: list[Difference] = []
    if answer.retrieved is not None or exchange.request.want == "both":
        compared.add("retrieval")
        differences += _retrieval(exchange, rebuilt)
    if rebuilt.scores is not None:
        compared.add("scores")
        steep, flat = _scores(exchange, rebuilt)
        differences += flat
        near_step += steep
    unknown = exchange.digest is not None and rebuilt.model is None
    if not answer.scores and exchange.request.want != "retrieved" and len(exchange.request.items):
        differences.append(Difference("scores", "scores", "as many as candidates", None))
    return Verdict(exchange, frozenset(compared), differences, near_step, unknown)


def _window(exchange: Exchange, rebuilt: Rebuilt) -> Iterator[Difference]:
    answer, history = exchange.answer, rebuilt.history
    cells = {
        "window.start": (history.start, exchange.window.start),
        "window.stop": (history.stop, exchange.window.stop),
        "history_length": (len(history), answer.history_length),
        "candidates": (exchange.request.candidates, answer.candidates or []),
    }
    for where, (expected, found) in cells.items():
        if expected != found:
            yield Difference("window", where, expected, found)


def _retrieval(exchange: Exchange, rebuilt: Rebuilt) -> Iterator[Difference]:
    served = exchange.answer.retrieved
    counts = np.minimum(rebuilt.result.count, exchange.request.k).tolist()
    if served is None or len(served) != len(counts):
        found = None if served is None else len(served)
        yield Difference("retrieval", "lists, one per candidate", len(counts), found)
        return
    columns = _columns(rebuilt)
    for number, (one, count) in enumerate(zip(served, counts, strict=True)):
        yield from _list(
            _candidate(exchange, number), one, {name: cells[number, :count] for name, cells in columns.items()}
        )


def _columns(rebuilt: Rebuilt) -> dict[str, NDArray[Any]]:
    """What the answer shows of retrieved behaviours, `[C, K]` each."""
    result, history = rebuilt.result, rebuilt.history
    rows, _ = rows_at(result.positions, history.start)
    empty = np.zeros(rows.shape, np.int64)
    shown = {name: history.rows[name][rows] if len(history) else empty for name in ("item", "time_ms", "action")}
    return {"position": result.positions, "cosine": result.scores.astype(np.float64), **shown}


def _list(candidate: str, served: Retrieved, columns: dict[str, NDArray[Any]]) -> Iterator[Difference]:
    for name in COLUMNS:
        expected, found = columns[name], getattr(served, name)
        if len(found) != len(expected):
            yield Difference("retrieval", f"{candidate}, {name}s", len(expected), len(found))
            continue
        for place, (right, shown) in enumerate(zip(expected.tolist(), found, strict=True)):
            if not _same(right, shown):
                yield Difference("retrieval", f"{candidate}, place {place + 1}, {name}", right, shown)


def _same(expected: float, found: float) -> bool:
    """To the bit: 0.0 is not -0.0."""
    return expected == found and (expected != 0 or np.signbit(expected) == np.signbit(found))


def _scores(exchange: Exchange, rebuilt: Rebuilt) -> tuple[list[Difference], list[Difference]]:
    """Differences near the step, and the others."""
    served, expected = exchange.answer.scores, rebuilt.scores
    if served is None or expected is None or rebuilt.model is None or rebuilt.batch is None:
        return [], []
    if len(served) != len(expected):
        return [], [Difference("scores", "scores, one per candidate", len(expected), len(served))]
    found = np.array(served, np.float64)
    wrong = np.flatnonzero(~(np.abs(found - expected) <= TOLERANCE))
    if not len(wrong):
        return [], []
    near = step_gaps(rebuilt.model, rebuilt.batch) <= STEP
    listed = [
        (near[number], Difference("scores", _candidate(exchange, number), float(expected[number]), served[number]))
        for number in wrong.tolist()
    ]
    return [one for steep, one in listed if steep], [one for steep, one in listed if not steep]


def _candidate(exchange: Exchange, number: int) -> str:
    return f"candidate {number + 1} (item {exchange.request.candidates[number]})"
