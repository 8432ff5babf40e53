"""Answers, writes and dead letters against the log. Each check gives what is wrong, a line each.

An answer is right if it says, of its user, what the log says below the position that the answer names: the window, and
every behaviour that it brought back. Which worker gave it, and whether that one was still the owner, does not matter.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from muse_stream.streams.audit.decoding import id_of
from muse_stream.streams.audit.model import ROW_BYTES, History, PartitionModel
from muse_stream.streams.wire.answers import Answer, Status
from tests.chaos.history import PartitionHistory
from tests.chaos.requester import Asked, Got
from tests.chaos.writer import Written, checksum

EXPLAINED = {Status.OK, Status.NOT_READY, Status.EXPIRED, Status.OVERLOAD}
"""How a sound request may end while workers come and go."""
SHOWN_ROW = struct.Struct("<qqB")
"""How a row begins: item, time in ms, action."""


def statuses(asked: Mapping[str, Asked], answers: Mapping[str, Sequence[Got]]) -> Iterator[str]:
    """Requests without an answer, answers to nothing, and answers of a status that nothing explains."""
    for name, one in asked.items():
        got = answers.get(name, ())
        if one.acknowledged is not None and not got:
            yield f"request {name} of user {one.user} was never answered"
        for answer, _ in got:
            allowed = {Status.MALFORMED, Status.EXPIRED} if one.malformed else EXPLAINED
            if answer.status not in allowed:
                yield f"request {name}: {answer.status} {answer.error}"
            elif answer.user != str(one.user):
                yield f"request {name} of user {one.user} was answered for {answer.user}"
    for name in answers.keys() - asked.keys():
        yield f"an answer names request {name!r}, which nobody sent"


def computed(history: PartitionHistory, asked: Mapping[str, Asked], answers: Iterable[Answer]) -> Iterator[str]:
    """What computed answers of one partition say that the log does not."""
    todo = sorted((place_of(answer), number, answer) for number, answer in enumerate(answers))
    model, at = PartitionModel(history.contract, history.rules), 0
    for position, _, answer in todo:
        if position > history.end:
            yield f"{answer.request_id}: computed at {position}, the log ends at {history.end}"
            continue
        while at < len(history.records) and history.records[at].offset < position:
            model.feed(history.records[at])
            at += 1
        model.finish(position)
        yield from _wrong(asked[answer.request_id or ""], answer, model)


def place_of(answer: Answer) -> int:
    """The behaviours position that an answer was computed at."""
    assert answer.positions is not None
    return answer.positions.behaviours.offset


def _wrong(asked: Asked, answer: Answer, model: PartitionModel) -> Iterator[str]:
    name = answer.request_id
    if answer.positions is None or answer.window is None:
        yield f"{name}: computed, and names no position or no window"
        return
    where, before = answer.positions.behaviours, asked.not_before
    if where.partition != asked.partition:
        yield f"{name}: computed from partition {where.partition}, expected {asked.partition}"
    if before is not None and where.offset <= before.offset:
        yield f"{name}: computed at {where.offset}, and must have seen the record at {before.offset}"
    history = model.users.get(id_of(answer.user), History())
    start, stop = history.start, history.stop
    if (answer.window.start, answer.window.stop, answer.history_length) != (start, stop, stop - start):
        found = f"{answer.window.start}..{answer.window.stop} of {answer.history_length}"
        yield f"{name}: window {found}, by the log at {where.offset} {start}..{stop}"
        return
    if asked.want == "scores":
        if len(answer.scores or ()) != len(asked.candidates):
            yield f"{name}: {len(answer.scores or ())} scores for {len(asked.candidates)} candidates"
        return
    if len(answer.retrieved or ()) != len(asked.candidates):
        yield f"{name}: {len(answer.retrieved or ())} lists for {len(asked.candidates)} candidates"
    for one in answer.retrieved or ():
        told = [_row(history, place) for place in one.position if start <= place < stop]
        if list(zip(one.item, one.time_ms, one.action, strict=True)) != told:
            yield f"{name}: retrieved other behaviours than the log has at {where.offset}: {one}"
        elif len(set(one.position)) != min(asked.k, stop - start):
            yield f"{name}: {len(one.position)} retrieved, expected {min(asked.k, stop - start)}"


def _row(history: History, place: int) -> tuple[int, int, int]:
    item, time_ms, action = SHOWN_ROW.unpack_from(history.rows, (place - history.start) * ROW_BYTES)
    return item, time_ms, action


def writes(written: Written, partitions: Sequence[PartitionHistory]) -> Iterator[str]:
    """Acknowledged records that the log does not have, and records of aborted transactions that it has."""
    for number, history in enumerate(partitions):
        held = {record.offset << 32 | checksum(record.key, record.value) for record in history.records}
        for entry in written.kept[number]:
            if entry not in held:
                yield f"partition {number}: the record acknowledged at {entry >> 32} is not in the log"
        offsets = {record.offset for record in history.records}
        for entry in written.aborted[number]:
            if entry >> 32 in offsets:
                yield f"partition {number}: the record at {entry >> 32} was aborted, and is in the log"


def dead_letters(
    topic: str, poison: Iterable[tuple[int, int]], partitions: Sequence[PartitionHistory], keys: Counter[str]
) -> Iterator[str]:
    """Poison that was not refused, and refused records without a dead letter; letters of accepted records.

    Args:
        topic: The behaviours topic.
        poison: Where poison was put: partition, offset.
        partitions: The log.
        keys: Keys of all dead letters.

    """
    refused = {(number, offset) for number, history in enumerate(partitions) for offset in history.rejected}
    for number, offset in sorted(set(poison) - refused):
        yield f"partition {number}: the poison at {offset} is refused by nobody"
    expected = {f"{topic}:{number}:{offset}" for number, offset in refused}
    for key in sorted(expected - keys.keys()):
        yield f"{key} has no dead letter"
    for key in sorted(keys.keys() - expected):
        yield f"{key} has a dead letter, and nothing is wrong with it"
