"""One run: set up, break things, let everything come back, compare.

Invariant: whatever happens, nothing that was started is left running.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from muse_stream.state.rules import RuleChange, Rules
from muse_stream.streams.audit.worker import audit_memory
from muse_stream.streams.clients import open_producer
from muse_stream.streams.errors import StreamsError
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.wire.encode import encode_item
from tests.chaos import plan as sizes
from tests.chaos.copies import Auditor, positions, running_urls
from tests.chaos.faults import Faults, everything_continues
from tests.chaos.fleet import Fleet, Member, State
from tests.chaos.history import LogHistory
from tests.chaos.plan import CALM_SECONDS, PATIENCE_SECONDS, Plan
from tests.chaos.report import Report
from tests.chaos.requester import Requester
from tests.chaos.verdict import verdict
from tests.chaos.watch import Watch
from tests.chaos.writer import Writer
from tests.streams.worker.installation import DIMENSION, Installation

Say = Callable[[str], None]
TELL_SECONDS = 5.0
TICK_SECONDS = 0.1
RULES = {"cap": sizes.CAP, "duplicate_window": sizes.DUPLICATE_WINDOW, "ttl_seconds": sizes.TTL_SECONDS}
BROKER = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000}
"""A transaction that nobody ends is aborted soon after its time-out, not up to ten seconds later."""


class HangError(Exception):
    """With everything up, something did not happen."""


def run(plan: Plan, say: Say) -> Report:
    """Run a plan; what is wrong is in the report. Raises `HangError`, with the directory kept."""
    directory = plan.keep or Path(tempfile.mkdtemp(prefix="muse-stream-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    report, began = Report(plan.command, plan.seed), time.monotonic()
    with ExitStack() as stack:
        Run(plan, directory, say, report, stack).all()
    report.seconds = round(time.monotonic() - began, 1)
    if report.ok and plan.keep is None:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        report.kept = str(directory)
    return report


class Run:
    """Everything that runs."""

    def __init__(self, plan: Plan, directory: Path, say: Say, report: Report, stack: ExitStack) -> None:
        self.plan, self.directory, self._say, self.report = plan, directory, say, report
        self._began = time.monotonic()
        self.kafka = stack.enter_context(EmbeddedKafka(directory / "kafka", extra=BROKER))
        self.installation = stack.enter_context(installation(plan, directory, self.kafka))
        self.fleet = Fleet(self.installation, self.kafka)
        stack.enter_context(everything_continues(self.fleet))
        settings = self.installation.settings
        rules = RuleChange(0, Rules(**RULES))
        self.history = stack.enter_context(closing(LogHistory(settings, [rules])))
        self.auditor = Auditor(self.fleet, self.history, directory / "at-kills")
        self.writer = Writer(settings, plan)
        self.requester = Requester(settings, plan, self.writer.written)
        self.watch = Watch(self.fleet, plan.partitions)
        dice = random.Random(f"{plan.seed}-faults")
        self.faults = Faults(self.fleet, dice, plan.workers, self._owned, self.auditor.killed)
        self._dice = random.Random(f"{plan.seed}-pauses")
        self._told = 0.0
        self._began_faults: float | None = None

    def all(self) -> None:
        """From the first start to the verdict."""
        write_items(self.installation)
        for _ in range(self.plan.workers):
            self.fleet.start(self.fleet.make())
        self.watch.start()
        self.say(
            f"{self.plan.command}: about {self.plan.expected_seconds / 60:.0f} minutes of faults, in {self.directory}"
        )
        self.until(self.watch.settled, "all workers share the partitions")
        for part in (self.auditor, self.writer, self.requester):
            part.start()
        try:
            self.break_things()
            self.finish()
        except HangError as error:
            self.report.differ([str(error)])
            (self.directory / "hang.txt").write_text(self.fleet.dump(), encoding="utf-8")
            self._quit()
            raise
        verdict(self)

    def _quit(self) -> None:
        for part in (self.writer, self.requester, self.watch, self.auditor):
            with suppress(Exception):
                part.stop()

    def _owned(self, member: Member) -> tuple[int, ...]:
        return tuple(sorted(self.watch.word(member).owned))

    def break_things(self) -> None:
        """Faults, with pauses, until there were enough."""
        begin = self._began_faults = time.monotonic()
        for kind in self.plan.script:
            self.until(lambda: len(self.watch.owned()) == self.plan.partitions, "each partition has an owner")
            self.wait(1.0)
            self.until(lambda kind=kind: bool(self.faults.strike(kind)), f"{kind} can be done")  # type: ignore[misc]
            self.say(kind)

        def more() -> bool:
            if self.plan.script:
                return False
            if self.plan.kills is not None:
                return self.faults.killed_count < self.plan.kills
            return time.monotonic() - begin < self.plan.seconds

        while more():
            self.pause()
            if more():
                self.say(self.faults.strike())

    def pause(self) -> None:
        """A while, drawn: hardly any; some seconds; until everything is owned; until everything is as it was."""
        kind = self._dice.random()
        if kind < 0.15:
            self.wait(self._dice.uniform(0.0, 0.5))
        elif kind < 0.55:
            self.wait(self._dice.uniform(0.5, 6.0))
        elif kind < 0.94:
            self.wait(12.0, lambda: len(self.watch.owned()) == self.plan.partitions)
            self.wait(self._dice.uniform(0.5, 4.0))
        else:
            self.recover()

    def recover(self) -> None:
        """Wait until all that is due is back and every request that was sent meanwhile is answered."""
        self.until(self.watch.settled, "all workers are up, and each partition has an owner")
        calm = time.monotonic()
        self.until(lambda: not self.requester.open(calm), "every request is answered", CALM_SECONDS)

    def finish(self) -> None:
        """The faults end; everything comes back and catches up."""
        self.say("the faults are over; everything comes back")
        self.faults.everybody_back()
        self.recover()
        self.writer.stop()
        self.requester.stop_asking()
        now = time.monotonic()
        self.until(lambda: not self.requester.open(now), "every request is answered", CALM_SECONDS)
        self.until(self._caught_up, "every partition is read to its end")
        self.say("comparing memory, then all copies with the whole log")
        for url in running_urls(self.fleet):
            self._compare_memory(url)
        self.requester.stop()
        self.watch.stop()
        self.auditor.stop()
        for member in self.fleet.of(State.RUNNING):
            self.fleet.terminate(member, State.AWAY)
        self.until(lambda: not self.fleet.of(State.LEAVING), "the workers end")

    def _caught_up(self) -> bool:
        """Whether the copies have what was in the log a moment ago: the workers' canaries never stop writing."""
        ends = self.history.read_to_end()
        furthest = positions(self.fleet.members)
        return all(furthest.get(number, 0) >= end for number, end in enumerate(ends))

    def _compare_memory(self, url: str) -> None:
        try:
            memory = audit_memory(url)
        except StreamsError as error:
            self.report.differ([f"memory of {url}: {error}"])
            return
        if memory is None:
            self.report.differ([f"memory of {url}: nobody answers"])
        else:
            self.report.memory += memory.behaviours
            self.report.differ(f"memory of {url}: {text}" for text in memory.shown)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a condition. Raises `HangError`."""
        if not self.wait(seconds, condition):
            open_requests = self.requester.open(time.monotonic())[:10]
            owners = {number: [one.number for one in them] for number, them in sorted(self.watch.owned().items())}
            states = {member.number: str(member.state) for member in self.fleet.members}
            message = f"{seconds:.0f} s in vain: {what}; owners {owners}, workers {states}, open {open_requests}"
            raise HangError(message)

    def wait(self, seconds: float, condition: Callable[[], bool] = lambda: False) -> bool:
        """Let things go on until the condition holds or so long; whether it holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.faults.come_back()
            for member in self.fleet.look():
                self.say(f"worker {member.number} ended by itself and was started again")
                if not self.faults.counts:
                    message = f"a worker ended before anything was broken:\n{self.fleet.deaths[-1]}"
                    raise HangError(message)
            for part in (self.writer, self.requester, self.auditor):
                if part.failure is not None:
                    raise part.failure
            if condition():
                return True
            self._tell()
            time.sleep(TICK_SECONDS)
        return condition()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < TELL_SECONDS:
            return
        self._told = now
        answered, asked = len(self.requester.answers), len(self.requester.asked)
        faults, kills = self.faults.counts.total(), self.faults.killed_count
        gone = now - (self._began_faults or now)
        left = self.plan.expected_seconds - gone
        if self.plan.kills is not None and kills > 4:
            left = gone / kills * (self.plan.kills - kills)
        self.say(
            f"{faults} faults, {kills} kill -9, answered {answered:,} of {asked:,}, lag {self.watch.lag():,}, "
            f"{self.auditor.audits.copies} copies audited, {len(self.auditor.audits.differences)} differences, "
            f"about {max(0.0, left):.0f} s left"
        )

    def say(self, line: str) -> None:
        """A line with the time since the beginning."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {line}")


@contextmanager
def installation(plan: Plan, directory: Path, kafka: EmbeddedKafka) -> Iterator[Installation]:
    """Topics and settings."""
    sections = {
        "app": {"session_timeout_seconds": sizes.SESSION_SECONDS},
        "topics": {"partitions": plan.partitions},
        "state": RULES,
        "engine": {"pool_bytes": 1 << 24},
        "ingest": {"batch_records_max": 2_000},
        "canary": {"interval_seconds": 1},
    }
    with Installation(directory, {"brokers": kafka.bootstrap}, **sections) as made:
        yield made


def write_items(made: Installation) -> None:
    """Every item with its vector, before anything is asked."""
    vectors = np.random.default_rng(5).integers(-127, 128, (sizes.ITEMS + 1, DIMENSION), np.int8)
    producer = open_producer(made.settings)
    try:
        for item in range(1, sizes.ITEMS + 1):
            producer.send(made.topics.items, *encode_item(item, category=item % 5 + 1, vector=vectors[item]))
        producer.flush(60)
    finally:
        producer.close()
