"""`muse-stream topics`: create the topics, or compare them with what they must be."""

import click

from muse_stream.streams.cli.common import (
    CommandError,
    example,
    json_option,
    load_settings,
    print_json,
    settings_options,
)
from muse_stream.streams.clients import open_admin, wanted_topics
from muse_stream.streams.kafka.topic_admin import TopicFinding, TopicOutcome, check_topics, ensure_topics


@click.group(epilog=example("muse-stream topics create --brokers localhost:9092"))
def command() -> None:
    """Create and show the topics."""


@command.command(epilog=example("muse-stream topics create --set topics.partitions=16 --set topics.replication=3"))
@click.option("--partitions", type=int, metavar="N", help="Partitions of behaviours, users and requests.")
@json_option
@settings_options
def create(partitions: int | None, as_json: bool) -> None:
    """Create the topics that are missing and set retention, timestamps and compaction; running it again is safe.

    A topic with another partition count is refused, and nothing is changed then.
    """
    settings = load_settings({"topics.partitions": partitions})
    with open_admin(settings) as admin:
        outcomes = ensure_topics(admin, wanted_topics(settings))
    if as_json:
        print_json({"brokers": settings.kafka.brokers, "topics": [_outcome(outcome) for outcome in outcomes]})
        return
    for outcome in outcomes:
        changes = ", ".join(
            f"{key}: {before or 'unset'} -> {after}" for key, (before, after) in outcome.changes.items()
        )
        click.echo(f"{outcome.name:<20} {outcome.action}{'  ' + changes if changes else ''}")


@command.command(epilog=example("muse-stream topics show --brokers localhost:9092"))
@json_option
@settings_options
def show(as_json: bool) -> None:
    """Compare the topics with what they must be, changing nothing; fails if one differs."""
    settings = load_settings()
    with open_admin(settings) as admin:
        findings = check_topics(admin, wanted_topics(settings))
    wrong = sum(not finding.ok for finding in findings)
    if as_json:
        print_json({"brokers": settings.kafka.brokers, "topics": [_finding(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(f"{finding.name:<20} {'ok' if finding.ok else 'WRONG'}  {finding.text}")
    if wrong:
        message = f"{wrong} findings; see above"
        raise CommandError(message)


def _outcome(outcome: TopicOutcome) -> dict[str, object]:
    changes = {key: {"before": before, "after": after} for key, (before, after) in outcome.changes.items()}
    return {"name": outcome.name, "action": outcome.action, "changes": changes}


def _finding(finding: TopicFinding) -> dict[str, object]:
    return {"name": finding.name, "ok": finding.ok, "text": finding.text}
