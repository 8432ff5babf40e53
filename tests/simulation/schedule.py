"""From seeds to schedules.

Invariant: a step carries its own dice, so what it does depends on the world that it meets and not on its neighbours.
"""

from dataclasses import dataclass
from random import Random

WORKERS = 3
STEPS = (15, 45)
"""Few steps fail as often as many, per step, and shrink faster."""

WEIGHTS = {
    "write": 30,
    "turn": 40,
    "assign": 9,
    "kill": 4,
    "stop": 2,
    "rules": 2,
    "transaction": 6,
    "wait": 5,
    "letters": 4,
    "answers": 3,
    "brokers": 2,
    "full": 2,
    "retention": 1,
}
"""How often each step comes; see `World`."""
BULK = {"bulk": 15, "turn": 40, "assign": 3, "kill": 1, "write": 5}
"""The same where long histories are the theme: pages of the pool fill and are freed where workers live for a while."""
BULK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what happens, to which worker, with which dice."""

    name: str
    worker: int
    seed: int

    def dice(self) -> Random:
        """The step's own."""
        return Random(self.seed)

    def __str__(self) -> str:
        return f"{self.name}:{self.worker}:{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Step":
        """The inverse of `str`."""
        name, worker, seed = text.split(":")
        return cls(name, int(worker), int(seed))


def schedule_of(seed: int) -> list[Step]:
    """The schedule of a seed."""
    dice = Random(seed)
    weights = BULK if dice.random() < BULK_SHARE else WEIGHTS
    names = dice.choices(list(weights), list(weights.values()), k=dice.randint(*STEPS))
    return [Step(name, dice.randrange(WORKERS), dice.getrandbits(32)) for name in ["assign", *names]]
