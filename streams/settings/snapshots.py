"""The settings of snapshots.

Invariant: see `sections.py`.
"""

from typing import Literal

from pydantic import Field

from muse_stream.streams.settings.sections import Section


class SnapshotSettings(Section):
    """Copies of the stores elsewhere: the log need not be kept for ever, and a new machine starts quickly."""

    location: str | None = Field(
        None,
        min_length=1,
        description="Where snapshots lie: a path, or a URL that fsspec knows (`s3://bucket/muse`; install its package, "
        "here s3fs). The same for all workers. Credentials come from fsspec's own configuration. None: no snapshots.",
    )
    interval_hours: float = Field(
        6.0, gt=0, le=8760, description="The owner of a partition makes a snapshot so often. Each costs what is new."
    )
    keep: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Snapshots kept per partition, the latest ones; half a day longer while one may be in use.",
    )
    restore: Literal["auto", "never"] = Field(
        "auto",
        description="`auto`: a worker that has no store of a partition, or one that the log cannot continue any more, "
        "restores the latest snapshot that fits before it reads the log. `never`: an operator does.",
    )
