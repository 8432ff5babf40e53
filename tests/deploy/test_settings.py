"""What the kit says of settings is true of this version."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from muse_stream.streams.settings import Settings
from muse_stream.streams.settings.problems import leaves

from .files import DEPLOY, ROOT, VARIABLE, VARIABLES, document, texts

KEYS = frozenset(".".join(path) for path, _ in leaves(Settings))
SECTIONS = frozenset(Settings.model_fields)
DOTTED = re.compile(r"`([a-z_]+(?:\.[a-z_]+)+)`")


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_variable_that_is_named_exists(path: Path) -> None:
    assert set(VARIABLE.findall(path.read_text(encoding="utf-8"))) <= VARIABLES


def test_every_setting_that_the_page_names_exists() -> None:
    named = set(DOTTED.findall((DEPLOY / "README.md").read_text(encoding="utf-8")))
    ours = {name for name in named if name.split(".")[0] in SECTIONS}
    assert len(ours) > 5
    assert ours <= KEYS


def test_the_settings_of_kubernetes_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "muse.yaml"
    config.write_text(document(DEPLOY / "kubernetes/configmap.yaml")["data"]["muse.yaml"], encoding="utf-8")
    monkeypatch.setenv("MUSE_APP__INSTANCE_ID", "muse-stream-0")
    monkeypatch.setenv("MUSE_HTTP__ADVERTISED_HOST", "muse-stream-0.muse-stream-workers.muse-stream.svc")
    settings = Settings.load(config)
    assert settings.topics.replication == 3
    assert settings.app.on_stuck == "exit"


@pytest.mark.parametrize("worker", ["worker-1", "worker-2", "topics"])
def test_the_settings_of_compose_load(worker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = document(DEPLOY / "docker/compose.yaml")["services"][worker]["environment"]
    for name, value in environment.items():
        assert isinstance(value, str), f"{name}: numbers and truth values are quoted, or YAML changes them"
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.kafka.brokers == "kafka:9092"
    if worker != "topics":
        assert settings.app.instance_id == settings.http.advertised_host == worker


def test_the_settings_of_the_unit_load(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (DEPLOY / "systemd/muse-stream-worker.service").read_text(encoding="utf-8")
    for name, value in re.findall(r"^Environment=(MUSE_\w+)=(.*)$", unit, re.MULTILINE):
        monkeypatch.setenv(name, value)
    assert Settings.load().state.directory == Path("/var/lib/muse-stream")


def test_memory_of_a_pod_holds_what_its_settings_allow(tmp_path: Path) -> None:
    config = tmp_path / "muse.yaml"
    config.write_text(document(DEPLOY / "kubernetes/configmap.yaml")["data"]["muse.yaml"], encoding="utf-8")
    settings = Settings.load(config)
    pod = document(DEPLOY / "kubernetes/statefulset.yaml")["spec"]["template"]["spec"]
    limit = pod["containers"][0]["resources"]["limits"]["memory"]
    process = 1 << 30  # docs/architecture.md, Memory: about 900 MiB resident
    bounds = (
        *(settings.engine.pool_bytes, settings.engine.packed_bytes, settings.serving.history_cache_bytes),
        *(settings.state.block_cache_bytes, settings.state.write_buffer_bytes),
        *(settings.items.table_budget_bytes for _ in settings.items.spaces),
    )
    assert process + sum(bounds) <= int(limit.removesuffix("Gi")) << 30


def test_no_secret_stands_in_a_file() -> None:
    secret = re.compile(
        r"(?i)(password|secret|token|api_?key)\w*[\"']?\s*[:=]\s*[\"']?(?!\$\{|\.\.\.|false\b)[\w/+]{4,}"
    )
    allowed = {"secretRef"}
    for path in texts():
        found = [match[0] for match in secret.finditer(path.read_text(encoding="utf-8"))]
        assert [text for text in found if not any(word in text for word in allowed)] == [], path.name


def test_yaml_is_written_without_surprises() -> None:
    """A file that YAML reads in another way than it looks: a key twice, a bare `on`, a number that was to be a text."""
    for path in texts():
        if path.suffix in {".yml", ".yaml"}:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r":\s+(on|off|yes|no)\s*$", text, re.MULTILINE | re.IGNORECASE), path.name
            assert text == textwrap.dedent(text)
            assert list(yaml.safe_load_all(text))
