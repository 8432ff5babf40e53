"""The sections of the settings tree: one frozen model each, every key with its meaning, unit and default.

Invariant: a key that changes nothing does not exist, and a number that has a unit carries it in its name. The
descriptions here are the only ones: `docs/settings.md`, the JSON schema and error messages are made from them.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from muse_stream.streams.kafka.security import Security

MAX_DIMENSION = 1024
"""Widest vector: up to here an int8 dot product is an integer below 2^24, exact in float32 in any order."""

TAOBAO_USER_FEATURES = ("129_1", "130_1", "130_2", "130_3", "130_4", "130_5")
TAOBAO_ITEM_FEATURES = ("213", "214")
"""Feature names of the public Taobao-MM data set (arXiv 2512.07216), beside item id and category."""

ACTIONS = {"impression": 0, "click": 1, "cart": 2, "favourite": 3, "purchase": 4, "return": 5}

_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):(\d{1,5})$")
_NAME = re.compile(r"^[A-Za-z0-9._-]*$")

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)]
SpaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
Code = Annotated[int, Field(ge=0, le=255)]


class Section(BaseModel):
    """A frozen part of the tree; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


class AppSettings(Section):
    """Who this worker is."""

    name: str = Field(
        "muse",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Faust application id and start of every consumer group. Workers of one name share the work.",
    )
    session_timeout_seconds: float = Field(
        10.0,
        ge=1,
        le=300,
        description="A worker silent for so long loses its partitions. Kafka itself allows 6 to 1800.",
    )
    instance_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Name for static membership (KIP-345), unique per worker: a quick restart keeps its partitions.",
    )
    drain_seconds: float = Field(
        10.0,
        ge=0,
        le=600,
        description="A worker that is told to stop (SIGTERM) waits at most so long until what it took is answered.",
    )
    stuck_seconds: float = Field(
        120.0,
        ge=5,
        le=86_400,
        description="Work that waits for so long without any progress, while the brokers answer, counts as stuck. Keep "
        "it above a minute: a rebalance may take so long.",
    )
    on_stuck: Literal["report", "not_live", "exit"] = Field(
        "report",
        description="What being stuck leads to. `report`: metrics, log and /health/ready. `not_live`: /health/live "
        "too. `exit`: the worker also ends itself with status 75, for a supervisor that starts it again.",
    )


class KafkaSettings(Section):
    """How Kafka is reached."""

    brokers: str = Field(
        "127.0.0.1:9092", description="Bootstrap addresses, `host:port`, separated by commas.", min_length=1
    )
    driver: Literal["kafka-python", "confluent"] = Field(
        "kafka-python",
        description="Client that reads behaviours. `confluent` needs the extra `fast`; it costs less CPU at low rates, "
        "and reads frames faster.",
    )
    security: Security = Field(
        default_factory=Security, description="TLS and SASL, passed to every client, Faust's included."
    )

    @field_validator("brokers")
    @classmethod
    def _addresses(cls, text: str) -> str:
        addresses = [part.strip() for part in text.split(",")]
        for address in addresses:
            match = _ADDRESS.match(address)
            if match is None or not 0 < int(match[2]) < 65536:
                message = f"{address!r} is not an address; write host:port, several separated by commas"
                raise ValueError(message)
        return ",".join(addresses)


class TopicNames(Section):
    """Names of the topics, without the prefix."""

    behaviours: TopicName = Field("behaviours", description="What users did; the log the stores are built from.")
    users: TopicName = Field("users", description="Profile features; compacted.")
    items: TopicName = Field("items", description="Category, features and vectors of items; compacted, one partition.")
    requests: TopicName = Field("requests", description="What is to be scored.")
    scores: TopicName = Field("scores", description="The answers.")
    dead_letters: TopicName = Field("dead-letters", description="Records that could not be used, with the reason.")
    models: TopicName = Field(
        "models", description="Which model is active, and what each worker runs; compacted, one partition."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = list(self.model_dump().values())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"{', '.join(twice)}: two topics cannot share a name; give each its own"
            raise ValueError(message)
        return self


class TopicSettings(Section):
    """Topics as they are created and expected."""

    prefix: str = Field(
        "", max_length=48, description="Put before every topic name, for several installations on one cluster."
    )
    names: TopicNames = Field(default_factory=TopicNames, description="Names of the topics, without the prefix.")
    partitions: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Partitions of behaviours, users and requests. Fixed for good: it decides who owns a user.",
    )
    replication: int = Field(1, ge=1, le=32_767, description="Replication factor. Use 3 on a real cluster.")
    replay_window_hours: int = Field(
        168,
        ge=1,
        description="For so long compacted topics keep what was overwritten, so that an answer can be rebuilt.",
    )

    @field_validator("prefix")
    @classmethod
    def _legal(cls, prefix: str) -> str:
        if not _NAME.match(prefix):
            message = f"{prefix!r} has characters that a topic name cannot have; use letters, digits, '.', '_' and '-'"
            raise ValueError(message)
        return prefix

    @property
    def behaviours(self) -> str:
        """Full name of the behaviours topic."""
        return self.prefix + self.names.behaviours

    @property
    def users(self) -> str:
        """Full name of the users topic."""
        return self.prefix + self.names.users

    @property
    def items(self) -> str:
        """Full name of the items topic."""
        return self.prefix + self.names.items

    @property
    def requests(self) -> str:
        """Full name of the requests topic."""
        return self.prefix + self.names.requests

    @property
    def scores(self) -> str:
        """Full name of the scores topic."""
        return self.prefix + self.names.scores

    @property
    def dead_letters(self) -> str:
        """Full name of the dead-letters topic."""
        return self.prefix + self.names.dead_letters

    @property
    def models(self) -> str:
        """Full name of the models topic."""
        return self.prefix + self.names.models


