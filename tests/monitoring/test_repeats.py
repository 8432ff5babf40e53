"""Floods: what is written and what is held back adds up, the last line comes, and nothing of a line is held on to."""

import gc
import io
import json
import logging
import threading
import weakref
from collections.abc import Iterator

import pytest

from muse_stream.monitoring import logs
from muse_stream.monitoring.repeats import BURST, RepeatLimit


class Warned:
    """A limit with a clock of its own, and lines for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.limit = RepeatLimit(burst=2, interval_seconds=10, clock=lambda: self.now)

    def warn(self, line: int, text: object = "text", *args: object, level: int = logging.WARNING) -> bool:
        return self.limit.filter(logging.LogRecord("x", level, "file.py", line, str(text), args, None))

    def ended(self) -> list[tuple[str, int]]:
        return [(record.getMessage(), record.__dict__["held_back"]) for record in self.limit.ended()]


class Value:
    def __str__(self) -> str:
        return "a value"


def test_a_few_lines_pass_and_the_last_one_comes_when_the_burst_is_over() -> None:
    warned = Warned()
    assert [warned.warn(1, f"text {number}") for number in range(6)] == [True, True, False, False, False, False]
    assert warned.warn(2), "another line is not held back"
    assert all(warned.warn(1, level=logging.INFO) for _ in range(9)), "information is not held back"
    assert warned.ended() == []
    warned.now = 10.0
    assert warned.ended() == [("text 5", 3)]
    assert warned.ended() == []
    assert warned.warn(1), "another burst"


def test_a_line_that_comes_back_later_finds_the_former_burst_told() -> None:
    warned = Warned()
    for number in range(5):
        warned.warn(1, f"first {number}")
    warned.now = 11.0
    assert [warned.warn(1, f"then {number}") for number in range(3)] == [True, True, False]
    assert warned.ended() == [("first 4", 2)]
    assert [record.getMessage() for record in warned.limit.rest()] == ["then 2"]


def test_lines_are_counted_by_level_and_what_was_not_written_as_held_back() -> None:
    warned = Warned()
    for _ in range(7):
        warned.warn(1)
    for _ in range(2):
        warned.warn(2, level=logging.ERROR)
    warned.warn(3, level=logging.CRITICAL)
    reading = warned.limit.reading()
    assert reading.lines == {"warning": 7, "error": 2, "critical": 1}
    assert reading.held_back == 4, "two were written, one waits"
    assert len(warned.limit.rest()) == 1
    assert warned.limit.reading().held_back == 4, "it never falls"


def test_what_is_kept_of_a_line_is_its_text() -> None:
    warned, value = Warned(), Value()
    gone = weakref.ref(value)
    try:
        raise ValueError("odd")  # noqa: EM101 -- what is raised does not matter
    except ValueError as error:
        found = (type(error), error, error.__traceback__)
    for _ in range(3):
        warned.limit.filter(logging.LogRecord("x", logging.ERROR, "file.py", 1, "failed for %s", (value,), found))
    del value
    gc.collect()
    assert gone() is None
    (record,) = warned.limit.rest()
    assert record.getMessage() == "failed for a value: ValueError: odd"
    assert record.exc_info is None


def test_a_line_that_cannot_be_put_into_words_is_kept_as_it_is() -> None:
    warned = Warned()
    assert [warned.warn(1, "%d of", "x") for _ in range(3)] == [True, True, False]
    assert [record.getMessage() for record in warned.limit.rest()] == ["%d of"]


@pytest.fixture
def flooded() -> Iterator[tuple[logging.Logger, logs.LineHandler, io.StringIO]]:
    """A logger that writes to a stream through a handler of its own, apart from everybody else's."""
    stream = io.StringIO()
    handler = logs.LineHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logger = logging.Logger("flood")  # beside the tree, so that no other test's lines come here
    logger.addHandler(handler)
    yield logger, handler, stream
    handler.close()


def test_in_a_flood_from_many_threads_every_line_is_written_or_counted(
    flooded: tuple[logging.Logger, logs.LineHandler, io.StringIO],
) -> None:
    logger, handler, stream = flooded
    threads, each = 4, 2_500

    def flood(thread: int) -> None:
        for number in range(each):
            logger.warning("thread %d: line %d", thread, number)

    running = [threading.Thread(target=flood, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert stream.getvalue().count("\n") == BURST
    handler.close()
    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    held_back = sum(line.get("held_back", 0) for line in written)
    assert len(written) == BURST + 1
    assert len(written) + held_back == threads * each
    reading = handler.reading()
    assert (reading.lines["warning"], reading.held_back) == (threads * each, held_back)


def test_the_end_of_a_burst_comes_with_the_next_line_or_when_settled(
    flooded: tuple[logging.Logger, logs.LineHandler, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, handler, stream = flooded
    now = [0.0]
    monkeypatch.setattr(handler._limit, "_clock", lambda: now[0])
    for round_ in range(2):
        for number in range(BURST + 2):
            logger.warning("round %d, line %d", round_, number)
        now[0] += 11
        handler.settle() if round_ else logger.info("something else")
    messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert messages[BURST : BURST + 2] == ["round 0, line 6", "something else"]
    assert messages[-1] == "round 1, line 6"
