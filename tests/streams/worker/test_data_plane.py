"""How the worker reads behaviours: what the settings say of a fetch reaches the client."""

from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.data_plane import behaviour_consumer


def test_a_fetch_of_behaviours_waits_for_as_long_as_the_settings_say() -> None:
    settings = Settings.load(None, {"ingest.poll_ms": 37})
    assert behaviour_consumer(settings).fetch_max_wait_ms == 37
