"""The image and the composition: a small parser's view of the one, docker-compose's own of the other."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from muse_stream.streams.settings import Settings

from .files import DEPLOY, PORT, ROOT, document, program

DOCKER = DEPLOY / "docker"
COMPOSE = DOCKER / "compose.yaml"
LINES = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8")).splitlines()
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line.strip() and not line.startswith("#")]


def instructions(word: str) -> list[str]:
    return [rest for found, rest in INSTRUCTIONS if found == word]


def stages() -> dict[str, list[list[str]]]:
    """Instructions by the name of their stage; those before the first one left out."""
    found: dict[str, list[list[str]]] = {}
    for instruction in INSTRUCTIONS:
        if instruction[0] == "FROM":
            found[instruction[1].split(" AS ")[1]] = []
        if found:
            list(found.values())[-1].append(instruction)
    return found


def chain(stage: str) -> list[list[str]]:
    """Instructions of a stage and of those that it is built on."""
    own = stages()[stage]
    base = own[0][1].split(" AS ")[0]
    return [*(chain(base) if base in stages() else []), *own]


def test_both_targets_run_without_root_and_have_a_health_check() -> None:
    for target in ("cpu", "cuda"):
        words = dict(chain(target))  # the last one of each counts
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", words["USER"])
        assert json.loads(words["HEALTHCHECK"].split("CMD ")[1])[0] == "python"
        assert json.loads(words["ENTRYPOINT"]) == ["muse-stream"]
        assert json.loads(words["CMD"]) == ["worker"]
        assert words["EXPOSE"] == str(PORT)
        after_user = chain(target)[[word for word, _ in chain(target)].index("USER") :]
        assert not any(word == "RUN" for word, _ in after_user)


def test_the_base_is_pinned_and_nothing_is_fetched_past_the_constraints() -> None:
    images = [argument.split("=")[1] for argument in instructions("ARG")]
    assert images
    assert all(re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+[-\w]*", image) for image in images)
    installs = [part for run in instructions("RUN") for part in run.split("&&") if "pip install" in part]
    assert len(installs) == 4
    assert all("--constraint constraints.txt" in part for part in installs)
    assert instructions("ADD") == []


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = [line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    for copy in instructions("COPY"):
        if not copy.startswith("--from="):
            for path in copy.split()[:-1]:
                assert (ROOT / path).exists(), path
                assert path in kept, f"{path} is not in Dockerfile.dockerignore"
        else:
            assert copy.removeprefix("--from=").split()[0] in stages()


def test_the_package_gets_every_room_that_it_links_to() -> None:
    rooms = {os.readlink(path) for path in (ROOT / "muse_stream").iterdir() if path.is_symlink()}
    copied = {f"../{copy.split()[0]}" for copy in instructions("COPY")}
    assert rooms
    assert {room.rstrip("/") for room in rooms} <= copied


def test_extras_exist() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.optional-dependencies]")[1]
    wanted = {
        extra
        for run in instructions("RUN")
        for found in re.findall(r"\"\.\[([\w,]+)\]\"", run)
        for extra in found.split(",")
    }
    assert wanted == {"fast", "otel", "cuda"}
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in wanted)


def test_docker_compose_takes_it(tmp_path: Path) -> None:
    compose = program("docker-compose")
    environment = {**os.environ, "GRAFANA_ADMIN_PASSWORD": "from the test"}
    done = subprocess.run(
        [compose, "--file", str(COMPOSE), "config"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]
    assert found["worker-2"]["environment"]["MUSE_KAFKA__BROKERS"] == "kafka:9092"
    assert found["worker-2"]["environment"]["MUSE_APP__INSTANCE_ID"] == "worker-2"
    del environment["GRAFANA_ADMIN_PASSWORD"]
    command = [compose, "--file", str(COMPOSE), "config", "--quiet"]
    without = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert without.returncode != 0
    assert "set it in the environment" in without.stderr


def services() -> dict[str, Any]:
    found: dict[str, Any] = document(COMPOSE)["services"]
    return found


def test_images_are_pinned_and_every_lasting_service_has_a_health_check_and_a_volume() -> None:
    volumes = set(document(COMPOSE)["volumes"])
    used = set()
    for name, service in services().items():
        assert re.search(r":(v?\d+\.\d+\.\d+|cpu)$", service["image"]), name
        if name != "topics":
            assert service["healthcheck"]["test"][0] == "CMD", name
            sources = [volume.split(":")[0] for volume in service["volumes"]]
            used |= {source for source in sources if not source.startswith(".")}
            for source in (source for source in sources if source.startswith(".")):
                assert (DOCKER / source).resolve().is_dir() or source == "../grafana/dashboards", source
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert used == volumes


def test_workers_have_no_rights_and_time_to_stop() -> None:
    for name in ("worker-1", "worker-2"):
        worker = services()[name]
        assert worker["read_only"]
        assert worker["cap_drop"] == ["ALL"]
        assert worker["security_opt"] == ["no-new-privileges:true"]
        assert int(worker["stop_grace_period"].removesuffix("s")) >= Settings().app.drain_seconds + 60
        assert worker["ports"][0].endswith(f":{PORT}")
        assert worker["build"]["target"] in stages()
        assert (DOCKER / worker["build"]["context"] / worker["build"]["dockerfile"]).resolve() == DOCKER / "Dockerfile"


@pytest.fixture
def answering() -> Iterator[tuple[HTTPServer, list[int]]]:
    """A web server that answers /health/live with what the list says."""
    statuses = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[0] if self.path == "/health/live" else 404)
            self.end_headers()
            self.wfile.write(b'{"checks": "all of them"}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server, statuses
    server.shutdown()
    thread.join()
    server.server_close()


def probe(port: int) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "MUSE_HTTP__PORT": str(port)}
    command = [sys.executable, str(DOCKER / "probe.py"), "live"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_probe_says_what_the_worker_says(answering: tuple[HTTPServer, list[int]]) -> None:
    server, statuses = answering
    port = server.server_address[1]
    assert probe(port).returncode == 0
    statuses[0] = 503
    found = probe(port)
    assert found.returncode == 1
    assert "503" in found.stderr
    assert "all of them" in found.stderr


def test_the_probe_of_nobody_fails() -> None:
    found = probe(1)
    assert found.returncode == 1
    assert "/health/live" in found.stderr
