"""Samples to learn from: one form for all sources, in blocks, so that no source is ever held whole."""

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.data.source import PARTS, Part, Source, SourceInfo

__all__ = ["PARTS", "Behaviours", "Block", "Histories", "Part", "Source", "SourceInfo"]
