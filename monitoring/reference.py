"""The reference page of the metrics, made from the catalogue.

Invariant: `docs/metrics.md` is the output of `python -m muse_stream.monitoring.reference`; a test compares them.
"""

import sys
from itertools import groupby

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.catalogue import CATALOGUE, VERIFICATION, Definition
from muse_stream.monitoring.repeats import LEVELS

INTRODUCTION = """# Metrics

A worker serves these at `/metrics`, beside the usual `process_`, `python_` and `python_gc_` ones. Times are seconds,
sizes bytes, shares 0 to 1; counters end in `_total`; an `_info` metric is 1 and its labels tell. No label holds a user,
an item or a request. Series of a partition disappear when it is revoked.

Four of them answer "are behaviours retrievable in time?", each in its own way ([freshness](freshness.md)):

* `muse_freshness_event_visible_seconds` is the age of the data, late producers included.
* `muse_freshness_broker_visible_seconds` is our part of it. Both fall silent when the consumer stops, so also look at
* `muse_ingest_lag_seconds`, which is computed when scraped and grows while the consumer stands still. Take its maximum.
* `muse_canary_unseen_seconds` is for how long no behaviour of our own has come back in an answer. Take its maximum.

The canary's users are in the metrics of the canary and in those that count records of the log, time of a thread or
what stores and engines hold; no other one counts what they do.

`muse-stream verify-served --follow` serves the ones of Verification on a port of its own.

Aggregate over workers with `sum`, lag with `max`, progress with `min`. A standby copy reads the same records again: it
counts under `role="standby"` and nowhere else.

`muse_build_info` knows its commit where `MUSE_STREAM_COMMIT` says it, as an image can, or where pip installed from a
repository. What all this costs is measured by `muse-stream bench monitoring`.
"""

TITLES = {
    "build": "Build",
    "ingest": "Ingest",
    "freshness": "Freshness",
    "canary": "The canary",
    "requests": "Requests",
    "store": "Stores",
    "items": "Items",
    "snapshot": "Snapshots",
    "engine": "Engine",
    "gpu": "GPU",
    "model": "Model",
    "retrieval": "Retrieval",
    "shadow": "Shadow",
    "health": "Health",
    "watchdog": "Watchdog",
    "monitoring": "Monitoring itself",
    "log": "Log",
    "verify": "Verification",
}

VALUES = {
    "kind": c.STORE_KINDS,
    "role": c.ROLES,
    "topic": c.TOPICS,
    "slot": c.MODEL_SLOTS,
    "backend": c.BACKENDS,
    "what": c.VERIFIED,
    "level": LEVELS,
}

OWN_VALUES = {
    c.GPU_ELSEWHERE.name: c.ELSEWHERE,
    c.REQUEST_LEFT_OUT.name: c.LEFT_OUT,
    c.VERIFY_LAG.name: c.VERIFIED_TOPICS,
    c.CANARY_MISSED.name: c.CANARY_MISSED_REASONS,
    c.REQUESTS_SHED.name: c.SHED_REASONS,
    c.REQUESTS_OVERDUE.name: c.OVERDUE_STAGES,
    c.RESTORES.name: c.RESTORE_OUTCOMES,
}
"""Of metrics whose label has other values than the same label elsewhere."""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [INTRODUCTION]
    for subsystem, definitions in groupby((*CATALOGUE, *VERIFICATION), _subsystem):
        parts.append(f"## {TITLES[subsystem]}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|")
        parts.extend(_row(definition) for definition in definitions)
        parts.append("")
    parts.append(_buckets())
    return "\n".join(parts)


def _subsystem(definition: Definition) -> str:
    return "requests" if definition.subsystem == "request" else definition.subsystem


def _row(definition: Definition) -> str:
    labels = ", ".join(_label(definition, label) for label in definition.labels) or "–"
    return f"| `{definition.name}` | {definition.kind} | {labels} | {definition.help} |"


def _label(definition: Definition, label: str) -> str:
    stages = c.INGEST_STAGES if definition.subsystem == "ingest" else c.REQUEST_STAGES
    values = stages if label == "stage" else VALUES.get(label, ())
    values = OWN_VALUES.get(definition.name, values)
    return f"`{label}`" + (f" ({', '.join(values)})" if values else "")


def _buckets() -> str:
    bounds: dict[tuple[float, ...], list[str]] = {}
    for definition in CATALOGUE:
        if definition.buckets:
            bounds.setdefault(definition.buckets, []).append(f"`{definition.name}`")
    lines = [f"* {', '.join(names)}: {', '.join(f'{bound:g}' for bound in edges)}" for edges, names in bounds.items()]
    return "## Buckets\n\nUpper bounds; the same on every worker and never derived from settings.\n\n" + "\n".join(
        [*lines, ""]
    )


if __name__ == "__main__":
    sys.stdout.write(page())
