"""What a store holds against what it must hold.

Invariant: a user is either equal, behaviour by behaviour and number by number, or one `Difference` that says where.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from muse_stream.state.columns import Sequence
from muse_stream.state.moment import Moment
from muse_stream.streams.audit.decoding import BEHAVIOUR
from muse_stream.streams.audit.model import ARRIVAL, ROW_BYTES, History, PartitionModel
from muse_stream.streams.audit.suffix import Ending, SuffixModel


@dataclass(frozen=True, slots=True)
class Difference:
    """Where store and log disagree.

    Attributes:
        partition: The partition.
        user: The user's id; None where it concerns the partition.
        text: What was found and what was expected.
        lost: Behaviours that the log has and the store never got, as far as the numbers tell.
        doubled: Numbers that the store gave and the log does not account for.

    """

    partition: int
    user: int | None
    text: str
    lost: int = 0
    doubled: int = 0


def compare_whole(partition: int, model: PartitionModel, store: Moment) -> Iterator[Difference]:
    """Every user of model or store, ascending."""
    if store.watermark_ms != model.watermark_ms:
        text = f"the store's latest broker time is {store.watermark_ms}, the log's {model.watermark_ms}"
        yield Difference(partition, None, text)
    nobody = History()
    for user in _everybody(model.users, store):
        found, expected = store.sequence(user), model.users.get(user, nobody)
        if found.start != expected.start or found.rows.tobytes() != expected.rows:
            yield _difference(partition, user, found, expected)


def compare_ends(partition: int, model: SuffixModel, store: Moment) -> Iterator[Difference]:
    """Every user of whom the rest of the log tells, ascending; numbers are not compared."""
    for user, ending in sorted(model.endings.items()):
        found = store.sequence(user)
        if not ending.matches(found.rows.tobytes()):
            yield Difference(partition, user, _ending_text(found, ending))


def _everybody(users: Iterable[int], store: Moment) -> list[int]:
    return sorted({*users, *store.users().tolist()})


def _difference(partition: int, user: int, found: Sequence, expected: History) -> Difference:
    text = f"the store has behaviours {_span(found.start, found.stop)}, the log {_span(expected.start, expected.stop)}"
    rows, start = found.rows.tobytes(), max(found.start, expected.start)
    for number in range(start, min(found.stop, expected.stop)):
        stored, told = _row(rows, number - found.start), _row(expected.rows, number - expected.start)
        if stored != told:
            text += f"; behaviour {number} is {_shown(stored)} in the store and {_shown(told)} by the log"
            break
    surplus = found.stop - expected.stop
    return Difference(partition, user, text, lost=max(0, -surplus), doubled=max(0, surplus))


def _ending_text(found: Sequence, ending: Ending) -> str:
    sure = sum(ending.sure)
    last = ending.rows[-ROW_BYTES:]
    text = f"of {len(ending.sure)} last behaviours of the log {sure} must be in the store, in order, and are not"
    newest = _shown(found.rows[-1:].tobytes()) if len(found) else "none"
    return f"{text}; the newest in the store is {newest}, by the log {_shown(bytes(last)) if last else 'none'}"


def _span(start: int, stop: int) -> str:
    return f"{start}..{stop - 1}" if stop > start else f"none (next {stop})"


def _row(rows: bytes | bytearray, place: int) -> bytes:
    return bytes(rows[place * ROW_BYTES : (place + 1) * ROW_BYTES])


def _shown(row: bytes) -> str:
    (item, time_ms, action, category), (arrived,) = BEHAVIOUR.unpack_from(row), ARRIVAL.unpack_from(row, BEHAVIOUR.size)
    return f"item {item} at {time_ms} (action {action}, category {category}, arrived at {arrived} s)"
