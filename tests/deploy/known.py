"""Every series that expressions may read: labels by name, and the closed sets that labels take their values from."""

from functools import cache

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.catalogue import CATALOGUE, VERIFICATION, Definition
from muse_stream.monitoring.reference import OWN_VALUES, VALUES
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.rejects import Reason
from tests.deploy.promql import read
from tests.deploy.rules import records

TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus puts on everything that it scrapes."""
FOREIGN = {
    "up": TARGET,
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
    "process_cpu_seconds_total": TARGET,
    "process_resident_memory_bytes": TARGET,
    "process_open_fds": TARGET,
    "process_max_fds": TARGET,
    "process_start_time_seconds": TARGET,
}
"""What Prometheus makes itself, and what every Python process exports."""
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}

_VALUES = {
    (c.REQUESTS.name, "outcome"): tuple(map(str, Status)),
    (c.INGEST_REJECTED.name, "reason"): tuple(map(str, Reason)),
    (c.MODEL_RELOADS.name, "outcome"): c.RELOAD_OUTCOMES,
    (c.SHADOW_REQUESTS.name, "outcome"): c.SHADOW_OUTCOMES,
    (c.INGEST_FAILED.name, "reason"): c.STOP_REASONS,
    (c.STUCK.name, "reason"): c.STUCK_KINDS,
    (c.INGEST_STAGE.name, "stage"): c.INGEST_STAGES,
    (c.REQUEST_STAGE.name, "stage"): c.REQUEST_STAGES,
}


@cache
def series() -> dict[str, tuple[Definition, str]]:
    """Name of each series of ours, to its definition and suffix."""
    return {
        definition.name + suffix: (definition, suffix)
        for definition in (*CATALOGUE, *VERIFICATION)
        for suffix in SUFFIXES.get(definition.kind, ("",))
    }


@cache
def recorded() -> dict[str, frozenset[str]]:
    """Name of each recorded series, to its labels: goals have none, everything else is put together by job."""
    return {name: frozenset({"job"} if name.startswith("job:") else ()) for name in records()}


@cache
def labels() -> dict[str, frozenset[str]]:
    """Labels of every series that there is."""
    own = {
        name: TARGET | set(definition.labels) | ({"le"} if suffix == "_bucket" else set())
        for name, (definition, suffix) in series().items()
    }
    return {**own, **recorded(), **FOREIGN}


def values(name: str, label: str) -> frozenset[str]:
    """The closed set of a label's values. Raises KeyError: there is none."""
    definition, suffix = series()[name]
    if (suffix, label) == ("_bucket", "le"):
        return frozenset({*(repr(float(bound)) for bound in definition.buckets), "+Inf"})
    if definition.name in OWN_VALUES:
        return frozenset(OWN_VALUES[definition.name])
    return frozenset(_VALUES[definition.name, label] if (definition.name, label) in _VALUES else VALUES[label])


def problems(expression: str) -> list[str]:
    """What an expression reads that is not there: series, labels, values of labels."""
    reading, there = read(expression), labels()
    unknown = [f"no series {one.metric}" for one in reading.selectors if one.metric not in there]
    if unknown:
        return unknown
    found = []
    kept: dict[tuple[int, str], set[str]] = {}
    for selector in reading.selectors:
        for call in selector.calls:
            for label in call.labels:
                kept.setdefault((call.at, label), set()).update(there[selector.metric])
        for label, sign, value in selector.matchers:
            found += _wrong_matcher(selector.metric, label, sign, value, there[selector.metric])
    found += [f"nothing below `by ({label})` has it" for (_, label), has in kept.items() if label not in has]
    everything = set().union(*(there[one.metric] for one in reading.selectors))
    return found + [f"nothing has the label {label}, which is joined on" for label in reading.joined - everything]


def _wrong_matcher(metric: str, label: str, sign: str, value: str, has: frozenset[str]) -> list[str]:
    if label not in has:
        return [f"{metric} has no label {label}"]
    if label in TARGET or metric in FOREIGN or value.startswith("$"):
        return []
    given = value.split("|") if "~" in sign else [value]
    return [f"{metric} never has {label}={one!r}" for one in given if one not in values(metric, label)]
