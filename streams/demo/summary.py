"""What a demo run comes to: figures, and whether everything that was sent has been stored and answered.

Invariant: a run is good if and only if `failures` is empty; the exit code follows from nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run; times in milliseconds, None where nothing was measured.

    Attributes:
        behaviours_sent: Behaviours acknowledged by Kafka.
        behaviours_stored: Behaviours that the stores hold, as read back user by user.
        requests_sent: Requests acknowledged by Kafka.
        requests_answered: Of them, those that got scores.
        requests_refused: Of them, those that got an answer without scores.
        answers_repeated: Answers that came a second time; a hand-over may cause some.
        dead_letters: Records in the dead-letters topic.
        seconds: The whole run, start of Kafka included.
        replay_seconds: The replay alone.
        behaviours_per_second: While the purchases were replayed.
        freshness_p50_ms: Broker time to retrievable.
        freshness_p99_ms: The same.
        latency_p50_ms: Request sent to answer read, by the requester's clock.
        latency_p99_ms: The same.
        long_history: Behaviours of the synthetic user with the long history.
        long_history_retrieval_ms: One retrieval over it, inside the worker, for candidates not asked for before.
        long_history_again_ms: One for candidates asked for before, whose answers may stand.
        new_behaviour_visible_ms: From sending one more behaviour to reading an answer that retrieved it.
        model: Name of the model that scored.
        model_trained: False: first weights from a seed.
        model_gauc: As its artefact says, of the samples after those that it was trained on; None = it does not say.
        audit: What the audit of the stores found, as `muse-stream audit --json` prints it; None where there was none.

    """

    behaviours_sent: int
    behaviours_stored: int
    requests_sent: int
    requests_answered: int
    requests_refused: int
    answers_repeated: int
    dead_letters: int
    seconds: float
    replay_seconds: float
    behaviours_per_second: float
    freshness_p50_ms: float | None
    freshness_p99_ms: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    long_history: int
    long_history_retrieval_ms: float | None
    long_history_again_ms: float | None
    new_behaviour_visible_ms: float | None
    model: str
    model_trained: bool
    model_gauc: float | None
    audit: Mapping[str, Any] | None = None

    def failures(self) -> list[str]:
        """What did not come out as it must; empty when all is well."""
        found = []
        if self.behaviours_stored != self.behaviours_sent:
            found.append(f"{self.behaviours_sent} behaviours were sent, {self.behaviours_stored} are stored")
        if self.requests_answered != self.requests_sent:
            missing = self.requests_sent - self.requests_answered
            found.append(f"{missing} of {self.requests_sent} requests got no scores ({self.requests_refused} refused)")
        if self.dead_letters:
            found.append(f"{self.dead_letters} dead letters, expected none")
        if not self.requests_sent:
            found.append("no request was sent")
        if self.new_behaviour_visible_ms is None:
            found.append("the behaviour added to the long history was not retrieved in time")
        if self.audit is not None and not self.audit["ok"]:
            lost, doubled, differences = (self.audit[name] for name in ("lost", "doubled", "differences"))
            found.append(f"the audit found {differences} differences: {lost} lost, {doubled} doubled")
        return found

    def as_json(self) -> dict[str, object]:
        """The figures, times rounded to a microsecond, and the failures."""
        values = {name: _rounded(value) for name, value in asdict(self).items()}
        return {**values, "failures": self.failures()}


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` of all values do not exceed (nearest rank), None of none."""
    if not values:
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
