"""Connections for administration, and what they tell about a cluster.

Invariant: a client that is returned has been answered by a broker (ApiVersions and metadata), so a wrong address or a
refused password shows here, with advice, and not later in a thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.errors import KafkaError as ClientError

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.security import Security

CLIENT_ID = "muse-stream"
_TIMEOUT_MS = 10_000


@contextmanager
def connect_admin(
    bootstrap: str, security: Security | None = None, *, timeout_ms: int = _TIMEOUT_MS
) -> Iterator[KafkaAdminClient]:
    """Connect, yield the client and close it.

    Args:
        bootstrap: `HOST:PORT`, several separated by commas.
        security: TLS and SASL settings.
        timeout_ms: How long a broker may take to answer first.

    Raises:
        UnreachableError: No broker answered, or none let us in.
    """
    security = security or Security()
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id=CLIENT_ID,
            bootstrap_timeout_ms=timeout_ms,
            **security.kafka_python(),
        )
    except (ClientError, OSError) as error:
        raise UnreachableError(unreachable(bootstrap, security, error)) from error
    try:
        yield client
    finally:
        client.close()


def unreachable(bootstrap: str, security: Security, error: object) -> str:
    """Return the text of an error about brokers that cannot be reached."""
    identity = f"{security.protocol}, user {security.username}" if security.sasl else security.protocol
    return (
        f"no usable Kafka broker at {bootstrap} ({identity}): {error}. Check that the address is that of a broker's "
        f"listener for {security.protocol}, that it runs, and that user, password and certificates are right."
    )


def cluster_id(admin: KafkaAdminClient) -> str:
    """Return the id that a cluster gave itself when it was formatted; stores refuse to mix clusters by it."""
    return str(admin.describe_cluster()["cluster_id"])
