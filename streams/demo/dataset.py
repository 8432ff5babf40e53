"""Online Retail as columns: six weeks of a real shop's purchases in the project's normal form.

Invariant: rows keep the shop's log order, and ids are what the topics carry: customers are integers, stock codes are
the integer that their text names or, for codes such as `85123A`, the documented hash of their text.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muse_stream.streams.wire.ids import id_of

PURCHASE, RETURN = 4, 5  # the default action codes
VECTOR_SPACE = "v1"
USER_FEATURES = ("country",)
ITEM_FEATURES = ("price_band",)  # beside item and category
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Behaviours:
    """The normal form: parallel columns, one row a behaviour, in log order.

    Attributes:
        user: `[n] int64` customer ids.
        item: `[n] int64` item ids.
        category: `[n] int64` categories, from 1.
        action: `[n] uint8` action codes (purchase or return).
        event_time_ms: `[n] int64` shop clock, milliseconds since the epoch, taken as UTC.
        row: `[n] int64` row of the item in the catalogue.

    """

    user: Ids
    item: Ids
    category: Ids
    action: NDArray[np.uint8]
    event_time_ms: Ids
    row: Ids

    def __len__(self) -> int:
        return len(self.user)

    def of(self, user: int) -> "Behaviours":
        """The behaviours of one user, in log order."""
        mine = self.user == user
        return Behaviours(*(getattr(self, name)[mine] for name in self.__slots__))


@dataclass(frozen=True)
class Catalogue:
    """The products, ascending by stock code.

    Attributes:
        item: `[m] int64` item ids.
        code: `[m]` stock codes: the record keys of the items topic.
        title: `[m]` what the shop calls it.
        category: `[m] int64` category numbers, from 1.
        category_name: `[m]` a word for the category.
        price_band: `[m] int64` decile of the median unit price, 1 (cheapest) .. 10.
        vectors: `[m, 128] int8` text vectors of the titles.

    """

    item: Ids
    code: list[str]
    title: list[str]
    category: Ids
    category_name: list[str]
    price_band: Ids
    vectors: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.code)

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Catalogue row of each item id."""
        return {item: row for row, item in enumerate(self.item.tolist())}

    def title_of(self, item: int) -> str:
        """Title of an item, or its id where the catalogue does not know it."""
        row = self.row_of.get(item)
        return str(item) if row is None else self.title[row]


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers, ascending by id: `user` is `[u] int64`, `country` the one most of a customer's lines name."""

    user: Ids
    country: list[str]


@dataclass(frozen=True, slots=True)
class OnlineRetail:
    """The bundled data set, whole."""

    behaviours: Behaviours
    catalogue: Catalogue
    customers: Customers


def load() -> OnlineRetail:
    """Read the bundled files into memory: 32 181 behaviours, 2 501 products, 1 041 customers."""
    purchases, items = _table("purchases.parquet"), _table("items.parquet")
    catalogue = _catalogue(items)
    row_of_code = {code: row for row, code in enumerate(catalogue.code)}
    row = np.asarray([row_of_code[code] for code in purchases["stock_code"].to_pylist()], dtype=np.int64)
    user = purchases["customer"].to_numpy()
    behaviours = Behaviours(
        user=user,
        item=catalogue.item[row],
        category=catalogue.category[row],
        action=np.where(purchases["quantity"].to_numpy() < 0, RETURN, PURCHASE).astype(np.uint8),
        event_time_ms=purchases["event_time_ms"].to_numpy(),
        row=row,
    )
    return OnlineRetail(behaviours, catalogue, _customers(user, purchases["country"].to_pylist()))


def _table(name: str) -> pa.Table:
    with as_file(files("muse_stream.streams.demo") / "data" / "online_retail" / name) as path:
        return pq.read_table(path)


def _catalogue(items: pa.Table) -> Catalogue:
    codes = items["stock_code"].to_pylist()
    vectors = items["vector"].combine_chunks().flatten().to_numpy().reshape(len(codes), -1)
    return Catalogue(
        item=np.asarray([id_of(code) for code in codes], dtype=np.int64),
        code=codes,
        title=items["title"].to_pylist(),
        category=items["category"].to_numpy(),
        category_name=items["category_name"].to_pylist(),
        price_band=items["price_band"].to_numpy(),
        vectors=vectors,
    )


def _customers(user: Ids, country: list[str]) -> Customers:
    names, code = np.unique(np.asarray(country), return_inverse=True)
    users, index = np.unique(user, return_inverse=True)
    lines = np.zeros((len(users), len(names)), dtype=np.int64)  # [u, countries]
    np.add.at(lines, (index, code), 1)
    return Customers(users, [str(names[best]) for best in lines.argmax(axis=1)])
