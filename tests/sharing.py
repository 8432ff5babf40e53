"""How several processes share the tests (`make test`): what stays together in one of them.

Invariants: one process runs all files that work with brokers, so such tests never compete with each other and share
one broker; the tests of any other file stay together, so its fixtures are made once.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
BROKERS = "brokers"
"""The part that takes longest; it is mostly waiting, which leaves the processor to the others."""


def part_of(nodeid: str) -> str:
    """Name the part that a test belongs to: its file, or `BROKERS` where that file marks tests `kafka`."""
    file = nodeid.partition("::")[0]
    return BROKERS if _works_with_brokers(file) else file


@cache
def _works_with_brokers(file: str) -> bool:
    return "mark.kafka" in (ROOT / file).read_text(encoding="utf-8")


class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Gives a process one part after another, in the order in which their first tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid)
