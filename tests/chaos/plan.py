"""What may be chosen for a run, and the sizes that are the same in every run."""

from dataclasses import dataclass
from pathlib import Path

CAP = 200
"""Behaviours kept per user: busy users reach it within seconds."""
TTL_SECONDS = 60
"""Behaviours of quiet users leave by age before the cap is reached."""
DUPLICATE_WINDOW = 2_000
"""Small enough that repeats from outside it come too."""
USERS = 400
ITEMS = 300
REQUESTS_PER_SECOND = 20.0
SESSION_SECONDS = 6
"""Kafka gives up a silent worker after so long: the shortest that the embedded broker's groups bear well."""
CALM_SECONDS = 30.0
"""With every worker up, a request that is open for so long is one that nobody is going to answer."""
PATIENCE_SECONDS = 240.0
"""How long all workers may take to be up again; 10 s each on an idle machine of two cores."""
SECONDS_PER_KILL = 14.0
"""Measured with three workers on two cores: what `--kills` is expected to take for each."""

SECONDS_PER_FAULT = 10.0
"""The same for each of a script."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        seed: Decides what is written, asked and broken.
        seconds: How long faults go on; with `kills`, not used.
        kills: Go on until so many processes were ended by kill -9.
        workers: Workers at the beginning and at the end; in between one more may run.
        partitions: Partitions of behaviours, users and requests.
        rate: Records written per second.
        script: These faults, one after another, instead of drawn ones; then neither `seconds` nor `kills` is used.
        keep: Directory for stores, logs and Kafka's data, kept; None: a temporary one, kept where something is wrong.

    """

    seed: int = 1
    seconds: float = 300.0
    kills: int | None = None
    workers: int = 3
    partitions: int = 8
    rate: float = 500.0
    script: tuple[str, ...] = ()
    keep: Path | None = None

    @property
    def expected_seconds(self) -> float:
        """How long the faults will go on, roughly."""
        if self.script:
            return len(self.script) * SECONDS_PER_FAULT
        return self.seconds if self.kills is None else self.kills * SECONDS_PER_KILL

    @property
    def command(self) -> str:
        """What runs this plan again."""
        limit = f"--seconds {self.seconds:g}" if self.kills is None else f"--kills {self.kills}"
        if self.script:
            limit = "--script " + " ".join(f"'{kind}'" for kind in self.script)
        sizes = f"--workers {self.workers} --partitions {self.partitions} --rate {self.rate:g}"
        return f"python -m tests.chaos {limit} --seed {self.seed} {sizes}"
