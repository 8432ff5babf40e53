"""Scorers that learn nothing, each seeing what one of the models sees."""

import numpy as np

from muse_stream.esu_scorer.data import Block, Part
from muse_stream.esu_scorer.data.planted import Planted
from muse_stream.esu_scorer.evaluation import Scores

RECENT = 50


def unit_vectors(source: Planted) -> np.ndarray:
    """`[items + 1, 128] float32`, row = item id."""
    items, vectors = (np.concatenate(columns) for columns in zip(*source.vectors(), strict=True))
    table = np.zeros((items.max() + 1, vectors.shape[1]), np.float32)
    table[items] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    return table


def simple_scores(source: Planted, part: Part = "test") -> dict[str, Scores]:
    """By scorer, each in 0..1.

    `oracle`: the true chance; `nearest`: the largest cosine of the whole window (MUSE); `nearest recent` and
    `recent category`: the largest cosine, and the count of the candidate's category, in the last 50 (DIN, at its very
    best); `category`: whether the whole window has the category (SIM-hard, which sees the newest 50 of it).
    """
    table = unit_vectors(source)
    found: dict[str, list[Scores]] = {}
    for block in source.blocks(part):
        for name, values in _block_scores(source, block, table).items():
            found.setdefault(name, []).append(Scores.of(block.user, block.label, values))
    return {name: Scores.join(pieces) for name, pieces in found.items()}


def _block_scores(source: Planted, block: Block, table: np.ndarray) -> dict[str, np.ndarray]:
    values = {name: np.zeros(len(block)) for name in ("nearest", "nearest recent", "recent category", "category")}
    behaviours = block.histories.behaviours
    for user, (low, high) in enumerate(zip(block.histories.lows, block.histories.highs, strict=True)):
        rows = np.flatnonzero(block.owner == user)
        cosine = table[block.item[rows]] @ table[behaviours.item[low:high]].T
        same = behaviours.category[low:high] == block.category[rows, None]
        place, stop = np.arange(high - low), block.stop[rows, None]
        window, recent = place < stop, (place < stop) & (place >= stop - RECENT)
        values["nearest"][rows] = np.where(window, cosine, 0).max(axis=1)
        values["nearest recent"][rows] = np.where(recent, cosine, 0).max(axis=1)
        values["recent category"][rows] = (same & recent).sum(axis=1) / RECENT
        values["category"][rows] = (same & window).any(axis=1)
    return {name: np.clip(each, 0, 1) for name, each in values.items()} | {"oracle": source.oracle_scores(block)}
