"""Who owns what, by the workers' own word, asked a few times a second.

Invariant: a partition counts as owned while a worker that is running and has answered in the last seconds says so;
a worker that was stopped owns nothing, whatever Kafka still thinks.
"""

import threading
import time
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from muse_stream.streams.demo.http import get_json
from tests.chaos.fleet import Fleet, Member, State

LOOK_SECONDS = 0.25
TIMEOUT_SECONDS = 1.0
FRESH_SECONDS = 3.0
"""So old may a worker's word be: a busy one is asked again after its time-out."""
METRICS_SECONDS = 2.0
WORKERS_MAX = 8
REBALANCES = "muse_ingest_rebalances_total"


@dataclass(slots=True)
class Word:
    """What a worker said last."""

    owned: frozenset[int] = frozenset()
    lag: int = 0
    ready: bool = False
    at: float = 0.0
    started: float = 0.0
    rebalances: int = 0
    counted: float = 0.0


@dataclass
class Watch:
    """Asks in a thread.

    Attributes:
        without_owner: Per partition, the times in seconds that it had no owner.
        rebalances: Changes of assignment as workers counted them, all lives together.

    """

    fleet: Fleet
    partitions: int
    without_owner: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._words: dict[int, Word] = {}
        self._past_rebalances = 0
        self._since: dict[int, float | None] = dict.fromkeys(range(self.partitions))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def rebalances(self) -> int:
        return self._past_rebalances + sum(word.rebalances for word in self._words.values())

    def word(self, member: Member) -> Word:
        """What this process of the member said last."""
        word = self._words.get(member.number)
        return word if word is not None and word.started == member.since else Word()

    def owned(self) -> dict[int, list[Member]]:
        """Owners by partition, those without any left out."""
        found: dict[int, list[Member]] = defaultdict(list)
        now = time.monotonic()
        for member in self.fleet.of(State.RUNNING):
            word = self.word(member)
            if now - word.at < FRESH_SECONDS:
                for partition in word.owned:
                    found[partition].append(member)
        return found

    def lag(self) -> int:
        """Records that owners are behind."""
        return sum(self.word(member).lag for member in self.fleet.of(State.RUNNING))

    def settled(self) -> bool:
        """Whether every wanted worker runs, is ready and owns something, and each partition has one owner."""
        running, owned = self.fleet.of(State.RUNNING), self.owned()
        everyone = not self.fleet.of(State.DOWN, State.STOPPED, State.LEAVING)
        ready = all(self.word(member).ready and self.word(member).owned for member in running)
        return everyone and ready and sum(map(len, owned.values())) == len(owned) == self.partitions

    def _run(self) -> None:
        with ThreadPoolExecutor(WORKERS_MAX) as pool:
            while not self._stopping.wait(LOOK_SECONDS):
                list(pool.map(self._ask, self.fleet.of(State.RUNNING)))
                self._note(self.owned())

    def _ask(self, member: Member) -> None:
        started = member.since
        ready = get_json(f"{member.worker.url}/health/ready", timeout_seconds=TIMEOUT_SECONDS)
        reply = get_json(f"{member.worker.url}/v1/status", timeout_seconds=TIMEOUT_SECONDS)
        if reply.status != 200:
            return
        now, before = time.monotonic(), self._words.get(member.number, Word())
        owned = frozenset(reply.body["owned"])
        logs = [log for one in reply.body["partitions"] if one["partition"] in owned for log in one["logs"].values()]
        word = Word(owned, sum(log["lag_messages"] or 0 for log in logs), ready.status == 200, now, started)
        if before.started == started:
            word.rebalances, word.counted = before.rebalances, before.counted
        else:
            self._past_rebalances += before.rebalances
        if now - word.counted > METRICS_SECONDS:
            word.rebalances, word.counted = _rebalances(member, word.rebalances), now
        self._words[member.number] = word

    def _note(self, owned: dict[int, list[Member]]) -> None:
        now = time.monotonic()
        for partition, since in self._since.items():
            if partition in owned:
                if since is not None:
                    self.without_owner[partition].append(now - since)
                self._since[partition] = None
            elif since is None:
                self._since[partition] = now


def _rebalances(member: Member, before: int) -> int:
    try:
        with urllib.request.urlopen(f"{member.worker.url}/metrics", timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
            lines = reply.read().decode().splitlines()
    except OSError:
        return before
    return next((int(float(line.split()[1])) for line in lines if line.startswith(REBALANCES + " ")), before)
