"""The worker process: everything composed, with Faust for membership, assignment, requests and the web."""

from muse_stream.streams.worker.main import run

__all__ = ["run"]
