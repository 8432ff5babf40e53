"""What a metric is."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric family."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def subsystem(self) -> str:
        """Second word of the name."""
        return self.name.split("_")[1]


def counter(name: str, text: str, *labels: str) -> Definition:
    """Define a counter."""
    return Definition(name, "counter", text, labels)


def gauge(name: str, text: str, *labels: str) -> Definition:
    """Define a gauge."""
    return Definition(name, "gauge", text, labels)


def histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Definition:
    """Define a histogram with these upper bounds."""
    return Definition(name, "histogram", text, labels, bounds)
