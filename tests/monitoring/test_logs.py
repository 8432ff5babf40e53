"""Logs: one line each, in both forms; floods held back and told; users not told."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from muse_stream.monitoring import logs
from muse_stream.monitoring.logs import RepeatLimit, SlowRequests, UserTags, fields

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


def test_configuring_again_replaces(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    later = io.StringIO()
    logs.configure("json", "info", later)
    logger.info("once")
    assert stream.getvalue() == ""
    assert len(lines(later)) == 1


def test_a_flood_of_one_line_is_held_back_and_told() -> None:
    now = [0.0]
    limit = RepeatLimit(burst=2, interval_seconds=10, clock=lambda: now[0])

    def warn(line: int, level: int = logging.WARNING) -> logging.LogRecord | None:
        record = logging.LogRecord("x", level, "file.py", line, "text", None, None)
        return record if limit.filter(record) else None

    assert [warn(1) is not None for _ in range(5)] == [True, True, False, False, False]
    assert warn(2) is not None, "another line is not held back"
    assert all(warn(1, logging.INFO) for _ in range(9)), "information is not held back"
    now[0] = 11
    told = warn(1)
    assert told is not None
    assert getattr(told, "held_back", None) == 3
    assert '"held_back": 3' in logs.JsonLines().format(told)
    again = warn(1)
    assert again is not None
    assert not hasattr(again, "held_back")


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
    slow.answered("r2", USER, 0.25, {"gsu": 0.2, "esu": 0.05}, candidates=200)
    (line,) = lines(stream)
    assert line["message"] == "slow request"
    assert (line["request"], line["ms"], line["gsu_ms"], line["candidates"]) == ("r2", 250.0, 200.0, 200)
    assert str(USER) not in stream.getvalue()
