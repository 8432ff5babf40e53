"""`muse-stream check`: one line per thing that must be right, with advice."""

from dataclasses import asdict

import click

from muse_stream.streams.cli.checks import Finding, all_findings
from muse_stream.streams.cli.common import (
    CommandError,
    config_file,
    example,
    json_option,
    load_settings,
    print_json,
    settings_options,
)

MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command(epilog=example("muse-stream check --config muse.yaml"))
@json_option
@settings_options
def command(as_json: bool) -> None:
    """Check settings, broker, topics and their retention, stores, vector table, worker and GPU; change nothing.

    Fails if something is wrong; a note is for information.
    """
    findings = []
    for finding in all_findings(load_settings(), config_file()):
        findings.append(finding)
        if not as_json:
            click.echo(line(finding))
    if as_json:
        print_json({"ok": not _wrong(findings), "findings": [asdict(finding) for finding in findings]})
    if wrong := _wrong(findings):
        message = f"{wrong} of {len(findings)} findings are wrong"
        raise CommandError(message)


def line(finding: Finding) -> str:
    """A finding for people."""
    advice = f" -> {finding.advice}" if finding.advice else ""
    return f"{MARKS[finding.verdict]} {finding.name}: {finding.text}{advice}"


def _wrong(findings: list[Finding]) -> int:
    return sum(finding.verdict == "wrong" for finding in findings)
