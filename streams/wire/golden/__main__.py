"""Writes the golden files beside this file."""

from muse_stream.streams.wire.golden import write

write()
