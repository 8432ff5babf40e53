"""Free ports on 127.0.0.1.

Invariant: a returned port was free a moment ago and lies below the range from which the kernel gives ports to outgoing
connections, so that nobody but another chooser like this one can take it in between. Callers still retry.
"""

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
_LOWEST = 20_000
_HIGHEST = 32_767  # the kernel's own range begins at 32 768 unless an administrator moved it
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 200


def _highest() -> int:
    try:
        first = int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _HIGHEST
    return first - 1 if first > _LOWEST + 1_000 else _HIGHEST


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports.

    Raises:
        OSError: Hardly a port is free.

    """
    chooser = random.SystemRandom()
    highest = _highest()
    found: set[int] = set()
    for _ in range(_ATTEMPTS):
        port = chooser.randint(_LOWEST, highest)
        if port not in found and is_free(port):
            found.add(port)
        if len(found) == count:
            return list(found)
    text = f"found {len(found)} free ports of {count} between {_LOWEST} and {highest} in {_ATTEMPTS} attempts"
    raise OSError(text)
