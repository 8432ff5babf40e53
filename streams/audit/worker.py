"""A running worker's memory against its own stores: what the resident pool and the vector tables hold.

The worker reads both sides between two turns of the thread that writes them, and gives digests; they are judged here.

What is right, of a resident user: the pool's run is a part of the live sequence with the same items, up to the store's
end. Three things are right besides: a run may begin up to a page (512) before the live sequence, because pages go
whole; it may hold what has expired, because a search asks for what the store shows; and it may end before the store's
end where a search loaded it while behaviours came in: the next search loads it again.

A user may be resident in memory, on a GPU, or in both, with a run of its own in each; both are compared.

Invariant: a partition that leaves the worker meanwhile is left out, not called wrong.
"""

from typing import Any

from muse_stream.streams.audit.report import MemoryReport
from muse_stream.streams.demo.http import Reply, get_json
from muse_stream.streams.errors import AuditError

PAGE = 512
"""Behaviours in a page of the pool."""
TIMEOUT_SECONDS = 120.0
"""A table of millions of vectors takes seconds to read."""
GONE = 404


def audit_memory(url: str) -> MemoryReport | None:
    """Compare what the worker at `url` has in memory with its stores; None where nobody answers.

    Raises:
        AuditError: The worker refuses, or stops answering.

    """
    status = get_json(f"{url}/v1/status")
    if status.status == 0:
        return None
    report = MemoryReport(url)
    for state in _checked(url, status)["partitions"]:
        if state["phase"] != "failed":
            _audit_pool(report, url, state["partition"])
    for table in _checked(url, get_json(f"{url}/v1/audit/vectors", timeout_seconds=TIMEOUT_SECONDS))["spaces"]:
        _audit_table(report, table)
    return report


def _audit_pool(report: MemoryReport, url: str, partition: int) -> None:
    address, following = f"{url}/v1/audit/pool/{partition}", ""
    while True:
        reply = get_json(address + following, timeout_seconds=TIMEOUT_SECONDS)
        if reply.status == GONE:
            return
        page = _checked(url, reply)
        for line in page["users"]:
            report.users += 1
            report.behaviours += line["compared"]
            report.behind += line["pool_stop"] < line["store_stop"]
            if (wrong := _wrong(line)) is not None:
                report.add(f"user {line['user']} of partition {partition}: {wrong}")
        if page["next"] is None:
            return
        following = f"?after={page['next']}"


def _wrong(line: dict[str, Any]) -> str | None:
    where, held = line.get("where", "memory"), f"{line['pool_start']}..{line['pool_stop'] - 1}"
    stored = f"{line['store_start']}..{line['store_stop'] - 1}"
    if line["pool_stop"] > line["store_stop"]:
        return f"{where} holds behaviours {held}, the store {stored}: memory is ahead"
    if line["pool_stop"] == line["store_stop"] and line["pool_start"] <= line["pool_may_start"] - PAGE:
        return f"{where} holds behaviours {held}, the store {stored}: what was trimmed is still in memory"
    if line["pool_stop"] <= line["pool_may_start"]:
        return f"{where} holds behaviours {held}, the store {stored}: an erased user is still in memory"
    if line["pool"] != line["store"]:
        return f"{where} holds other items than the store in behaviours {held}"
    return None


def _audit_table(report: MemoryReport, table: dict[str, Any]) -> None:
    space = table["space"]
    report.vectors += table["vectors_stored"]
    report.without_room += table["absent"]
    if table["table"] != table["store"]:
        report.add(f"vectors of space {space} differ from those in the item store")
    if table["absent"] and not table["full"]:
        report.add(f"{table['absent']} vectors of space {space} are in the item store and not in memory")
    surplus = table["vectors_held"] - (table["vectors_stored"] - table["absent"])
    if surplus:
        report.add(f"{surplus} vectors of space {space} are in memory and not in the item store")


def _checked(url: str, reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        detail = reply.body.get("detail") or f"HTTP status {reply.status}"
        message = f"{url} does not tell what it has in memory: {detail}"
        raise AuditError(message)
    return reply.body
