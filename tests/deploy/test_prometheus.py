"""Scrape configurations: valid, of the jobs that rules and boards know, and of targets that exist in the kit."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .files import DEPLOY, PORT, document, program

PROMETHEUS = DEPLOY / "prometheus"
CONFIGURATIONS = sorted(PROMETHEUS.glob("prometheus*.yml"))
JOBS = {"muse-stream", "muse-verify"}
SECONDS_PER_SCRAPE = 15


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)


@each()
def test_the_jobs_are_those_that_the_rules_know(path: Path) -> None:
    found = document(path)
    assert {job["job_name"] for job in found["scrape_configs"]} <= JOBS
    assert found["scrape_configs"][0]["job_name"] == "muse-stream"
    assert found["rule_files"] == ["rules/*.yml"]
    assert found["global"]["scrape_interval"] == f"{SECONDS_PER_SCRAPE}s"


@each()
def test_prometheus_takes_them(path: Path, tmp_path: Path) -> None:
    promtool = program("promtool")
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    config = document(path)
    for job in config["scrape_configs"]:
        if job.pop("kubernetes_sd_configs", None):  # Debian's build of Prometheus does not have it
            job["static_configs"] = [{"targets": ["pod:6066"]}]
    (tmp_path / path.name).write_text(yaml.safe_dump(config), encoding="utf-8")
    done = subprocess.run(
        [promtool, "check", "config", str(tmp_path / path.name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr


def files_named(config: Any) -> list[str]:
    jobs = [*config["scrape_configs"], *config.get("alerting", {}).get("alertmanagers", [])]
    return [name for job in jobs for found in job.get("file_sd_configs", []) for name in found["files"]]


def test_the_files_of_targets_are_there_and_of_the_right_form() -> None:
    patterns = files_named(document(PROMETHEUS / "prometheus.yml"))
    assert len(patterns) == 3
    for pattern in patterns:
        (path,) = PROMETHEUS.glob(pattern)
        for group in document(path):
            assert group.keys() <= {"targets", "labels"}


def test_the_targets_are_the_workers_of_compose_on_the_port_of_the_settings() -> None:
    services = document(DEPLOY / "docker/compose.yaml")["services"]
    workers = {f"{name}:{PORT}" for name in services if name.startswith("worker-")}
    (group,) = document(PROMETHEUS / "targets/workers.yml")
    assert set(group["targets"]) == workers


def test_the_other_discoveries_use_the_port_of_the_settings() -> None:
    jobs = {job["job_name"]: job for job in document(PROMETHEUS / "prometheus-dns.yml")["scrape_configs"]}
    assert jobs["muse-stream"]["dns_sd_configs"][0]["port"] == PORT
