"""Snapshots on demand: asks a running worker and waits.

Invariant: a snapshot that is reported was begun after it was asked for.
"""

import time
from collections.abc import Callable
from typing import Any

from muse_stream.streams.cli.common import CommandError
from muse_stream.streams.demo.http import get_json, post_json

LOOK_SECONDS = 0.2
SILENCE_SECONDS = 60.0
"""So long a worker may not answer, or may not own the partition (a rebalance), before that is an error."""
MEGABYTE = 1_000_000


def save_all(base: str, wanted: tuple[int, ...], show: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Have the worker at `base` make snapshots of these partitions, or of all that it owns; what it says of each.

    Raises:
        CommandError: It does not answer, makes no snapshots, or does not own a partition.

    """
    reply = get_json(f"{base}/v1/snapshots")
    if reply.status != 200:
        message = f"no worker answers at {base} (HTTP status {reply.status}); name one with --url"
        raise CommandError(message)
    if not reply.body["enabled"]:
        message = f"the worker at {base} makes no snapshots; set snapshots.location and restart it"
        raise CommandError(message)
    numbers = sorted(set(wanted)) or [one["partition"] for one in reply.body["partitions"]]
    if not numbers:
        message = f"the worker at {base} owns no partition yet; look at {base}/health/ready and try again"
        raise CommandError(message)
    before = {number: _ask(base, number) for number in numbers}
    return _wait(base, before, show)


def _ask(base: str, number: int) -> int:
    """Ask for one; how many were tried before."""
    reply = post_json(f"{base}/v1/snapshots/{number}", b"")
    if reply.status != 202:
        detail = reply.body.get("detail", f"HTTP status {reply.status}")
        message = f"{base} makes no snapshot of partition {number}: {detail}"
        raise CommandError(message)
    attempts: int = reply.body["attempts"]
    return attempts


def _wait(base: str, before: dict[int, int], show: Callable[[int, int], None]) -> list[dict[str, Any]]:
    done: dict[int, dict[str, Any]] = {}
    heard = time.monotonic()
    while len(done) < len(before):
        time.sleep(LOOK_SECONDS)
        known = {one["partition"]: one for one in get_json(f"{base}/v1/snapshots").body.get("partitions", ())}
        for number, attempts in before.items():
            one = known.get(number)
            if one and one["phase"] == "idle" and number not in done:
                done[number] = _made(base, one, attempts)
        if known.keys() >= before.keys() - done.keys():
            heard = time.monotonic()
            running = [one for number, one in known.items() if number in before]
            show(*(sum(one[key] for one in running) // MEGABYTE for key in ("done_bytes", "total_bytes")))
        elif time.monotonic() - heard > SILENCE_SECONDS:
            left = sorted(before.keys() - done.keys())
            message = f"{base} says nothing of partitions {left} any more; look at the worker, then try again"
            raise CommandError(message)
    return [done[number] for number in before]


def _made(base: str, one: dict[str, Any], attempts: int) -> dict[str, Any]:
    if one["attempts"] <= attempts:
        message = f"{base} lost partition {one['partition']} and got it back meanwhile (a rebalance); try again"
        raise CommandError(message)
    return one
