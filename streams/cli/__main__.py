"""`python -m muse_stream.streams.cli`: the same as `muse-stream`, for whoever starts it from Python."""

from muse_stream.streams.cli import main

main(prog_name="muse-stream")
