"""What must hold after any schedule.

Invariant: what is expected follows from the log as it was written, by the audit's model; nothing of a worker is asked.
"""

from contextlib import closing
from pathlib import Path
from random import Random

import numpy as np

from muse_stream.gsu_engine.kernels.residents import PAGE
from muse_stream.state.moment import StoreReader
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.audit.compare import compare_ends, compare_whole
from muse_stream.streams.audit.decoding import Contract, Refused, decode, id_of
from muse_stream.streams.audit.model import PartitionModel
from muse_stream.streams.audit.suffix import SuffixModel
from muse_stream.streams.ingest.ports import Partition
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from muse_stream.streams.wire.users import decode_profile
from tests.simulation.log import SimLog
from tests.simulation.traffic import BEHAVIOURS, COUNT, KEYS, USERS
from tests.simulation.worker import SimWorker, Surroundings


class Wrong(Exception):
    """Something does not hold."""


def check_copy(around: Surroundings, path: Path, dice: Random) -> None:
    """A copy on disk, whoever left it there, is the function of its log prefix and its rules."""
    found = around.disks.reader(path)
    if found is None:
        return
    with closing(found) as store:
        partition = store.identity.partition
        _check_behaviours(around.log, store, f"{path}", dice)
        expected = profiles(around.log, partition, store.users_position)
        for key in KEYS[partition]:
            profile = decode_profile(store.profile(id_of(key)))
            if profile != expected.get(key, {}):
                text = f"{path} at users {store.users_position}: profile of {key} is {profile}, expected {expected}"
                raise Wrong(text)


def _check_behaviours(log: SimLog, store: StoreReader, name: str, dice: Random) -> None:
    partition, rules = store.identity.partition, store.rules
    contract = Contract(partition, COUNT, DEFAULT_ACTIONS)
    model = PartitionModel(contract, rules, store.undated_until)
    for record in log.visible((BEHAVIOURS, partition), store.start_position, store.position):
        model.feed(record)
    model.finish(store.position)
    differences = list(compare_whole(partition, model, store))
    if dice.random() < 0.2:
        suffix = SuffixModel(contract, rules, store.undated_until)
        begin = dice.randint(store.start_position, store.position)
        for record in log.visible((BEHAVIOURS, partition), begin, store.position):
            suffix.feed(record)
        suffix.finish(store.position)
        differences += compare_ends(partition, suffix, store)
    if differences:
        text = f"{name} at {store.position}, rules {rules}: {[(one.user, one.text) for one in differences[:3]]}"
        raise Wrong(text)


def profiles(log: SimLog, partition: int, position: int) -> dict[str, dict[str, int]]:
    """Profiles by key, as the users topic says; short logs make a full pass cheap."""
    found: dict[str, dict[str, int]] = {}
    for record in log.visible((USERS, partition), 0, position):
        key = (record.key or b"").decode()
        if record.value is None:
            found.pop(key, None)
        elif record.value.startswith(b'{"features":{"country":'):
            found[key] = {"country": int(record.value[23:-2])}
    return found


def check_pool(worker: SimWorker) -> None:
    """What is resident is what the worker's stores hold, of the same users, to the same end.

    What has expired may be resident still: a search asks for what the store shows.
    """
    open_here = [p for p in worker.service.stores.partitions() if not worker.service.states()[p].error]
    users, starts, stops = (column.tolist() for column in worker.engine.resident())
    for user, start, stop in zip(users, starts, stops, strict=True):
        partition = next(p for p in range(COUNT) if user in map(id_of, KEYS[p]))
        if partition not in open_here:
            continue
        with worker.service.stores.lease(partition) as store:
            assert isinstance(store, BehaviourStore)
            history = store.sequence(user)
        begin = max(start, history.start)
        held = worker.engine.resident_items(user, begin, stop) if begin < stop else np.empty(0, np.int64)
        items = history.rows["item"][begin - history.start :]
        first = history.start if store.rules.ttl_seconds is None else history.stop - store.rules.cap
        if stop != history.stop or start <= first - PAGE or held is None or held.tolist() != items.tolist():
            text = f"user {user}: pool [{start}, {stop}), store [{history.start}, {history.stop}), or other items"
            raise Wrong(text)


def refused(log: SimLog, at: Partition, begin: int, end: int) -> list[int]:
    """Offsets of the committed records in `[begin, end)` that have to be dead-lettered."""
    contract = Contract(at[1], COUNT, DEFAULT_ACTIONS)
    found = []
    for record in log.visible(at, begin, end):
        try:
            if at[0] == BEHAVIOURS:
                decode(record, contract)
            elif record.value == b"poison":
                found.append(record.offset)
        except Refused:
            found.append(record.offset)
    return found


def check_letters(around: Surroundings, complete: set[Partition]) -> None:
    """First copies of dead letters arrive in order, none skipped; of the partitions in `complete`, all of them.

    What retention took before an owner read it is nobody's to send.
    """
    arrived: dict[Partition, list[int]] = {}
    for letter in around.letters:
        offsets = arrived.setdefault((letter.topic, letter.partition), [])
        if letter.offset not in offsets:
            offsets.append(letter.offset)
    for at in around.log.everything:
        offsets = arrived.get(at, [])
        gone = around.log.begin.get(at, 0)
        every = refused(around.log, at, 0, around.log.stable(at))
        expected = [one for one in every if one >= gone or one in offsets]
        if offsets != (expected if at in complete else expected[: len(offsets)]):
            text = f"dead letters of {at}: {offsets}, expected {'all' if at in complete else 'the first'} of {expected}"
            raise Wrong(text)


def check_commits(around: Surroundings) -> None:
    """Whatever lies below a commit and had to be refused is dead-lettered."""
    arrived = {(letter.topic, letter.partition, letter.offset) for letter in around.letters}
    for at, position in around.log.commits.items():
        there = refused(around.log, at, around.log.begin.get(at, 0), position)
        missing = [one for one in there if (*at, one) not in arrived]
        if missing:
            text = f"{at} is committed to {position}, but {missing} are not dead-lettered"
            raise Wrong(text)
