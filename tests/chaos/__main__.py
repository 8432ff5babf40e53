"""`python -m tests.chaos`: one run, with progress, and a report."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from tests.chaos.faults import WEIGHTS
from tests.chaos.plan import Plan
from tests.chaos.run import HangError, run


def main() -> int:
    """0: nothing differs; 1: something does."""
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("--seconds", type=float, default=300.0, help="how long faults go on")
    options.add_argument("--kills", type=int, help="go on until so many processes were ended by kill -9, however long")
    options.add_argument("--seed", type=int, default=1, help="decides what is written, asked and broken")
    options.add_argument("--workers", type=int, default=3)
    options.add_argument("--partitions", type=int, default=8)
    options.add_argument("--rate", type=float, default=500.0, help="records per second")
    options.add_argument("--script", nargs="+", default=[], choices=list(WEIGHTS), help="these faults, in this order")
    options.add_argument("--json", action="store_true", help="print the report as one object at the end")
    options.add_argument("--keep", type=Path, help="keep stores, logs and Kafka's data in this directory")
    given = vars(options.parse_args())
    as_json = given.pop("json")
    given["script"] = tuple(given["script"])
    os.environ["PYTHONFAULTHANDLER"] = "1"  # SIGABRT makes a worker that hangs write its stacks to its log
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = run(Plan(**given), say)
    except HangError as error:
        say(f"{error}; the directory is kept, stacks are in its hang.txt")
        return 1
    for line in report.lines():
        say(line)
    if as_json:
        say(json.dumps(report.document()))
    return 0 if report.ok else 1


def say(line: str) -> None:
    """Print, also where the output is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