class StateSettings(Section):
    """The stores on disk and the rules they keep."""

    directory: Path = Field(
        Path(".muse/state"), description="Where the stores live. Local disk, one directory per worker, never shared."
    )
    cap: int = Field(
        100_000, ge=1, le=10_000_000, description="Behaviours kept per user; reads see exactly the newest so many."
    )
    ttl_seconds: int | None = Field(
        None,
        ge=1,
        le=2**32 - 1,
        description="Behaviours that arrived so long ago, by the brokers' clock, leave at the head. None: they stay.",
    )
    duplicate_window: int = Field(
        100_000,
        ge=0,
        le=10_000_000,
        description="Records of a partition among which a repeated (user, event id) is dropped. 0 turns it off.",
    )
    block_cache_bytes: int = Field(
        256 << 20, ge=1 << 20, description="RocksDB block cache, shared by all partitions of the worker."
    )
    write_buffer_bytes: int = Field(
        256 << 20, ge=1 << 20, description="RocksDB memtables, shared by all partitions of the worker."
    )
    stale_copy_hours: float | None = Field(
        168.0,
        ge=0,
        description="Copies of partitions that this worker does not own go when they were last open so long ago. Until "
        "then a partition that comes back reads only what came since; a week is as long as topics promise to replay. "
        "None or 0: they stay.",
    )
    start_at_log_start: bool = Field(
        default=False,
        description="Let an empty store begin where the log now begins, although older records are gone.",
    )


class IngestSettings(Section):
    """From behaviours topic to store."""

    batch_records_max: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="Largest batch. Below it, ingest fits the batch to its measured cost, small while requests wait.",
    )
    poll_ms: int = Field(
        5,
        ge=1,
        le=10_000,
        description="Longest wait at the broker for a fetch of behaviours to fill; about 8 KB end it earlier. "
        "Shorter is fresher where little arrives, longer costs an idle worker less CPU.",
    )


class ItemSettings(Section):
    """What the items topic may carry."""

    spaces: dict[SpaceName, Annotated[int, Field(ge=64, le=MAX_DIMENSION, multiple_of=64)]] = Field(
        default_factory=lambda: {"v1": 128},
        min_length=1,
        description="Vector spaces and their dimensions, 64 to 1024 in steps of 64 (zeros at the end change nothing). "
        "A vector of another space or size is dead-lettered.",
    )
    table_budget_bytes: int = Field(
        8 << 30, ge=1 << 20, description="Upper bound of each vector table; items that no longer fit count as absent."
    )


class FeatureSettings(Section):
    """Names of the features that profiles and items carry; the order is the column order."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    user: list[str] = Field(
        default_factory=lambda: list(TAOBAO_USER_FEATURES), description="User features, in column order."
    )
    item: list[str] = Field(
        default_factory=lambda: list(TAOBAO_ITEM_FEATURES),
        description="Item features beside item id and category, in column order.",
    )

    @field_validator("user", "item")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        if "" in names or len(set(names)) != len(names):
            message = f"{names} has an empty or repeated name; every feature needs one of its own"
            raise ValueError(message)
        return names


Backend = Literal["auto", "cpu", "cpu-avx-vnni", "cpu-avx2", "cpu-float32", "cuda", "array-cuda", "reference"]


class EngineSettings(Section):
    """Retrieval."""

    backend: Backend = Field(
        "auto",
        description="Where searches run. All give the same answers to the bit. `auto` takes `cuda` where a GPU can be "
        "used, else `cpu`, and says why; a worker with `cuda` does not start without one. `cpu` takes the best form "
        "that the processor has, the others with its name a certain one.",
    )
    threads: int = Field(0, ge=0, le=1024, description="Search threads. 0: one per core.")
    pool_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="Histories kept in memory, 4 bytes a behaviour; least recently used users leave.",
    )
    packed_bytes: int = Field(
        256 << 20,
        ge=0,
        description="Hot users' rows beside them, packed for the search, 140 bytes a behaviour at 128 dimensions "
        "(`cpu` only). 0 turns it off: every search then gathers its rows.",
    )
    gpu_bytes: int | None = Field(
        None,
        ge=1 << 20,
        description="Histories kept on the GPU, 4 bytes a behaviour (`cuda` only); least recently used users leave. "
        "No more than is free at the start. None: three quarters of what the vectors, at their most, leave free; the "
        "rest is for searches and for others.",
    )


class ModelSettings(Section):
    """What scores."""

    path: Path | None = Field(
        None, description="Directory of model artefacts. None: a seeded, untrained model, and answers say so."
    )
    active: str | None = Field(
        None, description="Name of the artefact below `path`. None: `path` is itself the artefact."
    )
    store: str | None = Field(
        None,
        min_length=1,
        description="Where `muse-stream models activate` takes models from: a directory, or a URL that fsspec knows "
        "(`s3://bucket/models`; install its package, here s3fs), one folder per model. The same for all workers. What "
        "is activated counts over `path` and `active`, which are what a worker serves where nothing has been. None: "
        "workers keep what is configured.",
    )
    coverage_min: float = Field(
        0.99,
        ge=0,
        le=1,
        description="A model of another vector space waits until this share of the items that have a vector in the "
        "space served have one in its own.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="Threads of a scoring pass on the CPU, the one that searches among them: the two take turns. "
        "0: one per core.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Where candidates are scored. `auto`: the GPU where Torch sees one and `engine.backend` is `auto` "
        "or `cuda`, else the CPU.",
    )

    @model_validator(mode="after")
    def _needs_path(self) -> Self:
        if self.active is not None and self.path is None:
            message = f"active is {self.active!r} but path is not set; set path to the directory that holds it"
            raise ValueError(message)
        return self
