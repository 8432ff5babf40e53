"""Manifests: by Kubernetes' own schemas, and fitting together."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from aiohttp import web

from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.http import add_routes

from .files import DEPLOY, PORT, document, documents, program

KUBERNETES = DEPLOY / "kubernetes"
VERSION = "1.37"
MANIFESTS = [(path.name, one) for path in sorted(KUBERNETES.glob("*.yaml")) for one in documents(path)]
THREAD_STOP_SECONDS = 30
"""`LoopThread.stop`: how long a reading thread may take to end; there are two."""


def of_kind(kind: str) -> list[Any]:
    return [one for _, one in MANIFESTS if one["kind"] == kind]


def only(kind: str) -> Any:
    (found,) = of_kind(kind)
    return found


@pytest.mark.parametrize(("name", "manifest"), MANIFESTS, ids=lambda one: one if isinstance(one, str) else one["kind"])
def test_kubernetes_knows_it(name: str, manifest: Any) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    assert manifest["metadata"]["labels"]["app.kubernetes.io/name"].startswith("muse-stream"), name
    if manifest["kind"] != "Namespace":
        assert manifest["metadata"]["namespace"] == only("Namespace")["metadata"]["name"]


def test_every_pod_runs_without_rights() -> None:
    for kind in ("StatefulSet", "Job"):
        pod = only(kind)["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"]
            assert not rights["allowPrivilegeEscalation"]
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            claimed = {claim["metadata"]["name"] for claim in only(kind)["spec"].get("volumeClaimTemplates", [])}
            assert mounted == {volume["name"] for volume in pod["volumes"]} | claimed


def test_probes_ask_what_a_worker_answers() -> None:
    app = web.Application()
    add_routes(app, Any)  # type: ignore[arg-type]
    route = next(found for found in app.router.resources() if found.canonical.startswith("/health"))
    (container,) = only("StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [("http", PORT)]
    for kind in ("startup", "live", "ready"):
        probe = container[{"live": "livenessProbe", "ready": "readinessProbe"}.get(kind, f"{kind}Probe")]
        assert probe["httpGet"] == {"path": f"/health/{kind}", "port": "http"}
        assert route.get_info()["pattern"].fullmatch(probe["httpGet"]["path"])


def test_a_pod_has_the_time_that_a_worker_takes_to_stop() -> None:
    pod = only("StatefulSet")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= Settings().app.drain_seconds + 2 * THREAD_STOP_SECONDS


def test_names_and_labels_fit_together() -> None:
    workers, services = only("StatefulSet"), {one["metadata"]["name"]: one for one in of_kind("Service")}
    spec, labels = workers["spec"], workers["spec"]["template"]["metadata"]["labels"]
    headless = services[spec["serviceName"]]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"]
    selectors = [one["spec"]["selector"] for one in services.values()]
    selectors += [spec["selector"]["matchLabels"], only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
    assert all(selector.items() <= labels.items() for selector in selectors)
    of_topics = only("Job")["spec"]["template"]["metadata"]["labels"]
    assert not any(selector.items() <= of_topics.items() for selector in selectors)
    assert only("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert all(port["targetPort"] == "http" for one in services.values() for port in one["spec"]["ports"])


def test_a_worker_is_told_the_name_that_the_headless_service_gives_it() -> None:
    workers = only("StatefulSet")
    (container,) = workers["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    namespace = workers["metadata"]["namespace"]
    assert environment["MUSE_HTTP__ADVERTISED_HOST"] == f"$(POD_NAME).{workers['spec']['serviceName']}.{namespace}.svc"
    assert environment["MUSE_APP__INSTANCE_ID"] == "$(POD_NAME)"
    assert next(iter(environment)) == "POD_NAME", "a variable may use only those before it"


def test_the_service_monitor_finds_the_headless_service_and_names_the_job() -> None:
    monitor = document(KUBERNETES / "optional/servicemonitor.yaml")
    service = next(one for one in of_kind("Service") if one["spec"].get("clusterIP") == "None")
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels[monitor["spec"]["jobLabel"]] == "muse-stream"
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_kubectl_reads_them(tmp_path: Path) -> None:
    kubectl = program("kubectl")
    names = [path.name for path in sorted(KUBERNETES.glob("*.yaml"))]
    for name in names:
        (tmp_path / name).write_bytes((KUBERNETES / name).read_bytes())
    (tmp_path / "kustomization.yaml").write_text(f"resources: {names}\n", encoding="utf-8")
    done = subprocess.run([kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nkind: ") + done.stdout.startswith("kind: ") == len(MANIFESTS)
