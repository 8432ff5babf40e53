"""Asks the worker in this container for its health: `probe.py live`, `ready` or `startup`; exit code 0 means yes.

It needs nothing but Python. The port is that of the settings (`MUSE_HTTP__PORT`).
"""

import os
import sys
import urllib.error
import urllib.request

PORT = 6066
TIMEOUT_SECONDS = 4.0


def is_well(kind: str) -> bool:
    """Whether `/health/{kind}` says 200; what it says otherwise goes to stderr."""
    url = f"http://127.0.0.1:{os.environ.get('MUSE_HTTP__PORT', PORT)}/health/{kind}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        with error:
            sys.stderr.write(f"{url}: {error.code}: {error.read(2_000).decode('utf-8', 'replace')}\n")
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
    return False


if __name__ == "__main__":
    sys.exit(0 if is_well(sys.argv[1] if len(sys.argv) > 1 else "live") else 1)
