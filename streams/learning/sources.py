"""Data sets by name, as the commands know them: the bundled shop, planted data, and files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer.data import Source
from muse_stream.esu_scorer.data.opening import KINDS, open_source
from muse_stream.esu_scorer.data.planted import Planted
from muse_stream.esu_scorer.data.purchases import Purchases
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.retrieval import Vectors
from muse_stream.esu_scorer.vectors import SclConfig, random_vectors
from muse_stream.streams.demo.artefact import feature_spec
from muse_stream.streams.demo.dataset import PURCHASE, Catalogue, OnlineRetail, load
from muse_stream.streams.learning import items_file
from muse_stream.streams.learning.vectors import Kind, make, task_of
from muse_stream.streams.wire.ids import id_of

RETAIL, PLANTED = "online-retail", "planted"
NAMES = (RETAIL, PLANTED, *KINDS)
VECTOR_NAMES: dict[str, Kind] = {"random": "random", "text": "tfidf", "copurchase": "copurchase", "scl": "scl"}
"""What the sets that vary vectors call them, and how they are made."""

Options = Mapping[str, str]


def open_data(name: str, path: Path | None, options: Options) -> Source:
    """A data set.

    Args:
        name: One of `NAMES`.
        path: Its folder or file; None for those that need none.
        options: Numbers that the data set is made with, as text.

    Raises:
        DataError: An unknown name or option, a path too many or too few, or as the source says.

    """
    if name not in NAMES:
        message = f"there is no data set {name!r}, expected one of {', '.join(NAMES)}"
        raise DataError(message)
    if (path is None) == (name in KINDS):
        message = f"{name} needs the path of its files" if path is None else f"{name} takes no path, found {path}"
        raise DataError(message)
    if path is not None:
        _numbers(name, open_source, options, frozenset())
        return open_source(name, path)
    if name == PLANTED:
        return Planted(**_numbers(name, Planted, options, frozenset(inspect.signature(Planted).parameters)))
    return online_retail(**_numbers(name, Purchases, options, frozenset({"negatives", "smoothing", "seed"})))


def online_retail(**numbers: Any) -> Purchases:  # noqa: ANN401 - int and float
    """The bundled purchases with drawn negatives; `numbers` are those of `Purchases`."""
    retail = load()
    rows, catalogue = retail.behaviours, retail.catalogue
    return Purchases(
        "Online Retail",
        {
            "user": rows.user,
            "item": rows.item,
            "category": rows.category,
            "action": rows.action,
            "time_ms": rows.event_time_ms,
        },
        bought=(PURCHASE,),
        item_features={"price_band": catalogue.price_band[rows.row]},
        user_features={"country": _countries(retail)},
        spec=feature_spec(),
        vectors=lambda: _vectors(catalogue),
        **numbers,
    )


def named_vectors(name: str, source: Source, *, seed: int = 1) -> dict[str, Vectors]:
    """Vectors of the items of a data set, by the names of `VECTOR_NAMES`, for the sets that vary them.

    The bundled shop has all of them: what is learnt, is learnt from what was bought before validation begins. Of other
    data sets nothing is known that vectors could be learnt from, so there are random ones of the items with a vector.
    """
    if name == RETAIL:
        return _retail_vectors(_begin_of_validation(source), seed)
    return {"random": _Random(source, seed)}


def _retail_vectors(until_ms: int, seed: int) -> dict[str, Vectors]:
    items = items_file.bundled_items()
    task = task_of(items, items_file.bundled_purchases(items), until_ms)
    rows = {name: make(task, kind, SclConfig(seed=seed)) for name, kind in VECTOR_NAMES.items()}
    return {name: [(items.item[own := vectors.any(axis=1)], vectors[own])] for name, vectors in rows.items()}


class _Random:
    """Random vectors for the items that have one; iterable anew."""

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for number, (items, vectors) in enumerate(self._source.vectors()):
            seed = self._seed + number  # one stream a piece: the pieces are the same each time
            yield items, random_vectors(len(items), dimension=vectors.shape[1], seed=seed)


def _begin_of_validation(source: Source) -> int:
    for block in source.blocks("validation"):
        return int(block.time_ms.min())
    message = f"{source.info.name} has no sample in its part validation, so there is no end of training to learn up to"
    raise DataError(message)


def _vectors(catalogue: Catalogue) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int8]]]:
    own = catalogue.vectors.any(axis=1)
    yield catalogue.item[own], catalogue.vectors[own]


def _countries(retail: OnlineRetail) -> NDArray[np.int64]:
    """Country id of each row's customer, `[n] int64`."""
    of_text = cache(id_of)
    country = np.array([of_text(name) for name in retail.customers.country], np.int64)
    return country[np.searchsorted(retail.customers.user, retail.behaviours.user)]


def _numbers(name: str, function: Callable[..., object], options: Options, known: frozenset[str]) -> dict[str, Any]:
    """Options as the numbers that `function` takes."""
    unknown = sorted(options.keys() - known)
    if unknown:
        message = f"{name} has no option {unknown[0]!r}, it has {', '.join(sorted(known)) or 'none'}"
        raise DataError(message)
    parameters = inspect.signature(function).parameters
    return {key: _number(key, text, type(parameters[key].default)) for key, text in options.items()}


def _number(key: str, text: str, kind: type) -> int | float:
    try:
        number: int | float = kind(text)
    except ValueError as error:
        message = f"option {key} is {text!r}, expected {'a whole number' if kind is int else 'a number'}"
        raise DataError(message) from error
    return number
