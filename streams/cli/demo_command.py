"""`muse-stream demo`: the whole path on real purchases."""

import contextlib
import signal
import threading
from types import FrameType

import click
from rich.console import Console

from muse_stream.streams.cli.common import (
    CommandError,
    config_file,
    example,
    json_option,
    make_console,
    pairs_options,
    print_json,
    settings_overrides,
)
from muse_stream.streams.demo.run import Demo, Options
from muse_stream.streams.demo.stage import Stage
from muse_stream.streams.demo.summary import Summary

RATE = 2_700.0  # behaviours/s: the 32 181 purchases take 12 s
REQUEST_RATE = 10.0
FIXED = {"kafka.brokers", "state.directory"}


@click.command(epilog=example("muse-stream demo", "muse-stream demo --once --json", "muse-stream demo --once --kill"))
@click.option("--once", is_flag=True, help="End after the summary instead of staying up until Ctrl-C.")
@click.option("--rate", default=RATE, show_default=True, type=click.FloatRange(1), help="Behaviours per second.")
@click.option(
    "--request-rate", default=REQUEST_RATE, show_default=True, type=click.FloatRange(0.1), help="Requests per second."
)
@click.option(
    "--kill", is_flag=True, help="Kill the worker in mid-stream, start it again, audit its stores at the end."
)
@json_option
@pairs_options
def command(once: bool, rate: float, request_rate: float, kill: bool, as_json: bool) -> None:
    """Start a real Kafka and a worker, replay six weeks of real purchases, rank for customers meanwhile.

    Needs nothing but this installation (the first start fetches Kafka, about 44 MB). With --json the last line is one
    object. Fails unless everything sent was stored and answered.
    """
    console = make_console()
    signal.signal(signal.SIGTERM, _interrupt)
    overrides = settings_overrides()
    fixed = sorted(FIXED & overrides.keys()) + (["--config"] if config_file() else [])
    if fixed:
        message = f"the demo runs a Kafka of its own in a directory of its own; leave out {', '.join(fixed)}"
        raise click.UsageError(message)
    demo = Demo(console, Options(rate, request_rate, overrides, kill))
    with demo.set_up() as stage:
        summary = demo.play(stage)
        show(console, summary, as_json=as_json)
        if not once:
            stay(console, stage)
    if failures := summary.failures():
        raise CommandError("; ".join(failures))


def show(console: Console, summary: Summary, *, as_json: bool) -> None:
    """Print the summary for people, and as the last line for programs."""
    console.print(
        f"  {summary.behaviours_stored:,} of {summary.behaviours_sent:,} behaviours stored, "
        f"{summary.requests_answered} of {summary.requests_sent} requests answered, "
        f"{summary.dead_letters} dead letters, {summary.seconds:.0f} s in all",
        highlight=False,
    )
    if as_json:
        print_json(summary.as_json())


def stay(console: Console, stage: Stage) -> None:
    """Name the addresses and wait for Ctrl-C."""
    console.rule("Still running")
    user = int(stage.retail.customers.user[0])
    for line in (
        f"status    {stage.url}/v1/status",
        f"metrics   {stage.url}/metrics",
        f"health    {stage.url}/health/ready",
        f"a user    {stage.url}/v1/users/{user}/sequence?limit=10",
        f"settings  {stage.config}",
        f"log       {stage.worker.log}",
        f"try       muse-stream request --config {stage.config} --user {user} 85123A 71053 22423",
        "Ctrl-C ends it and removes everything.",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
