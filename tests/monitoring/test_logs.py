"""Logs: one line each, in both forms; floods held back and told; users not told."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from muse_stream.monitoring import logs
from muse_stream.monitoring.logs import SlowRequests, UserTags, fields

USER = 17850


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    yield logging.getLogger("muse_stream.streams.ingest"), stream
    for added in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(added)
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_time_level_logger_message_and_fields(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.info("restored %s", "all", extra=fields(partition=3, seconds=0.5))
    logger.debug("too fine")
    (line,) = lines(stream)
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "streams.ingest",
        "message": "restored all",
        "partition": 3,
        "seconds": 0.5,
    }


def test_an_exception_stays_on_its_json_line(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError("odd")  # noqa: EM101 -- what is raised does not matter
    except ValueError:
        logger.exception("failed")
    (line,) = lines(stream)
    assert "ValueError: odd" in str(line["exception"])


def test_a_human_line_reads(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, _ = log
    stream = io.StringIO()
    logs.configure("human", "warning", stream)
    logger.info("quiet")
    logger.warning("late", extra=fields(partition=3))
    assert stream.getvalue()[13:] == "WARNING streams.ingest: late partition=3\n"


def test_a_value_cannot_break_out_of_its_line(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, _ = log
    stream = io.StringIO()
    logs.configure("human", "warning", stream)
    logger.warning("slow request", extra=fields(request='r1 ms=0\nERROR forged="x"', trace=None))
    assert stream.getvalue().count("\n") == 1
    assert r'slow request request="r1 ms=0\nERROR forged=\"x\""' in stream.getvalue()


def test_the_last_lines_of_a_burst_are_written_at_the_end(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    for number in range(9):
        logger.warning("failed %d", number, extra=fields(partition=number))
    assert len(lines(stream)) == 5
    logs.configure("json", "info", io.StringIO())
    last = lines(stream)[-1]
    assert (last["message"], last["partition"], last["held_back"]) == ("failed 8", 8, 3)


def test_configuring_again_replaces(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    later = io.StringIO()
    logs.configure("json", "info", later)
    logger.info("once")
    assert stream.getvalue() == ""
    assert len(lines(later)) == 1


def test_a_user_has_one_tag_per_installation_and_the_id_is_not_in_it() -> None:
    tag = UserTags("muse")(USER)
    assert tag == UserTags("muse")(USER)
    assert tag == UserTags("muse")(str(USER))
    assert tag != UserTags("other")(USER)
    assert tag != UserTags("muse")(USER + 1)
    assert str(USER) not in tag
    assert len(tag) == 12


def test_a_slow_request_gets_a_line_without_the_user(log: tuple[logging.Logger, io.StringIO]) -> None:
    _, stream = log
    slow = SlowRequests(0.1, UserTags("muse"))
    slow.answered("r1", USER, 0.09, {"gsu": 0.08})
    slow.answered("r2", USER, 0.25, {"gsu": 0.2, "esu": 0.05}, candidates=200, trace="4bf9")
    (line,) = lines(stream)
    assert line["trace"] == "4bf9"
    assert line["message"] == "slow request"
    assert (line["request"], line["ms"], line["gsu_ms"], line["candidates"]) == ("r2", 250.0, 200.0, 200)
    assert str(USER) not in stream.getvalue()
