"""Settings: one tree from flags, environment and a YAML file. `docs/settings.md` lists every key."""

from muse_stream.streams.settings.sections import (
    ACTIONS,
    AppSettings,
    EngineSettings,
    FeatureSettings,
    IngestSettings,
    ItemSettings,
    KafkaSettings,
    ModelSettings,
    StateSettings,
    TopicNames,
    TopicSettings,
)
from muse_stream.streams.settings.serving import HttpSettings, MonitoringSettings, ServingSettings, TracingSettings
from muse_stream.streams.settings.tree import Settings

__all__ = [
    "ACTIONS",
    "AppSettings",
    "EngineSettings",
    "FeatureSettings",
    "HttpSettings",
    "IngestSettings",
    "ItemSettings",
    "KafkaSettings",
    "ModelSettings",
    "MonitoringSettings",
    "ServingSettings",
    "Settings",
    "StateSettings",
    "TopicNames",
    "TopicSettings",
    "TracingSettings",
]
