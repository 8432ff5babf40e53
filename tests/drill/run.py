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
from tests.drill.verdict import Outcome, Report
from tests.drill.watch import AlertWatch
from tests.drill.worker import program
from tests.live.prometheus import Scraping
from tests.live.world import LiveWorld, Plan, live_world

Say = Callable[[str], None]
RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
FACTOR = 60.0
"""Windows of five minutes last five seconds, those of an hour one minute."""
INTERVAL_SECONDS = 1.0
WINDOW_SECONDS_MIN = 5 * INTERVAL_SECONDS
CALM_SECONDS = 10.0
"""For so long nothing may fire before a fault; longer than any `for` of a cause, divided."""
FIRE_SECONDS = 90.0
RESOLVE_SECONDS = 120.0
SETTLE_SECONDS = 240.0
"""Until a world is calm: workers start, share the partitions, read what they missed."""
LINGER_SECONDS = 5.0
"""How long a fault goes on after its last alert fired, so that what fires later is seen, too."""
LOOK_SECONDS = 0.5


class DrillError(Exception):
    """The world did not become calm: no fault can be judged."""


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
        self.report.before = self._calm()
        for fault in faults:
            self.report.outcomes.append(self.one(fault))
            self.report.seconds = time.monotonic() - began
        return self.report

    def one(self, fault: Fault) -> Outcome:
        """Break, watch, repair, watch; then wait until all is calm."""
        self._calm()
        self.say(f"{fault.name}: made")
        watch = AlertWatch(time.monotonic())
        trouble: list[str] = []
        own = set(fault.declared.own)
        fault.make(self.scene)
        try:
            fired = self._watch(watch, lambda: own <= watch.fired(), FIRE_SECONDS, trouble)
            self._watch(watch, lambda: False, LINGER_SECONDS, trouble)
        finally:
            fault.repair(self.scene)
        watch.repaired = time.monotonic()
        self.say(f"{fault.name}: {'repaired' if fired else 'repaired, although not all of its alerts fired'}")
        self._watch(watch, lambda: not watch.firing() and self.scene.world.shared(), RESOLVE_SECONDS, trouble)
        return Outcome(fault.name, fault.declared, watch.episodes(), trouble)

    def _watch(self, watch: AlertWatch, done: Callable[[], bool], seconds: float, trouble: list[str]) -> bool:
        """Look until it is done, at most so long; whether it is."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = watch.firing()
            watch.look(time.monotonic(), self.scene.world.query.firing())
            self._tell(before, watch.firing(), watch)
            trouble += self._deaths()
            if done():
                return True
            time.sleep(LOOK_SECONDS)
        return done()

    def _tell(self, before: set[str], after: set[str], watch: AlertWatch) -> None:
        since = time.monotonic() - (watch.repaired or watch.began)
        for name in sorted(after - before):
            self.say(f"  {since:5.1f} s  {name} fires")
        for name in sorted(before - after):
            self.say(f"  {since:5.1f} s  {name} is gone")

    def _deaths(self) -> list[str]:
        """Workers that ended by themselves; started again."""
        return [f"worker {member.number} ended by itself" for member in self.scene.world.fleet.look()]

    def _calm(self) -> list[str]:
        """Wait until all is well and nothing has fired for a while; what fired until then. Raises `DrillError`."""
        world, fired = self.scene.world, set[str]()
        until, since = time.monotonic() + SETTLE_SECONDS, time.monotonic()
        while time.monotonic() - since < CALM_SECONDS:
            firing = {alert.name for alert in world.query.firing()}
            fired |= firing
            if firing or not world.shared():
                since = time.monotonic()
            if time.monotonic() > until:
                message = f"not calm within {SETTLE_SECONDS:.0f} s: {sorted(firing) or 'workers do not share'}"
                raise DrillError(message)
            time.sleep(LOOK_SECONDS)
        return sorted(fired)
