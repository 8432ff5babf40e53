"""The sections of the settings tree that face clients and operators: requests, HTTP, monitoring, tracing.

Invariant: the same as in `sections`; the two files are one tree.
"""

from typing import Literal

from pydantic import Field

from muse_stream.streams.settings.sections import Section


class ServingSettings(Section):
    """Requests and answers."""

    k: int = Field(50, ge=1, le=200, description="Behaviours retrieved per candidate, unless the request says.")
    candidates_max: int = Field(2000, ge=1, le=100_000, description="A request with more candidates is refused.")
    batch_window_ms: float = Field(
        0.0, ge=0, le=1000, description="Time that an idle worker waits for company before a pass; 0 starts at once."
    )
    pass_ms_max: float = Field(
        20.0,
        gt=0,
        le=60_000,
        description="A pass takes waiting requests up to so many predicted milliseconds in all, or half of what waits "
        "where that is more; a dearer request has a pass of its own.",
    )
    batch_candidates_max: int = Field(
        4000, ge=1, le=1_000_000, description="A pass takes waiting requests up to so many candidates in all."
    )
    ready_wait_ms: int = Field(
        5000, ge=0, description="A request for a partition not yet caught up waits so long, then is `not_ready`."
    )
    stale_max_seconds: float = Field(
        0.0,
        ge=0,
        description="In a rebalance a copy that is no later than this answers at once, before it has caught up; over "
        "HTTP also one whose partition nobody owns at that moment. Such answers say how late they are. 0: never.",
    )
    queue_max: int = Field(
        1000,
        ge=1,
        description="Requests waiting above this are answered `overload` at once, as are those that are predicted to "
        "begin after their deadline.",
    )
    deadline_default_ms: int = Field(
        10_000, ge=1, description="Deadline of a request that names none, from its record's broker time."
    )
    age_max_ms: int = Field(60_000, ge=1, description="A request older than this is answered `expired`, not scored.")
    answer_max_bytes: int = Field(
        1_000_000,
        ge=1024,
        description="An answer above this is replaced by `too large`. Keep it below the topic's limit.",
    )
    features_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of users, by a hash of their ids, whose scored answers carry what the network read, as if "
        "the request said `features: true`: training data for `muse-stream export --served`.",
    )
    history_cache_bytes: int = Field(
        128 << 20,
        ge=0,
        description="Memory for histories of the users asked about last (29 bytes per behaviour and a quarter): "
        "only what came since is read from disk. 0: every request reads the whole history.",
    )
    explain_candidates: int = Field(
        20,
        ge=0,
        le=2000,
        description="Candidates explained of a request that asks for it: the first ones, or the first of those that it "
        "names. Each costs as much as scoring K candidates. 0: none.",
    )


class HttpSettings(Section):
    """The worker's web server: metrics, health, requests."""

    enabled: bool = Field(default=True, description="Serve HTTP at all.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on. 0.0.0.0 for all.")
    advertised_host: str | None = Field(
        None,
        min_length=1,
        description="Address under which other workers reach this one, for forwarded requests. None: `host`, "
        "which is right only where all workers run on one machine.",
    )
    port: int = Field(6066, ge=0, le=65_535, description="Port to listen on. 0 takes a free one.")


class CanarySettings(Section):
    """A behaviour of our own per partition every few seconds, read back as a client would (docs/freshness.md)."""

    interval_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="The owner of a partition sends its canary so often. 0: no canary. Each is two records in and one "
        "out, of a reserved user that is in no count and no sample.",
    )
    timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=600,
        description="A canary that has not come back after so long is missed; a partition has one on its way at a "
        "time, so the next one waits for it.",
    )


class MonitoringSettings(Section):
    """Metrics, health, logs."""

    enabled: bool = Field(default=True, description="Collect metrics. Off only to measure what they cost.")
    ready_lag_records_max: int = Field(
        10_000, ge=0, description="A partition further behind its log's end than this makes the worker not ready."
    )
    stale_max_seconds: float = Field(
        600.0,
        gt=0,
        description="A partition that was ready stays ready, and is answered for, until it is this late, brokers that "
        "are away included: staleness is an alert. Answers say so from 15 s on.",
    )
    heartbeat_max_seconds: float = Field(
        30.0, gt=0, description="A thread silent for longer than this makes the worker not live."
    )
    summary_interval_seconds: float = Field(10.0, ge=0, description="A one-line summary in the log so often. 0: never.")
    slow_request_ms: float = Field(250.0, ge=0, description="A request slower than this gets a log line of its own.")
    log_format: Literal["human", "json"] = Field("human", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level logged.")


class TracingSettings(Section):
    """Spans of requests for OpenTelemetry; a request's trace context goes into its answer without any of this."""

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s@]+$",
        description="Where spans are sent by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`; needs the "
        "extra `otel`. Credentials go into `OTEL_EXPORTER_OTLP_HEADERS`. None: no spans are made.",
    )
    sample_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the requests without a trace context that get a trace of their own. Those whose caller "
        "records its trace always have spans, those whose caller does not never.",
    )
