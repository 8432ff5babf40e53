"""`python -m tests.drill`: real workers and a real Prometheus, broken on purpose; do the right alarms go off?"""

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.drill.faults import FAULTS, Fault
from tests.drill.run import DrillError, run
from tests.drill.slow_disk import COMPILERS, compiler
from tests.live.prometheus import PROGRAM, program


def main() -> int:
    """0: every alarm as it should be; 1: one is not; 2: it cannot be tried here."""
    names = ", ".join(fault.name for fault in FAULTS)
    options = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    options.add_argument("--faults", type=chosen, default=FAULTS, help=f"these, separated by commas: {names}")
    options.add_argument("--json", action="store_true", help="print the report as one object at the end")
    options.add_argument("--keep", type=Path, help="keep stores, logs and rules in this directory")
    given = options.parse_args()
    missing = [
        text for text, found in ((PROGRAM, program()), (f"one of {', '.join(COMPILERS)}", compiler())) if not found
    ]
    if missing:
        say(f"the drill needs {' and '.join(missing)}; on Debian: apt install prometheus gcc")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = run(given.faults, say, given.keep)
    except DrillError as error:
        say(str(error))
        return 1
    for line in report.lines():
        say(line)
    if given.json:
        say(json.dumps(report.document()))
    return 1 if report.problems() else 0


def chosen(text: str) -> tuple[Fault, ...]:
    """The faults of these names, in the order of a drill."""
    wanted = {name.strip() for name in text.split(",")}
    unknown = wanted - {fault.name for fault in FAULTS}
    if unknown:
        message = f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(fault.name for fault in FAULTS)}"
        raise argparse.ArgumentTypeError(message)
    return tuple(fault for fault in FAULTS if fault.name in wanted)


def say(line: str) -> None:
    """Print, also where the output is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
