"""The steps of a schedule, and the world that they happen to.

Invariant: a world is a function of its schedule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

from muse_stream.state import segments
from muse_stream.state.rules import Rules
from muse_stream.streams.ingest.status import PartitionState, Phase
from tests.simulation.checks import Wrong, check_commits, check_copy, check_letters, check_pool
from tests.simulation.database import Disks
from tests.simulation.fuse import Crash, Fuse
from tests.simulation.log import ABORTED, COMMITTED, OPEN, SimLog
from tests.simulation.schedule import Step
from tests.simulation.traffic import BEHAVIOURS, COUNT, HOUR_MS, KEYS, USERS, behaviour_record, burst, user_record
from tests.simulation.worker import SimWorker, Surroundings

CAPS, WINDOWS, TTLS = (1, 3, 8, 40, 350), (0, 1, 4, 100), (None, None, 1, 4, 60)
MACHINES = {"a": (50, Rules(350, 4)), "b": (8, Rules(8, 4)), "c": (3, Rules(8, 4, 4))}
"""Pages of their pools, room for all users or for few, and the rules that they begin with."""
SLOW = "b"
"""The machine whose dead letters are not acknowledged at once, unless a step says so."""
CHUNK_ROWS = 4
"""Rows of a chunk, so few that short sequences merge and trim."""
EXCUSES = ("No space left", "the log begins at", "at position", "PositionError")
"""Why a partition may stop in this world: a full disk, and retention that passed its position."""
SETTLING_TURNS = 400


@dataclass
class Slot:
    """A machine: the worker that runs on it, if any, and what its next one starts with."""

    home: Path
    pool_pages: int
    rules: Rules
    worker: SimWorker | None = None
    serving: tuple[int, ...] = ()
    standby: tuple[int, ...] = ()


class World:
    """Three machines, two partitions, one log."""

    def __init__(self, disks: Disks) -> None:
        self.around = Surroundings(SimLog(), disks)
        self.slots = [Slot(Path("/nowhere") / name, *more) for name, more in MACHINES.items()]
        self.fuses: dict[Path, Fuse] = {}
        self.in_transaction = False

    def run(self, steps: Iterable[Step]) -> None:
        """Take the steps, then check everything. Raises `Wrong`."""
        disks = self.around.disks
        with disks.use(lambda path: self.fuses[path.parent]), mock.patch.object(segments, "CHUNK_ROWS", CHUNK_ROWS):
            for step in steps:
                getattr(self, f"do_{step.name}")(self.slots[step.worker], step.dice())
                self.check_running()
            self.check_copies(Random(1))
            self.settle()

    def do_write(self, slot: Slot, dice: Random) -> None:
        """Producers write."""
        now_ms = self.around.clock.wall_ms() + dice.choice([0, 0, 0, 0, 0, -5_000, 3_000, HOUR_MS])
        makes = [user_record if dice.random() < 0.1 else behaviour_record for _ in range(dice.randint(1, 6))]
        for at, record in [make(dice, now_ms) for make in makes]:
            transactional = self.in_transaction and dice.random() < 0.5
            self.around.log.add(at, record, OPEN if transactional else COMMITTED)

    def do_bulk(self, slot: Slot, dice: Random) -> None:
        """A producer writes one user's long history."""
        for at, record in burst(dice, self.around.clock.wall_ms()):
            self.around.log.add(at, record)

    def do_transaction(self, slot: Slot, dice: Random) -> None:
        """A producer begins a transaction, or ends the one that is open."""
        if self.in_transaction:
            self.around.log.resolve(dice.choice([COMMITTED, ABORTED]))
        self.in_transaction = not self.in_transaction

    def do_turn(self, slot: Slot, dice: Random) -> None:
        """A worker takes turns; it may crash anywhere in them."""
        slot = self.busy(slot, dice)
        worker = self.running(slot)
        worker.fuse.left = dice.randint(1, 16) if dice.random() < 0.3 else None
        try:
            for _ in range(dice.randint(1, 4)):
                worker.turn(dice, dice.choice([1, 3, 20]))
        except Crash:
            self.bury(slot, dice)
        else:
            worker.fuse.left = None
            if dice.random() < 0.6:
                self.warm(slot, dice)

    def do_assign(self, slot: Slot, dice: Random) -> None:
        """A worker gets other partitions; who had them need not have heard of it."""
        roles = [dice.choice(["serving", "serving", "standby", "none"]) for _ in range(COUNT)]
        slot.serving = tuple(p for p in range(COUNT) if roles[p] == "serving")
        slot.standby = tuple(p for p in range(COUNT) if roles[p] == "standby" and self.has_had_an_owner(p))
        if dice.random() < 0.6:
            for other in self.slots:
                if other is not slot:
                    other.serving = tuple(p for p in other.serving if p not in slot.serving)
                    self.tell(other)
        self.tell(slot)

    def do_kill(self, slot: Slot, dice: Random) -> None:
        """A worker dies between two turns."""
        if slot.worker:
            self.bury(slot, dice)

    def do_stop(self, slot: Slot, dice: Random) -> None:
        """A worker stops in order."""
        if slot.worker:
            slot.worker.stop()
            slot.worker = None

    def do_rules(self, slot: Slot, dice: Random) -> None:
        """A worker is restarted with other rules."""
        self.do_stop(slot, dice) if dice.random() < 0.5 else self.do_kill(slot, dice)
        slot.rules = Rules(dice.choice(CAPS), dice.choice(WINDOWS), dice.choice(TTLS))

    def do_wait(self, slot: Slot, dice: Random) -> None:
        """Time passes."""
        self.around.clock.sleep(dice.choice([0.05, 0.6, 2.0, 90.0]))

    def warm(self, slot: Slot, dice: Random) -> None:
        """Requests make users resident."""
        worker, number = self.running(slot), dice.randrange(COUNT)
        numbers = [int(key) for key in KEYS[number] if key.isdigit()]
        for user in (numbers[0], dice.choice(numbers)):
            worker.warm(number, user)

    def do_letters(self, slot: Slot, dice: Random) -> None:
        """Brokers acknowledge dead letters at once, or hold them back, or answer for those held back."""
        letters = self.running(slot).letters
        letters.land(arrived=dice.random() < 0.5)
        letters.at_once = dice.random() < 0.5

    def do_answers(self, slot: Slot, dice: Random) -> None:
        """The same for answers to questions."""
        asks = self.running(slot).asks
        asks.land()
        asks.at_once = dice.random() < 0.6

    def do_brokers(self, slot: Slot, dice: Random) -> None:
        """The brokers go away, or come back."""
        self.around.log.away = not self.around.log.away

    def do_full(self, slot: Slot, dice: Random) -> None:
        """The disk refuses the next writes."""
        for path, handle in self.around.disks.handles.items():
            if path.parent == slot.home:
                handle.refusals = dice.randint(0, 2)

    def do_retention(self, slot: Slot, dice: Random) -> None:
        """The behaviours lose their beginning, mostly what an owner has committed, at times more."""
        log, at = self.around.log, (BEHAVIOURS, dice.randrange(COUNT))
        log.cut(at, dice.randint(0, log.commits.get(at, 0) if dice.random() < 0.8 else log.stable(at)))

    def busy(self, slot: Slot, dice: Random) -> Slot:
        """Mostly a machine that has partitions."""
        busy = [one for one in self.slots if one.serving or one.standby]
        return dice.choice(busy) if busy and dice.random() < 0.9 else slot

    def running(self, slot: Slot) -> SimWorker:
        """The machine's worker, started if there is none."""
        if slot.worker is None:
            slot.worker = SimWorker(self.around, slot.home, slot.rules, slot.pool_pages)
            slot.worker.letters.at_once = slot.home.name != SLOW
            self.fuses[slot.home] = slot.worker.fuse
            self.tell(slot)
        return slot.worker

    def has_had_an_owner(self, number: int) -> bool:
        """Whether the group has committed: before that, a standby's position would pass for an owner's."""
        return all((topic, number) in self.around.log.commits for topic in (BEHAVIOURS, USERS))

    def tell(self, slot: Slot) -> None:
        """Let a worker hear of its partitions."""
        if slot.worker:
            slot.worker.assign(slot.serving, slot.standby)

    def bury(self, slot: Slot, dice: Random) -> None:
        """A process is gone, with its memory and perhaps the last writes of each store."""
        assert slot.worker is not None
        slot.worker = None
        for number in range(COUNT):
            lost = dice.randint(1, 4) if dice.random() < 0.25 else 0
            self.around.disks.crash(slot.home / f"behaviours-{number}", lost)

    def check_running(self) -> None:
        """What holds between any two steps."""
        for slot in self.slots:
            if slot.worker:
                check_pool(slot.worker)
                check_errors(slot.worker)

    def check_copies(self, dice: Random) -> None:
        """What holds for every directory."""
        for slot in self.slots:
            for number in range(COUNT):
                check_copy(self.around, slot.home / f"behaviours-{number}", dice)

    def settle(self) -> None:
        """All trouble ends and one worker gets everything: it comes to the log's end, with nothing left out."""
        log, slot = self.around.log, self.slots[0]
        if self.in_transaction:
            log.resolve(ABORTED)
        log.away = False
        for handle in self.around.disks.handles.values():
            handle.refusals = 0
        slot.serving, slot.standby = tuple(range(COUNT)), ()
        worker = self.running(slot)
        worker.letters.at_once = worker.asks.at_once = True
        self.tell(slot)
        dice = Random(2)
        for _ in range(SETTLING_TURNS):
            worker.asks.land()
            worker.letters.land(arrived=True)
            self.around.clock.sleep(20.0)
            worker.turn(dice, 40)
            if all(settled(state, log) for state in worker.service.states().values()):
                break
        else:
            text = f"after {SETTLING_TURNS} turns without trouble: {worker.service.states()}, commits {log.commits}"
            raise Wrong(text)
        self.check_running()
        stopped = {number for number, state in worker.service.states().items() if state.error}
        self.check_copies(dice)
        check_commits(self.around)
        check_letters(self.around, {at for at in log.everything if at[1] not in stopped})


def settled(state: PartitionState, log: SimLog) -> bool:
    """Whether a partition is where it stays: at the ends of its logs, committed; or stopped."""
    if state.phase is Phase.FAILED:
        return True
    ends = {topic: log.stable((topic, state.partition)) for topic in state.logs}
    committed = all(log.commits.get((topic, state.partition), 0) == end for topic, end in ends.items())
    return state.ready and committed and all(state.logs[topic].position == end for topic, end in ends.items())


def check_errors(worker: SimWorker) -> None:
    """A partition stops for reasons of this world only, and the thread never does."""
    for state in worker.service.states().values():
        if state.phase is Phase.FAILED and not any(excuse in (state.error or "") for excuse in EXCUSES):
            text = f"{worker.home}: {state.error}"
            raise Wrong(text)
