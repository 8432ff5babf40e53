"""The last warnings and dead letters: folded, bounded, and nobody's data."""

import logging
from collections.abc import Iterator

import pytest

from muse_stream.monitoring.journal import TEXT_MAX, Journal, Letters
from muse_stream.monitoring.logs import fields

OURS = logging.getLogger("muse_stream.streams.ingest.service")
FOREIGN = logging.getLogger("aiokafka.consumer")


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal(size=3)
    logging.getLogger().addHandler(journal)
    yield journal
    logging.getLogger().removeHandler(journal)


def test_a_repeat_counts_into_its_first_copy(journal: Journal) -> None:
    for number in range(3):
        OURS.warning("waits for %d", number)
    (line,) = journal.last()
    assert (line.text, line.count, line.level, line.logger) == ("waits for 2", 3, "warning", "streams.ingest.service")
    assert line.place.startswith("test_journal.py:")
    assert line.first_ms <= line.last_ms


def test_what_is_no_warning_is_not_kept(journal: Journal) -> None:
    OURS.info("all is well")
    assert journal.last() == []


def test_the_latest_comes_first_and_the_oldest_is_forgotten(journal: Journal) -> None:
    OURS.warning("a")
    OURS.error("b")
    OURS.warning("c")
    OURS.critical("d")
    assert [line.text for line in journal.last()] == ["d", "c", "b"]


def test_what_other_libraries_say_is_kept_without_its_values(journal: Journal) -> None:
    FOREIGN.error("cannot decode key %r", b"user-17850")
    (line,) = journal.last()
    assert line.text == "cannot decode key …"


def test_numbers_of_a_line_are_kept_and_ids_are_not(journal: Journal) -> None:
    OURS.warning("slow request", extra=fields(request=17850, user="b0a1", ms=312.5, candidates=2_000))
    (line,) = journal.last()
    assert line.text == "slow request: ms 312.5, candidates 2,000"


def test_an_exception_is_kept_as_its_kind_and_place(journal: Journal) -> None:
    def fail() -> None:
        message = "user-17850"
        raise KeyError(message)

    try:
        fail()
    except KeyError:
        OURS.exception("a pass failed\nand this is more")
    (line,) = journal.last()
    assert line.text.startswith("a pass failed (KeyError at test_journal.py:")
    assert "17850" not in line.text


def test_a_long_text_is_cut(journal: Journal) -> None:
    OURS.warning("x" * 5_000)
    assert len(journal.last()[0].text) == TEXT_MAX


def test_letters_are_counted_and_the_last_are_kept() -> None:
    letters = Letters(size=2, clock=lambda: 1.5)
    letters.note([("bad_json", "behaviours", 3, 7), ("bad_id", "users", 0, 8)])
    letters.note([("oversize", "items", 0, 9)])
    assert letters.total == 3
    assert [(one.reason, one.topic, one.partition, one.offset, one.at_ms) for one in letters.last()] == [
        ("oversize", "items", 0, 9, 1_500),
        ("bad_id", "users", 0, 8, 1_500),
    ]
