"""What is broken, how it is repaired, and which alerts that may raise.

Invariant: a fault breaks one thing, in one worker where it can, and its repair takes back exactly that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.fleet import Member
from tests.drill.verdict import Declared
from tests.drill.worker import PAUSED, SLOW_DISK
from tests.live.load import Load, Rates
from tests.live.models import FIRST
from tests.live.world import LiveWorld

POISON_PER_SECOND = 200.0
"""Five times as many as there are good ones."""
WRITE_MILLISECONDS = 300
"""A batch of behaviours is two writes."""
BROKEN = "broken"
PAGE, TICKET = "page", "ticket"
TENSORS = "tensors.safetensors"


@dataclass
class Scene:
    """The world, and what a fault keeps until its repair."""

    world: LiveWorld
    flood: Load | None = field(default=None)

    @property
    def victim(self) -> Member:
        """The worker that is broken."""
        return self.world.fleet.members[-1]

    def switch(self, name: str, text: str = "") -> None:
        """Begin a fault of the victim's program."""
        self.victim.worker.config.with_name(name).write_text(text, encoding="utf-8")

    def switch_off(self, name: str) -> None:
        """End it."""
        self.victim.worker.config.with_name(name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: On the command line and in the table.
        declared: What it raises.
        make: Breaks it.
        repair: Takes it back.

    """

    name: str
    declared: Declared
    make: Callable[[Scene], None]
    repair: Callable[[Scene], None]


def _flood(scene: Scene) -> None:
    world = scene.world
    rates = Rates(behaviours=POISON_PER_SECOND, requests=0.0, poison=1.0)
    scene.flood = Load(world.settings, list, rates, seed=2).start()


def _end_flood(scene: Scene) -> None:
    if scene.flood is not None:
        scene.flood.stop()
    scene.flood = None


def _activate_broken(scene: Scene) -> None:
    """The artefact is damaged after it was added: its size is right, its digest is not."""
    world = scene.world
    tensors = world.models.add(BROKEN, seed=3) / TENSORS
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    world.models.activate(world.settings, BROKEN)


def _kill(scene: Scene) -> None:
    scene.world.fleet.kill(scene.victim)


def _start(scene: Scene) -> None:
    scene.world.fleet.start(scene.victim)


def _stop_kafka(scene: Scene) -> None:
    scene.world.kafka.stop()


def _start_kafka(scene: Scene) -> None:
    scene.world.kafka.start()


HURT = frozenset(
    {
        *("MuseAvailabilityBurn", "MuseLatencyBurn", "MuseFreshnessBurn", "MuseCanaryBurn", "MuseCanaryUnseen"),
        "MuseStaleAnswers",
    }
)
"""Who waits for an answer, or for what they did to count, is hurt by the fault, and the pages say so."""
HANDED_OVER = frozenset({"MusePartitionsWithoutOwner", "MuseRebalancing", "MuseCatchUpSlow", "MuseHealthCheckFails"})
"""Partitions are nobody's until Kafka gives a silent worker up: six seconds, while a `for` of minutes lasts three."""

FAULTS = (
    Fault("worker killed", Declared((("MuseWorkerDown", TICKET),), HURT | HANDED_OVER), _kill, _start),
    Fault(
        "consumer paused",
        Declared((("MuseBehavioursLate", PAGE), ("MusePartitionNotMoving", TICKET)), HURT),
        lambda scene: scene.switch(PAUSED),
        lambda scene: scene.switch_off(PAUSED),
    ),
    Fault("poison flood", Declared((("MusePoison", TICKET), ("MuseDeadLetters", TICKET))), _flood, _end_flood),
    Fault(
        "slow disk",
        Declared((("MuseStoreSlow", TICKET), ("MuseStoreStalls", TICKET)), HURT),
        lambda scene: scene.switch(SLOW_DISK, str(WRITE_MILLISECONDS)),
        lambda scene: scene.switch_off(SLOW_DISK),
    ),
    Fault(
        "model refused",
        Declared((("MuseModelRefused", TICKET),)),
        _activate_broken,
        lambda scene: scene.world.models.activate(scene.world.settings, FIRST),
    ),
    Fault(
        "Kafka stopped",
        Declared((("MuseBrokersUnreachable", PAGE),), HURT | {"MuseBrokersUnreachable", "MuseLogErrors"}),
        _stop_kafka,
        _start_kafka,
    ),
)
"""In the order of a drill."""
