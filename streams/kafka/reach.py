"""Whether brokers can be reached, and what to tell a person when not.

Invariant: no error text of this module holds a password.
"""

import socket
import time

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.security import Security

CLIENT_ID = "muse-stream"
CONNECT_TIMEOUT_MS = 10_000
_PROBE_SECONDS = 2.0
_PROBE_PAUSE_SECONDS = 0.05


def require_listener(bootstrap: str, security: Security, timeout_ms: int) -> None:
    """Wait until something listens at one of the addresses.

    Raises:
        UnreachableError: Nothing did in time.

    """
    deadline = time.monotonic() + timeout_ms / 1000
    while not any(_listens(address) for address in bootstrap.split(",")):
        if time.monotonic() > deadline:
            raise UnreachableError(unreachable(bootstrap, security, f"no connection within {timeout_ms} ms"))
        time.sleep(_PROBE_PAUSE_SECONDS)


def unreachable(bootstrap: str, security: Security, error: object) -> str:
    """Return the text of an error about brokers that cannot be reached."""
    identity = f"{security.protocol}, user {security.username}" if security.sasl else security.protocol
    if any(_listens(address) for address in bootstrap.split(",")):
        advice = (
            f"Something listens there, so check that it is a broker's {security.protocol} listener, that user, "
            f"password and mechanism are right, and that the certificates fit"
        )
    else:
        advice = "Nothing listens there: check the address, and that the broker runs"
    return f"no usable Kafka broker at {bootstrap} ({identity}): {error}. {advice}."


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
