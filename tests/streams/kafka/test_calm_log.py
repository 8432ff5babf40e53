"""A broker that is away is mentioned, not shouted."""

import logging

import pytest

from muse_stream.streams.kafka.calm_log import REPEAT_SECONDS, CalmLog


def test_a_kind_passes_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    log = CalmLog(logging.getLogger("test"), clock=lambda: now)
    for number in range(5):
        log.log(logging.ERROR, "%s [%s] %s", "FAIL", "client", f"refused {number}")
    log.log(logging.ERROR, "%s [%s] %s", "OTHER", "client", "once")
    log.log(logging.ERROR, "plain")
    now += REPEAT_SECONDS
    log.log(logging.ERROR, "%s [%s] %s", "FAIL", "client", "still refused")
    assert caplog.messages == [
        "FAIL [client] refused 0",
        "OTHER [client] once",
        "plain",
        "FAIL [client] still refused",
    ]
