"""What `muse-stream models` prints, and its JSON."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from muse_stream.esu_scorer import Entry
from muse_stream.esu_scorer.differences import FieldDifference, TensorDifference
from muse_stream.streams.models.activating import Outcome
from muse_stream.streams.models.control import Activation, Running, Slot
from muse_stream.streams.models.state import Seen

SHORT = 12
"""Digits of a digest that people see: 48 bits tell any number of models apart."""
SHOWN_TENSORS = 20


def models_table(entries: list[Entry], slots: Mapping[Slot, Activation], now_ms: int) -> Table:
    """One row per model of the store."""
    table = Table()
    for name in ("model", "slot", "version", "digest", "space", "metrics", "trained", "size", "age"):
        table.add_column(name, justify="right" if name in {"size", "age"} else "left", overflow="fold")
    for entry in entries:
        has = [slot for slot, one in slots.items() if (one.name, one.digest) == (entry.name, entry.digest)]
        measured = ", ".join(f"{name} {value:.4g}" for name, value in _metrics(entry).items())
        table.add_row(
            entry.name,
            ", ".join(has),
            entry.version,
            entry.digest[:SHORT],
            entry.space,
            measured,
            "" if entry.problem and not entry.digest else ("yes" if entry.trained else "no"),
            f"{entry.size_bytes / 1e6:,.1f} MB",
            age((now_ms - entry.created_ms) / 1e3) if entry.created_ms else "",
        )
    return table


def workers_table(reports: Mapping[str, Seen], now_ms: int) -> Table:
    """One row per worker."""
    table = Table()
    for name in ("worker", "live", "shadow", "on its way", "refused", "heard of"):
        table.add_column(name, overflow="fold")
    for worker, seen in sorted(reports.items()):
        report, silent = seen.report, age((now_ms - seen.broker_time_ms) / 1e3)
        loading, refused = report.loading, report.refused
        coverage = f" {loading.coverage:.0%}" if loading and loading.coverage is not None else ""
        table.add_row(
            worker,
            _running(report.live),
            _running(report.shadow),
            f"{loading.name}: {loading.step}{coverage}" if loading else "",
            f"{refused.name}: {refused.reason}" if refused else "",
            f"{silent} ago, STALE" if seen.stale(now_ms) else f"{silent} ago",
        )
    return table


def slot_lines(slots: Mapping[Slot, Activation], entries: list[Entry]) -> Iterator[str]:
    """What each slot has, for people."""
    there = {(entry.name, entry.digest) for entry in entries}
    if "live" not in slots:
        yield "live: nothing has been activated; workers serve the model of their settings"
    for slot, one in slots.items():
        share = "" if one.share is None else f", {one.share:.3g} of the requests"
        lost = (
            "" if (one.name, one.digest) in there else "; NOT IN THE STORE as it was: activate another, or put it back"
        )
        yield f"{slot}: {one.name} {one.digest[:SHORT]} (space {one.space}{share}), by {one.by} {utc(one.at_ms)}{lost}"


def entry_lines(entry: Entry, manifest: Mapping[str, Any]) -> Iterator[str]:
    """A manifest, readable."""
    tensors = manifest.get("tensors") or {}
    values = sum(math.prod(one["shape"]) for name, one in tensors.items() if name.startswith("weight/"))
    yield f"{entry.name}: version {entry.version}, {'trained' if entry.trained else 'UNTRAINED first weights'}"
    yield f"  digest      {entry.digest}"
    yield f"  format      {entry.format} {manifest.get('format_version', '')}, {entry.size_bytes:,} bytes"
    yield f"  written     {utc(entry.created_ms)}"
    yield f"  space       {entry.space}"
    yield f"  reads       {entry.k} retrieved and {entry.r} recent behaviours"
    if entry.features:
        for part, features in (("candidate", entry.features.candidate), ("user", entry.features.user)):
            yield f"  {part:<11} {', '.join(f'{one.name}:{one.width}' for one in features)}"
    if "network" in manifest:
        yield f"  network     {_plain(manifest['network'])}"
    if tensors:
        yield f"  weights     {values:,} values in {len(tensors)} tensors"
    for name, value in entry.metrics.items():
        yield f"  metric      {name} {value:.6g}"
    yield from _origin(manifest)
    if entry.problem:
        yield f"  PROBLEM     {entry.problem}"


def difference_lines(fields: list[FieldDifference], tensors: list[TensorDifference] | None) -> Iterator[str]:
    """In what two models differ."""
    for one in fields:
        yield f"{one.name}: {_plain(one.first)} -> {_plain(one.second)}"
    if tensors is None:
        yield "weights: not compared; only models of format muse-esu are"
        return
    for two in tensors[:SHOWN_TENSORS]:
        if two.changed is None:
            yield f"{two.name}: {two.first or 'not there'} -> {two.second or 'not there'}"
        else:
            largest = "" if two.max_abs is None else f", by at most {two.max_abs:.3g}"
            yield f"{two.name} {two.first}: {two.changed:,} values differ{largest}"
    if len(tensors) > SHOWN_TENSORS:
        yield f"... and {len(tensors) - SHOWN_TENSORS} more tensors; --json has them all"
    if not fields and not tensors:
        yield "no difference"


def outcome_line(one: Outcome) -> str:
    """What a worker made of an activation."""
    words = {
        "runs": "runs it",
        "refused": "REFUSED",
        "loading": "on its way",
        "waiting": "has not said",
        "stale": "gone?",
    }
    return f"{one.worker}: {words[one.state]}{': ' + one.text if one.text else ''}"


def entry_document(entry: Entry) -> dict[str, Any]:
    """An entry for `--json`."""
    return dict(msgspec.to_builtins(entry))


def slots_document(slots: Mapping[Slot, Activation]) -> dict[str, Any]:
    """Activations for `--json`."""
    return {slot: msgspec.to_builtins(one) for slot, one in slots.items()}


def workers_document(reports: Mapping[str, Seen], now_ms: int) -> list[dict[str, Any]]:
    """Reports for `--json`."""
    return [
        {**msgspec.to_builtins(seen.report), "broker_time_ms": seen.broker_time_ms, "stale": seen.stale(now_ms)}
        for _, seen in sorted(reports.items())
    ]


def utc(time_ms: int) -> str:
    """A time for people."""
    return f"{datetime.fromtimestamp(time_ms / 1e3, UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(seconds: float) -> str:
    """A duration in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _metrics(entry: Entry) -> dict[str, float]:
    """GAUC where it was measured, for it is what models are chosen by; else whatever was."""
    return {"gauc": entry.metrics["gauc"]} if "gauc" in entry.metrics else dict(entry.metrics)


def _running(one: Running | None) -> str:
    return f"{one.name} {one.digest[:SHORT]} ({one.space})" if one else ""


def _origin(manifest: Mapping[str, Any]) -> Iterator[str]:
    if data := manifest.get("data"):
        times = f", {utc(data['first_ms'])} to {utc(data['last_ms'])}" if data["last_ms"] else ""
        yield f"  trained on  {data['samples']:,} samples of {data['source']}{times}"
    for name in ("parent", "vocabulary_digest"):
        if name in manifest:
            yield f"  {name.split('_')[0]:<11} {manifest[name]}"


def _plain(value: object) -> str:
    return "not there" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
