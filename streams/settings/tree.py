"""The settings tree of a worker and how it is put together.

Invariant: for every key the first of these that names it wins, key by key: flags (constructor arguments), environment
(`MUSE_KAFKA__BROKERS`), the YAML file (`--config` or `MUSE_CONFIG`), the default. Maps and lists are replaced whole,
sections are merged. A key that nobody knows is an error in all three places, and secrets are never printed.
"""

import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Self, cast

import yaml
from pydantic import Field, SecretBytes, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from muse_stream.streams.errors import SettingsError
from muse_stream.streams.settings import problems
from muse_stream.streams.settings.file import read_file
from muse_stream.streams.settings.sections import (
    ACTIONS,
    AppSettings,
    Code,
    EngineSettings,
    FeatureSettings,
    IngestSettings,
    ItemSettings,
    KafkaSettings,
    ModelSettings,
    StateSettings,
    TopicSettings,
)
from muse_stream.streams.settings.serving import (
    CanarySettings,
    HttpSettings,
    MonitoringSettings,
    ServingSettings,
    TracingSettings,
)
from muse_stream.streams.settings.snapshots import SnapshotSettings

PREFIX = "MUSE_"
NESTED = "__"
CONFIG_VARIABLE = "MUSE_CONFIG"
HIDDEN = "**********"

_file: ContextVar[Path | None] = ContextVar("settings_file", default=None)


class Settings(BaseSettings):
    """Everything a worker can be told; frozen. Build it with `load`, or with keywords in a test."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTED,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        title="muse-stream settings",
        protected_namespaces=(),
    )

    app: AppSettings = Field(default_factory=AppSettings, description=AppSettings.__doc__)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description=KafkaSettings.__doc__)
    topics: TopicSettings = Field(default_factory=TopicSettings, description=TopicSettings.__doc__)
    state: StateSettings = Field(default_factory=StateSettings, description=StateSettings.__doc__)
    snapshots: SnapshotSettings = Field(default_factory=SnapshotSettings, description=SnapshotSettings.__doc__)
    ingest: IngestSettings = Field(default_factory=IngestSettings, description=IngestSettings.__doc__)
    items: ItemSettings = Field(default_factory=ItemSettings, description=ItemSettings.__doc__)
    features: FeatureSettings = Field(default_factory=FeatureSettings, description=FeatureSettings.__doc__)
    actions: dict[Annotated[str, Field(min_length=1)], Code] = Field(
        default_factory=lambda: dict(ACTIONS),
        description="Names of actions and the codes (0..255) that are stored. A code in use must keep its meaning.",
    )
    engine: EngineSettings = Field(default_factory=EngineSettings, description=EngineSettings.__doc__)
    model: ModelSettings = Field(default_factory=ModelSettings, description=ModelSettings.__doc__)
    serving: ServingSettings = Field(default_factory=ServingSettings, description=ServingSettings.__doc__)
    http: HttpSettings = Field(default_factory=HttpSettings, description=HttpSettings.__doc__)
    monitoring: MonitoringSettings = Field(default_factory=MonitoringSettings, description=MonitoringSettings.__doc__)
    canary: CanarySettings = Field(default_factory=CanarySettings, description=CanarySettings.__doc__)
    tracing: TracingSettings = Field(default_factory=TracingSettings, description=TracingSettings.__doc__)

    @field_validator("actions")
    @classmethod
    def _distinct_codes(cls, actions: dict[str, int]) -> dict[str, int]:
        codes = list(actions.values())
        shared = sorted(name for name, code in actions.items() if codes.count(code) > 1)
        if shared:
            message = f"{', '.join(shared)} share a code; give every action its own"
            raise ValueError(message)
        return actions

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources, strongest first: flags, environment, YAML file."""
        path = _file.get()
        file = InitSettingsSource(settings_cls, read_file(path) if path else {})
        return init_settings, env_settings, file

    @classmethod
    def load(cls, config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Self:
        """Put the settings together from flags, environment and file.

        Args:
            config: YAML file; None: the one that `MUSE_CONFIG` names, if it is set.
            flags: Dotted key to value, as `{"kafka.brokers": "localhost:9092"}`; None values were not given.

        Raises:
            SettingsError: An unknown key or a wrong value, with where it stands and the nearest known key.

        """
        path = config if config is not None else _configured()
        problems.refuse_unknown_variables(cls, os.environ, PREFIX, NESTED, known=(CONFIG_VARIABLE,))
        token = _file.set(path)
        try:
            return cls(**_nested(flags or {}))
        except ValidationError as error:
            raise SettingsError(problems.explain(cls, error, path)) from None
        except SourceError as error:
            raise SettingsError(problems.explain_source(error)) from None
        finally:
            _file.reset(token)

    def show(self) -> dict[str, Any]:
        """Return the effective settings as plain JSON values, secrets replaced by stars."""
        return cast("dict[str, Any]", _hide(self.model_dump(mode="python")))

    def show_yaml(self) -> str:
        """Return `show` as a YAML file that `load` accepts once the secrets are put back."""
        return yaml.safe_dump(self.show(), sort_keys=False, allow_unicode=True)

    @classmethod
    def schema_for_editors(cls) -> dict[str, Any]:
        """Return the JSON schema (draft 2020-12) of the YAML file."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **cls.model_json_schema()}


def _configured() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flags.items():
        if value is None:
            continue
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return tree


def _hide(value: object) -> object:
    match value:
        case dict():
            return {key: _hide(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_hide(inner) for inner in value]
        case SecretStr() | SecretBytes():
            return HIDDEN if value.get_secret_value() else None
        case Path():
            return str(value)
    return value
