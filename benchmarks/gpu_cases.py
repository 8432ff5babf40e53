"""What is asked of a GPU: groups of users, and how many candidates each gets.

- `one user`: alone.
- `32 users`: with large questions, as many as a ranking stage asks.
- `64 users`: with 100 candidates each, all of one length or `ragged`, from a hundredth of it up to it, evenly spread on
  a logarithmic scale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SETS = 8  # of users that take turns, where they are few
SHORTEST = 100  # a ragged group's shortest history is so many times shorter than its longest


@dataclass(frozen=True, slots=True)
class Group:
    """Users of one question.

    Attributes:
        name: How many, and which.
        lengths: Behaviours of each.
        candidates: Sizes of question, per user.
        sets: So many different sets of such users take turns.

    """

    name: str
    lengths: tuple[int, ...]
    candidates: tuple[int, ...]
    sets: int


@dataclass(frozen=True, slots=True)
class Case:
    """One cell: a group and a size; `cold`: the device's cache is emptied before each call, and sets take turns."""

    group: Group
    candidates: int
    k: int
    cold: bool

    @property
    def name(self) -> str:
        """As rows are called."""
        heat = "cold" if self.cold else "warm"
        return f"{self.group.name}, {heat}, L={max(self.group.lengths)} C={self.candidates} K={self.k}"


def groups(length: int, one: Sequence[int], many: Sequence[int], most_users: int) -> list[Group]:
    """The groups of one length; `one` and `many` are the candidates of one user and of 32."""
    half, all_of_them = max(most_users // 2, 1), most_users
    ragged = np.geomspace(max(length // SHORTEST, 1), length, all_of_them).astype(np.int64)[::-1]
    made = [
        Group("one user", (length,), tuple(one), SETS),
        Group(f"{half} users", (length,) * half, tuple(many), 1),
        Group(f"{all_of_them} users", (length,) * all_of_them, (100,), 1),
        Group(f"{all_of_them} users, ragged", tuple(np.random.default_rng(0).permutation(ragged).tolist()), (100,), 1),
    ]
    return [group for group in made if group.candidates]


def cases(group: Group, k: int) -> Iterator[Case]:
    """All cells of a group."""
    for candidates in group.candidates:
        for cold in (False, True):
            yield Case(group, candidates, min(k, *group.lengths), cold)
