"""A real Apache Kafka, one node, started and stopped by this program.

Invariant: while an `EmbeddedKafka` is started, exactly one broker runs on its directory and ports; when it is stopped,
killed, closed, or when this process dies in whatever way, there is none.

Life: `start` formats the directory if it is new, starts the broker under guard (`_guard.py`) and returns when the
broker answers; `stop` ends it in order, `kill` as kill -9 would; both leave directory and ports for the next `start`.
`close` stops it and removes a temporary directory.

Layout of the directory: `server.properties`, `server.log`, `data/` (Kafka's own).
"""

import base64
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from muse_stream.streams.errors import BrokerError, UnreachableError
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.broker_config import Ports, SecureListener, server_properties
from muse_stream.streams.kafka.guarded import GuardedProcess, GuardedServer, java_command, log_tail
from muse_stream.streams.kafka.jars import Report, kafka_jars, no_report
from muse_stream.streams.kafka.ports import HOST, free_ports, is_free

_BIND_ATTEMPTS = 5  # ports are chosen where the kernel does not; a second collision is already next to impossible
_READY_SECONDS = 60.0  # 2 s on an idle machine; a CI machine that is busy may take ten times as long
_POLL_SECONDS = 0.05
_FORMAT_SECONDS = 60.0
_IN_USE = "Address already in use"


