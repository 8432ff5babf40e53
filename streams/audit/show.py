"""An audit's report for people.

Invariant: everything shown stands in the report; a verdict of differences is never shown without the first of them.
"""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muse_stream.streams.audit.report import SHOWN, AuditReport, MemoryReport


def show(console: Console, report: AuditReport) -> None:
    """Print the report for people."""
    table = Table()
    names = ("partition", "compared", "to offset", "users", "behaviours", "dropped", "rejected", "differences")
    for name in names:
        table.add_column(name, justify="left" if name == "compared" else "right")
    for one in report.partitions:
        counts = one.counts
        numbers = (one.position, one.users, counts.behaviours, counts.duplicates, counts.rejected, one.differences)
        table.add_row(str(one.partition), one.how, *(f"{number:,}" for number in numbers))
    console.print(table)
    for one in report.partitions:
        if one.note:
            console.print(f"partition {one.partition}: {escape(one.note)}", highlight=False)
    if report.memory:
        console.print(memory_line(report.memory), highlight=False, soft_wrap=True)
    for line in differences(report)[:SHOWN]:
        console.print(escape(line), highlight=False, soft_wrap=True)
    document = report.document()
    verdict = "equal" if report.ok else f"{document['differences']:,} differences"
    text = f"{verdict}: {document['lost']:,} lost, {document['doubled']:,} doubled, of {document['behaviours']:,}"
    console.print(f"{text} behaviours of {document['users']:,} users", highlight=False)


def memory_line(memory: MemoryReport) -> str:
    """What was compared in a worker's memory."""
    text = f"{memory.url}: {memory.users:,} resident users with {memory.behaviours:,} behaviours"
    return f"{text} ({memory.behind:,} behind), {memory.vectors:,} vectors ({memory.without_room:,} without room)"


def differences(report: AuditReport) -> list[str]:
    """The first differences, a line each."""
    found = [
        f"partition {one.partition}" + (f", user {one.user}" if one.user is not None else "") + f": {one.text}"
        for store in report.partitions
        for one in store.shown
    ]
    return found + (report.memory.shown if report.memory else [])
