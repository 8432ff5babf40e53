"""What an embedded broker is told: its server.properties, and the optional listener that asks for a password over TLS.

Invariant: every listener is bound to 127.0.0.1; the plain one always exists (the broker talks to itself over it), the
secure one only when asked for.

The controller quorum is named statically (`controller.quorum.voters`), not recorded at formatting time: so a data
directory can be started again on other ports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muse_stream.streams.kafka.ports import HOST

_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")

# One node has nothing to replicate to, and internal topics with 4 instead of 50 partitions open ten times fewer files.
_SINGLE_NODE = {
    "offsets.topic.num.partitions": 4,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    # The default of 6 s would decide how long a hand-over takes on a machine with nobody else on it.
    "group.min.session.timeout.ms": 1_000,
    # A broker that was killed is let back in when its old session has expired: 9 s by default.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
    # A topic that appears because somebody misspelt it hides the mistake.
    "auto.create.topics.enable": "false",
    # 128 MiB by default, taken from the heap at start; 8 MiB clean 300 000 keys in one pass.
    "log.cleaner.dedupe.buffer.size": 8 * 2**20,
    "num.network.threads": 2,
    "num.io.threads": 4,
}


@dataclass(frozen=True, slots=True)
class SecureListener:
    """A second listener, SASL_SSL, beside the plain one.

    Attributes:
        keystore: PEM file with the server's private key (PKCS #8, not encrypted) and its certificate chain.
        users: Password per user name; each can log in by PLAIN and by SCRAM.

    """

    keystore: Path
    users: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the listeners of one broker are; `secure` is 0 without a secure listener."""

    plain: int
    controller: int
    secure: int = 0

    def all(self) -> tuple[int, ...]:
        """Return the ports in use."""
        return tuple(port for port in (self.plain, self.controller, self.secure) if port)


def _secure_lines(secure: SecureListener) -> dict[str, object]:
    prefix = "listener.name.secure"
    users = " ".join(f'user_{name}="{password}"' for name, password in secure.users.items())
    package = "org.apache.kafka.common.security"
    lines: dict[str, object] = {
        f"{prefix}.sasl.enabled.mechanisms": ",".join(("PLAIN", *_SCRAM)),
        f"{prefix}.plain.sasl.jaas.config": f"{package}.plain.PlainLoginModule required {users};",
        f"{prefix}.ssl.keystore.type": "PEM",
        f"{prefix}.ssl.keystore.location": secure.keystore,
    }
    for mechanism in _SCRAM:
        lines[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = f"{package}.scram.ScramLoginModule required;"
    return lines


def server_properties(
    data: Path, ports: Ports, *, secure: SecureListener | None = None, extra: Mapping[str, object] | None = None
) -> str:
    """Return the text of server.properties; `extra` wins over everything said here."""
    listeners = {"PLAINTEXT": ports.plain, "CONTROLLER": ports.controller}
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    if secure:
        listeners["SECURE"] = ports.secure
        protocols["SECURE"] = "SASL_SSL"
    lines: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "log.dirs": data,
        **_SINGLE_NODE,
        **(_secure_lines(secure) if secure else {}),
        **(extra or {}),
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())
