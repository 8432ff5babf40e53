"""One drill: a world under the shipped rules with shorter windows, broken and repaired, fault by fault.

Invariant: a fault begins only while nothing fires and all workers share the partitions; whatever happens, it is
repaired, and nothing that was started is left running.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.prometheus.shorten import shortened
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from tests.drill.faults import Fault, Scene
from tests.drill.slow_disk import compile_library
from tests.drill.verdict import Key, Outcome, Report
from tests.drill.watch import AlertWatch
from tests.drill.worker import program
from tests.live.query import Alert
from tests.live.world import LiveWorld, Plan, live_world

Say = Callable[[str], None]
RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
FACTOR = 60.0
"""Windows of five minutes last five seconds (or what is least), those of an hour one minute."""
INTERVAL_SECONDS = 2.0
"""Between two scrapes, and their time-out: a worker whose disk is slow answers after a second."""
WINDOW_SECONDS_MIN = 5 * INTERVAL_SECONDS
CALM_SECONDS = 10.0
"""For so long nothing may fire before a fault; longer than any `for` of a cause, divided."""
QUIET_SECONDS = 20.0
"""With nothing broken, nothing may fire for so long before the first fault."""
FIRE_SECONDS = 120.0
"""The lag must be above a minute in some rules: thresholds are as shipped."""
RESOLVE_SECONDS = 120.0
SETTLE_SECONDS = 240.0
"""Until a world is calm: workers start, share the partitions, read what they missed."""
LINGER_SECONDS = 10.0
"""How long a fault goes on after its last alert fired: an alarm must last as long, and a false one may be late."""
LOOK_SECONDS = 0.5


class DrillError(Exception):
    """The world did not become calm: no fault can be judged."""


def slow(alert: Alert) -> bool:
    """Whether it is a ticket about a budget that burns slowly.

    It looks back over up to three days, so that any outage raises it and hours go by until it resolves: it says what
    became of the budget, not what is broken.
    """
    return alert.name.endswith("Burn") and alert.labels.get("severity") == "ticket"


def write_rules(directory: Path) -> list[Path]:
    """The shipped rule files with their windows divided, in `directory`."""
    directory.mkdir()
    for path in sorted(RULES.glob("*.yml")):
        text = shortened(path.read_text(encoding="utf-8"), FACTOR, window_seconds_min=WINDOW_SECONDS_MIN)
        (directory / path.name).write_text(text, encoding="utf-8")
    return sorted(directory.glob("*.yml"))


def run(faults: Sequence[Fault], say: Say, keep: Path | None = None) -> Report:
    """Run a drill. Raises `DrillError`; stores and logs are kept then, and where something is wrong."""
    directory = keep or Path(tempfile.mkdtemp(prefix="muse-stream-drill-"))
    directory.mkdir(parents=True, exist_ok=True)
    say(f"setting up a world in {directory}")
    with _world(directory) as world:
        drill = Drill(Scene(world), say)
        report = drill.all(faults)
    if not report.problems() and keep is None:
        shutil.rmtree(directory, ignore_errors=True)
    return report


@contextmanager
def _world(directory: Path) -> Iterator[LiveWorld]:
    plan = Plan(
        rules=write_rules(directory / "rules"),
        interval_seconds=INTERVAL_SECONDS,
        shadow=False,
        program=program(compile_library(directory)),
    )
    with EmbeddedKafka(directory / "kafka") as kafka, live_world(plan, kafka, directory) as world:
        yield world


@dataclass
class Drill:
    """Faults of one world, one after another.

    Attributes:
        scene: What is broken.
        say: Gets lines of progress.
        report: What came of it so far.

    """

    scene: Scene
    say: Say
    report: Report = field(default_factory=Report)

    def all(self, faults: Sequence[Fault]) -> Report:
        """Try these faults in order."""
        began = time.monotonic()
        self._settle()
        self.report.before = self._quiet()
        for fault in faults:
            if self.report.outcomes and self.report.outcomes[-1].trouble:
                self._settle()
            self.report.outcomes.append(self.one(fault))
            self.report.seconds = time.monotonic() - began
        return self.report

    def one(self, fault: Fault) -> Outcome:
        """Break, watch, repair, watch until all is calm again."""
        self.say(f"{fault.name}: made")
        watch, trouble, own = AlertWatch(time.monotonic()), list[str](), set(fault.declared.own)
        fault.make(self.scene)
        try:
            fired = self._watch(watch, lambda: own <= watch.fired(), FIRE_SECONDS, trouble)
            self._watch(watch, lambda: False, LINGER_SECONDS, trouble)
        finally:
            fault.repair(self.scene)
        watch.repaired = time.monotonic()
        self.say(f"{fault.name}: {'repaired' if fired else 'repaired, although not all of its alerts fired'}")
        if not self._watch(watch, self._calm(watch), RESOLVE_SECONDS, trouble):
            trouble.append(f"not calm {RESOLVE_SECONDS:.0f} s after the repair: {self._unrest(watch)}")
        return Outcome(fault.name, fault.declared, watch.episodes(), trouble)

    def _settle(self) -> None:
        """Wait until the new world is calm. Raises `DrillError`."""
        watch, trouble = AlertWatch(time.monotonic()), list[str]()
        if not self._watch(watch, self._calm(watch), SETTLE_SECONDS, trouble):
            message = f"not calm within {SETTLE_SECONDS:.0f} s: {self._unrest(watch)}"
            raise DrillError(message)

    def _quiet(self) -> list[str]:
        """Look on for a while with nothing broken; what fired."""
        watch, trouble = AlertWatch(time.monotonic()), list[str]()
        self._watch(watch, lambda: False, QUIET_SECONDS, trouble)
        return [*sorted(name for name, _ in watch.fired()), *trouble]

    def _calm(self, watch: AlertWatch) -> Callable[[], bool]:
        """A condition: nothing has fired, and all workers have shared the partitions, for a while."""
        restless = time.monotonic()

        def calm() -> bool:
            nonlocal restless
            if self._unrest(watch):
                restless = time.monotonic()
            return time.monotonic() - restless >= CALM_SECONDS

        return calm

    def _unrest(self, watch: AlertWatch) -> str:
        """Why it is not calm now; empty where it is."""
        firing = ", ".join(sorted(name for name, _ in watch.firing()))
        return firing or ("" if self.scene.world.shared() else "the workers do not share the partitions")

    def _watch(self, watch: AlertWatch, done: Callable[[], bool], seconds: float, trouble: list[str]) -> bool:
        """Look until it is done, at most so long; whether it is."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = watch.firing()
            watch.look(time.monotonic(), self._firing())
            self._tell(before, watch.firing(), watch)
            trouble += self._deaths()
            if done():
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def _tell(self, before: set[Key], after: set[Key], watch: AlertWatch) -> None:
        since = time.monotonic() - (watch.repaired or watch.began)
        for keys, word in ((after - before, "fires"), (before - after, "is gone")):
            for name, severity in sorted(keys):
                self.say(f"  {since:5.1f} s  {name} ({severity}) {word}")

    def _firing(self) -> list[Alert]:
        """What fires and is judged."""
        return [alert for alert in self.scene.world.query.firing() if not slow(alert)]

    def _deaths(self) -> list[str]:
        """Workers that ended by themselves; started again."""
        return [f"worker {member.number} ended by itself" for member in self.scene.world.fleet.look()]
