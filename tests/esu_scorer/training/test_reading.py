import threading
from collections.abc import Iterator

import pytest

from muse_stream.esu_scorer.data import Block
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.training.reading import Ahead, checksum, in_batches, skip

from .world import SmallSource


def items_of(parts: list[Block]) -> list[int]:
    return [int(item) for part in parts for item in part.item]


@pytest.mark.parametrize("cut", [1, 7, 50, 1000])
def test_batches_do_not_depend_on_how_blocks_are_cut(cut: int) -> None:
    whole = SmallSource().whole("train")
    found = list(in_batches(SmallSource(block=cut).blocks("train"), 64))
    assert [items_of(parts) for parts in found] == [whole.item[i : i + 64].tolist() for i in range(0, 400, 64)]


@pytest.mark.parametrize("count", [0, 1, 37, 50, 400])
def test_skipping_gives_the_rest_and_the_checksum_of_what_was_skipped(count: int) -> None:
    whole = SmallSource().whole("train")
    told: list[int] = []
    seen, rest = skip(SmallSource().blocks("train"), count, told.append)
    assert seen == checksum(whole.take(slice(0, count)), 0)
    assert items_of([*rest, whole.take([])]) == whole.item[count:].tolist()
    assert told == sorted(told)


def test_skipping_more_than_there_is() -> None:
    with pytest.raises(DataError, match="the source has 400 samples, but 401 were learnt before"):
        skip(SmallSource().blocks("train"), 401, lambda _: None)


def test_the_checksum_sees_order_label_window_and_moment() -> None:
    whole = SmallSource().whole("train")
    plain = checksum(whole, 0)
    assert checksum(whole.take(slice(None, None, -1)), 0) != plain
    for name in ("label", "stop", "time_ms"):
        other = SmallSource().whole("train")
        column = getattr(other, name)
        column[11] = not column[11] if name == "label" else column[11] - 1
        assert checksum(other, 0) != plain, name


def test_the_next_is_made_on_another_thread_only_when_told() -> None:
    made: list[str] = []

    def numbers() -> Iterator[int]:
        for number in range(3):
            made.append(threading.current_thread().name)
            yield number

    with Ahead(numbers()) as ahead:
        assert ahead.take() == 0
        assert len(made) == 1
        ahead.start()
        assert [ahead.take(), ahead.take(), ahead.take(), ahead.take()] == [1, 2, None, None]
    assert set(made) == {made[0]}
    assert made[0] != threading.current_thread().name


def test_what_goes_wrong_there_is_raised_here() -> None:
    def broken() -> Iterator[int]:
        yield 1
        msg = "no such file"
        raise DataError(msg)

    with Ahead(broken()) as ahead:
        assert ahead.take() == 1
        with pytest.raises(DataError, match="no such file"):
            ahead.take()
