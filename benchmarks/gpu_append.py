"""Behaviours that arrive: one row to each of 1 000 users who are resident on the device."""

import statistics
import time
from collections.abc import Iterator

import numpy as np

from muse_stream.benchmarks.gpu_cases import Group
from muse_stream.benchmarks.gpu_ours import Parts, enter, hold
from muse_stream.benchmarks.gpu_world import World
from muse_stream.benchmarks.report import Line
from muse_stream.gsu_engine import GsuEngine

USERS, LENGTH = 1_000, 1_000
CASE = f"append one row to {USERS} users"
FIGURES = {"launches": "launches", "end to end": "ms", "on the device": "ms"}


def empty() -> Iterator[Line]:
    """The rows without figures."""
    return (Line(f"{CASE}, {figure}", None, unit) for figure, unit in FIGURES.items())


def measured(world: World, engine: GsuEngine, parts: Parts | None, rounds: int) -> Iterator[Line]:
    """Launches, the engine's whole call, and the device's time; medians."""
    (users,) = world.sets(Group("", (LENGTH,) * USERS, (), 1))
    enter(world, engine, users)
    figures: dict[str, float | None] = {"end to end": 1e3 * _seconds(world, engine, users, rounds)}
    if parts:
        hold(world, parts, users)
        figures |= _on_device(world, parts, users, rounds)
    return (Line(f"{CASE}, {figure}", figures.get(figure), unit) for figure, unit in FIGURES.items())


def _seconds(world: World, engine: GsuEngine, users: list[int], rounds: int) -> float:
    taken = []
    numbers, bounds = np.array(users), np.arange(USERS + 1)
    for number in range(rounds):
        items = world.some_items(USERS)
        began = time.perf_counter()
        engine.append(numbers, np.full(USERS, LENGTH + number), bounds, items)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _on_device(world: World, parts: Parts, users: list[int], rounds: int) -> dict[str, float | None]:
    taken, launches = [], 0
    numbers, bounds = np.array(users), np.arange(USERS + 1)
    for number in range(rounds):
        slots = world.table.index.slots(world.some_items(USERS), create=True)
        parts.device.reset()
        starts = np.full(USERS, LENGTH + number)
        if not parts.histories.append(numbers, starts, bounds, slots, departures=parts.histories.departures):
            message = "the device histories did not take an append"
            raise RuntimeError(message)
        launches = max(launches, len(parts.device.launches))
        taken.append(parts.device.seconds())
    return {"launches": launches, "on the device": 1e3 * statistics.median(taken)}
