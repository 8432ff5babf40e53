"""Behaviours that arrive: one row to each of 1 000 users who are resident on the device."""

import statistics
import time
from collections.abc import Iterator

import numpy as np

from muse_stream.benchmarks.gpu_cases import Group
from muse_stream.benchmarks.gpu_ours import Ours
from muse_stream.benchmarks.gpu_world import World
from muse_stream.benchmarks.report import Line

USERS, LENGTH = 1_000, 1_000
CASE = f"append one row to {USERS} users"
FIGURES = {"launches": "launches", "end to end": "ms", "on the device": "ms"}


def empty() -> Iterator[Line]:
    """The rows without figures."""
    return (Line(f"{CASE}, {figure}", None, unit) for figure, unit in FIGURES.items())


def measured(world: World, ours: Ours, rounds: int) -> Iterator[Line]:
    """Launches, the engine's whole call, and the device's time; medians."""
    (users,) = world.sets(Group("", (LENGTH,) * USERS, (), 1))
    ours.enter(users)
    taken, on_device, launches = [], [], 0
    numbers, bounds = np.array(users), np.arange(USERS + 1)
    for number in range(rounds):
        new = numbers, np.full(USERS, LENGTH + number), bounds, world.some_items(USERS)
        began = time.perf_counter()
        ours.engine.append(*new)
        taken.append(time.perf_counter() - began)
        if ours.metered and ours.device:
            ours.device.reset()
            ours.metered.append(*new)
            on_device.append(ours.device.seconds())
            launches = max(launches, len(ours.device.launches))
    figures: dict[str, float] = {"end to end": 1e3 * statistics.median(taken)}
    if on_device:
        figures |= {"launches": launches, "on the device": 1e3 * statistics.median(on_device)}
    return (Line(f"{CASE}, {figure}", figures.get(figure), unit) for figure, unit in FIGURES.items())
