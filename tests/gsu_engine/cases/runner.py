"""Many stories on many paths, and what they came to.

Invariant: the outcome follows from seed, numbers of stories and paths; not from how they are shared among processes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from muse_stream.gsu_engine.backends import MAKERS, choose
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.errors import BackendError
from tests.gsu_engine.cases import ways
from tests.gsu_engine.cases.story import SEARCHES, Compared, story_of

THREADS = (1, 2)
COVERED_FROM_CASES = 1_000  # per path: from so many on, a way that was never taken is a failure too
Backends = Mapping[tuple[str, int], Backend | str]


@dataclass(frozen=True)
class Failure:
    """A case that is wrong.

    Attributes:
        case: Its number.
        path: The backend.
        what: Where it differs from the definition.
        search: What was asked for.

    """

    case: int
    path: str
    what: str
    search: str

    def __str__(self) -> str:
        return f"case {self.case} on {self.path}: {self.what}\n  {self.search}"


@dataclass
class Outcome:
    """What stories came to: searches, cases (a search on a path), failures, and per path the ways taken."""

    searches: int = 0
    cases: int = 0
    failures: list[Failure] = field(default_factory=list)
    taken: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, compared: Compared) -> None:
        self.searches += 1
        self.cases += len(compared.ways)
        self.failures += [Failure(compared.number, path, what, compared.text) for path, what in compared.wrong.items()]
        for path, taken in compared.ways.items():
            self.taken.setdefault(path, Counter()).update(taken)

    def join(self, other: "Outcome") -> None:
        self.searches += other.searches
        self.cases += other.cases
        self.failures += other.failures
        for path, taken in other.taken.items():
            self.taken.setdefault(path, Counter()).update(taken)

    def never_taken(self) -> dict[str, list[str]]:
        """Per path with enough cases the ways that it never took."""
        missing = {
            path: ways.never_taken(taken) for path, taken in self.taken.items() if taken["cases"] >= COVERED_FROM_CASES
        }
        return {path: names for path, names in missing.items() if names}


def paths_here() -> tuple[list[str], dict[str, str]]:
    """Names of the cpu backends that run on this machine, and why the others do not."""
    here, elsewhere = [], {}
    for name in MAKERS:
        if name.startswith("cpu"):
            try:
                choose(name, 1)
                here.append(name)
            except BackendError as reason:
                elsewhere[name] = str(reason)
    return here, elsewhere


def backends_of(paths: Sequence[str]) -> Backends:
    """By path and threads; `cuda` by name, since each width has its own. Raises BackendError: one cannot run here."""
    made = {(path, threads): choose(path, threads)[0] for path in paths for threads in THREADS}
    return {(path, threads): path if path == "cuda" else backend for (path, threads), backend in made.items()}


def run_stories(seed: int, numbers: Iterable[int], backends: Backends) -> Outcome:
    """Tell stories, up to the first one with a failure."""
    outcome = Outcome()
    for number in numbers:
        with closing(story_of(seed, number, backends).searches()) as searches:
            for compared in searches:
                outcome.add(compared)
                if outcome.failures:
                    return outcome
    return outcome


def run_case(seed: int, case: int, backends: Backends) -> Compared:
    """One case again, after what came before it in its story."""
    with closing(story_of(seed, case // SEARCHES, backends).searches()) as searches:
        return next(compared for compared in searches if compared.number == case)
