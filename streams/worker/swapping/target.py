"""What a slot is to run, how far that is, what became of it, and the errors in between."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from muse_stream.esu_scorer import ServedModel

Fetch = Callable[[str, str], Path]
"""Name and digest of an artefact to a complete local copy. `OSError`: not reachable now; `EsuError`: never usable."""
Load = Callable[[Path], ServedModel]
"""A checked model from a directory; raises `EsuError`."""
SlotName = Literal["live", "shadow"]
Step = Literal["fetching", "checking", "filling", "warming"]
"""`filling`: the vectors of its space are being read."""


class Outcome(StrEnum):
    """How an attempt to bring a model into service ended."""

    SWAPPED = "swapped"
    REFUSED = "refused"
    """The artefact cannot serve here, however often it is tried."""
    UNREACHABLE = "unreachable"
    """The location did not answer; tried again."""
    SUPERSEDED = "superseded"
    """Another one was wanted meanwhile."""
    FAILED = "failed"
    """A fault of the program."""


@dataclass(frozen=True, slots=True)
class Target:
    """An artefact that a slot is to run.

    Attributes:
        name: In the store.
        digest: What has to be found there.
        at_ms: When it was activated: two activations of one artefact are two targets.
        share: Of the requests that a shadow scores.

    """

    name: str
    digest: str
    at_ms: int = 0
    share: float = 0.0

    def __str__(self) -> str:
        """For people."""
        return f"{self.name} ({self.digest[:12]})"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a target is; `coverage`: share of the served items that have a vector in its space, where that counts."""

    target: Target
    step: Step
    coverage: float | None = None

    def __str__(self) -> str:
        """For people."""
        covered = "" if self.coverage is None else f": coverage {self.coverage:.2f}"
        return f"loading {self.target}: {self.step}{covered}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a target is not served; `is_retried`: its location could not be reached, and it is tried again."""

    target: Target
    reason: str
    is_retried: bool = False

    def __str__(self) -> str:
        """For people."""
        return f"refused {self.target}: {self.reason}"


class RefusedError(Exception):
    """The artefact is sound, and yet not what this worker can serve. The text says what to do."""


class SupersededError(Exception):
    """Another target was set, or the worker stops."""
