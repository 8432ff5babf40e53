"""`kill -9` in mid-stream, and what the audit says of the stores at the end.

Invariant: the worker is killed once, while behaviours are being written and requests are open, and nothing is done to
its stores before it is started again.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from muse_stream.streams.audit.report import AuditReport
from muse_stream.streams.audit.show import show
from muse_stream.streams.audit.stores import audit_one, stores
from muse_stream.streams.audit.worker import audit_memory
from muse_stream.streams.demo.stage import Stage
from muse_stream.streams.demo.worker_process import WorkerProcess

SHARE = 0.5
"""Of the purchases, sent when the worker is killed."""
PATIENT_MS = 59_000
"""Deadline of requests: they are to wait for a worker that starts again, and are not answered after a minute."""
PATIENT: Mapping[str, object] = {"app.instance_id": "demo", "serving.ready_wait_ms": PATIENT_MS}
"""Settings of a worker that comes back under its own name, and lets requests wait while it catches up."""


class Blow:
    """Kills the worker once, when enough has been sent, and starts it again."""

    def __init__(self, worker: WorkerProcess, say: Callable[[str], None]) -> None:
        self._worker, self._say = worker, say
        self._struck = False

    def look(self, sent: int, total: int) -> None:
        """Strike if it is time and has not been done."""
        if self._struck or sent < SHARE * total:
            return
        self._struck = True
        self._worker.kill()
        self._say(f"kill -9 after {sent:,} purchases; the worker is started again")
        self._worker.start()


def audit(console: Console, stage: Stage) -> Mapping[str, Any]:
    """Compare every store, and the worker's memory, with the log, and show it. Raises `StreamsError`."""
    console.rule("Everything compared with the log")
    report = AuditReport([audit_one(stage.settings, path) for path in stores(stage.settings.state.directory)])
    report.memory = audit_memory(stage.url)
    show(console, report)
    return report.document()
