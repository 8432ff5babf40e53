"""In what two artefacts differ: manifests of any format, and tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_APART = {"digest", "tensors"}
"""The digest follows from the rest, and tensors are compared by their values."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One value of two manifests.

    Attributes:
        name: Its place, dotted.
        first: JSON value in the first; None where it is not there.
        second: The same in the second.

    """

    name: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """One tensor of two artefacts.

    Attributes:
        name: Its name.
        first: Dtype and shape in the first, `float32 [3, 4]`; None where it is not there.
        second: The same in the second.
        max_abs: Largest absolute difference of floats; None for ids, and where dtypes or shapes differ.
        changed: How many values differ; None where dtypes or shapes do.

    """

    name: str
    first: str | None
    second: str | None
    max_abs: float | None = None
    changed: int | None = None


def field_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[FieldDifference]:
    """Where two manifests, as plain JSON, say different things; by name. Features are named, not numbered."""
    one, other = (dict(_flat("", manifest)) for manifest in (first, second))
    names = sorted(one.keys() | other.keys())
    return [FieldDifference(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)]


def tensor_differences(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[TensorDifference]:
    """Tensors that are not equal: those that cannot be compared, then the largest difference first."""
    found = [_compared(name, first.get(name), second.get(name)) for name in sorted(first.keys() | second.keys())]
    return sorted((one for one in found if one is not None), key=_importance)


def _compared(name: str, one: Tensor | None, other: Tensor | None) -> TensorDifference | None:
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return TensorDifference(name, _said(one), _said(other))
    if torch.equal(one, other):
        return None
    max_abs = float((one - other).abs().max()) if one.is_floating_point() else None
    return TensorDifference(name, _said(one), _said(other), max_abs, int((one != other).sum()))


def _importance(one: TensorDifference) -> tuple[bool, float, str]:
    return one.changed is not None, -(one.max_abs or 0.0), one.name


def _said(tensor: Tensor | None) -> str | None:
    return None if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a JSON value
    """The leaves of a manifest by dotted name; a list of features is a map of their widths, with their order."""
    if _is_features(value):
        yield f"{place}.order", [feature["name"] for feature in value]
        yield from ((f"{place}.{feature['name']}", feature["width"]) for feature in value)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if place or name not in _APART:
                yield from _flat(f"{place}.{name}" if place else name, inner)
    else:
        yield place, value


def _is_features(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(one, Mapping) and one.keys() == {"name", "width"} for one in value)
    )
