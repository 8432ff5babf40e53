"""`muse-stream parity FILE`: our network against the released one."""

import math
from pathlib import Path

import click

from muse_stream.esu_scorer.parity import TOLERANCE, ParityReport, check_parity
from muse_stream.streams.cli.common import CommandError, example, json_option, print_json


@click.command(epilog=example("muse-stream parity muse_reference.npz"))
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--tolerance", default=TOLERANCE, show_default=True, help="Largest absolute error that passes.")
@json_option
def command(file: Path, tolerance: float, as_json: bool) -> None:
    """Compare the network with a reference FILE (.npz), stage by stage; fails above the tolerance."""
    report = check_parity(file, tolerance)
    if as_json:
        print_json(_as_json(report))
    else:
        for stage in report.stages:
            verdict = "ok" if stage.largest_error <= tolerance else "TOO LARGE"
            click.echo(f"{stage.stage:<18} {stage.shape!s:<16} largest error {stage.largest_error:.2e}  {verdict}")
    if not report.passed:
        message = f"largest error {report.largest_error:.2e} is above {tolerance:.0e}"
        raise CommandError(message)


def _as_json(report: ParityReport) -> dict[str, object]:
    stages = [
        {"stage": stage.stage, "shape": list(stage.shape), "largest_error": _finite(stage.largest_error)}
        for stage in report.stages
    ]
    return {"passed": report.passed, "largest_error": _finite(report.largest_error), "stages": stages}


def _finite(error: float) -> float | None:
    """JSON has no NaN."""
    return error if math.isfinite(error) else None