class EmbeddedKafka(GuardedServer):
    """One broker on 127.0.0.1; a context manager that starts on entry and closes on exit."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        secure: SecureListener | None = None,
        extra: Mapping[str, object] | None = None,
        cache: Path | None = None,
        report: Report = no_report,
        ready_seconds: float = _READY_SECONDS,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            directory: Where the cluster lives; None: a temporary one, removed by `close` (or by the guard).
            port: Port of the plain listener; None: a free one.
            secure: Adds a SASL_SSL listener (`secure_bootstrap`).
            extra: Further lines of server.properties.
            cache: Where Kafka's jars are kept (default: the user's cache).
            report: Gets lines about what takes time.
            ready_seconds: How long the broker may take to answer.

        """
        self._temporary = directory is None
        self.directory = (directory or Path(tempfile.mkdtemp(prefix="muse-stream-kafka-"))).absolute()
        self._wanted_port = port
        self._secure = secure
        self._extra = dict(extra or {})
        self._cache = cache
        self._report = report
        self._ready_seconds = ready_seconds
        self._ports: Ports | None = None
        self._log_start = 0

    @property
    def bootstrap(self) -> str:
        """`HOST:PORT` of the plain listener; known once started, and the same after every restart."""
        return f"{HOST}:{self._known_ports().plain}"

    @property
    def secure_bootstrap(self) -> str:
        """`HOST:PORT` of the SASL_SSL listener."""
        return f"{HOST}:{self._known_ports().secure}"

    @property
    def log_path(self) -> Path:
        """File that holds what the broker wrote."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the broker itself (not of its guard)."""
        if self._process is None:
            text = "the embedded broker was not started; call start() first"
            raise BrokerError(text)
        return self._process.pid

    def start(self) -> Self:
        """Start the broker and wait until it answers; does nothing if it runs.

        Raises:
            DownloadError: Kafka's jars are not in the cache and cannot be fetched.
            BrokerError: It did not start; the text quotes its log.

        """
        if self.running:
            return self
        jars = kafka_jars(self._cache, report=self._report)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._report(f"Kafka: starting a broker in {self.directory}")
        for attempt in range(_BIND_ATTEMPTS):
            chosen_here = self._ports is None
            ports = self._choose_ports()
            self._write_properties(ports)
            self._format(jars)
            self._launch(jars)
            if self._wait_ready(ports, give_way=chosen_here and attempt + 1 < _BIND_ATTEMPTS):
                self._ports = ports
                break
        self._create_scram_users()
        self._report(f"Kafka: ready at {self.bootstrap}")
        return self

    def stop(self) -> None:
        """Shut the broker down in order; its data stays. Does nothing if it does not run."""
        self._end("stop")

    def kill(self) -> None:
        """End the broker as kill -9 does; its data stays."""
        self._end("kill")

    def close(self) -> None:
        """Stop the broker and remove its directory if that is temporary."""
        if self._temporary:
            self._end("discard")  # nobody will read this log again: no reason to wait for an orderly end
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            self.stop()

    def wait(self) -> int:
        """Wait until the broker ends by itself; returns its exit status."""
        return self._process.wait() if self._process else 0

    def _known_ports(self) -> Ports:
        if self._ports is None:
            text = "the embedded broker has no address before it was started; call start() first"
            raise BrokerError(text)
        return self._ports

    def _choose_ports(self) -> Ports:
        if self._ports is not None:
            return self._ports
        plain, controller, secure = free_ports(3)
        if self._wanted_port is not None:
            plain = self._wanted_port
            if not is_free(plain):
                text = f"port {plain} of {HOST} is in use; stop what listens there, or choose another port"
                raise BrokerError(text)
        return Ports(plain, controller, secure if self._secure else 0)

    def _write_properties(self, ports: Ports) -> None:
        path = self.directory / "server.properties"
        path.touch(mode=0o600)  # it may hold passwords
        text = server_properties(self.directory / "data", ports, secure=self._secure, extra=self._extra)
        path.write_text(text, encoding="utf-8")

    def _format(self, jars: list[Path]) -> None:
        if (self.directory / "data" / "meta.properties").is_file():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        properties = str(self.directory / "server.properties")
        command = java_command(jars, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties)
        with self.log_path.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=_FORMAT_SECONDS, check=False)  # noqa: S603
        if done.returncode:
            raise BrokerError(self._failure(f"formatting {self.directory} ended with status {done.returncode}"))

    def _cluster_id(self) -> str:
        lines = (self.directory / "data" / "meta.properties").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)["cluster.id"]

    def _launch(self, jars: list[Path]) -> None:
        self._log_start = self.log_path.stat().st_size if self.log_path.is_file() else 0
        command = java_command(jars, "kafka.Kafka", str(self.directory / "server.properties"))
        temporary = self.directory if self._temporary else None
        self._process = GuardedProcess(command, log=self.log_path, temporary=temporary)

    def _wait_ready(self, ports: Ports, *, give_way: bool) -> bool:
        """Wait until the broker answers; False: somebody took one of the ports, and other ports may be tried."""
        assert self._process is not None  # noqa: S101 - `_launch` came first
        deadline = time.monotonic() + self._ready_seconds
        while time.monotonic() < deadline:
            if not self._process.running():
                status = self._process.end("kill")
                if give_way and _IN_USE in log_tail(self.log_path, start=self._log_start, lines=1000):
                    return False
                raise BrokerError(self._failure(f"the embedded broker ended with status {status} while starting"))
            if _answers(ports.plain, self._cluster_id()):
                return True
            time.sleep(_POLL_SECONDS)
        self.kill()
        raise BrokerError(self._failure(f"the embedded broker did not answer within {self._ready_seconds:.0f} s"))

    def _create_scram_users(self) -> None:
        if self._secure is None:
            return
        with connect_admin(self.bootstrap) as admin:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # one of each per request
                users = self._secure.users.items()
                done = admin.alter_user_scram_credentials(
                    [UserScramCredentialUpsertion(name, mechanism, password) for name, password in users]
                )
                if any(done.values()):
                    raise BrokerError(self._failure(f"the broker refused SCRAM users: {done}"))

    def _failure(self, found: str) -> str:
        tail = log_tail(self.log_path, start=self._log_start)
        if self._temporary:  # the directory goes with this object: keep what explains the failure
            kept = Path(tempfile.gettempdir()) / f"{self.directory.name}.log"
            with contextlib.suppress(OSError):
                shutil.copy(self.log_path, kept)
        else:
            kept = self.log_path
        return f"{found}. Its log is {kept}; the last lines:\n{tail or '(empty)'}"


def _answers(port: int, cluster: str) -> bool:
    """Tell whether a broker of this cluster listens, answers ApiVersions and counts itself as alive.

    The cluster matters: if somebody else's broker took the port, it answers before ours has noticed.
    """
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    try:
        with connect_admin(f"{HOST}:{port}", timeout_ms=5_000) as admin:
            found = admin.describe_cluster()
            return found["cluster_id"] == cluster and bool(found["brokers"])
    except UnreachableError:
        return False
