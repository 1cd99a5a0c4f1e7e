"""A stock report, gathered by product until all of it has come.

A report is believed only when it has been read to its end, and it may be far larger than a worker's memory. So what has come is kept as packed bytes: at first
in a dictionary, which is all that most shops need, and beyond some thousand products in a temporary file that SQLite keeps for us.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from operator import attrgetter
from types import TracebackType
from typing import Self

import msgspec

from app.marketplaces.contract import FetchedStock

MOST_IN_MEMORY = 10_000
"""Products; some 3 MB."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[FetchedStock]).decode
_place = attrgetter("warehouse_id", "size_id")


def digest(packed: bytes) -> bytes:
    """16 bytes that change when a shelf of the product does; the order in which the report named the shelves does not matter."""
    return blake2b(packed, digest_size=16).digest()


def count(packed: bytes) -> int:
    """How many rows are packed: the head of a MessagePack array (https://github.com/msgpack/msgpack/blob/master/spec.md#array-format-family)."""
    head = packed[0]
    return head & 0x0F if head < 0xDC else int.from_bytes(packed[1 : 3 if head == 0xDC else 5])


def unpack(packed: bytes | None) -> list[FetchedStock]:
    """A product's shelves, in the order of their warehouse and size; none where the report does not name it. Where it names a shelf twice, the later row
    counts."""
    if packed is None:
        return []
    return list({_place(shelf): shelf for shelf in _unpack(packed)}.values())


class Gathering:
    """The shelves of a report by product. A context: it may hold a temporary file."""

    def __init__(self, most_in_memory: int = MOST_IN_MEMORY) -> None:
        self._most_in_memory = most_in_memory
        self._recent: dict[str, bytes] = {}
        self._spilled: sqlite3.Connection | None = None
        self.shelves = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._spilled is not None:
            self._spilled.close()

    def add(self, shelves: Iterable[FetchedStock]) -> None:
        """Take in a page of the report."""
        by_product: dict[str, list[FetchedStock]] = {}
        for shelf in shelves:
            by_product.setdefault(shelf.product_external_id, []).append(shelf)
        for external_id, added in by_product.items():
            self.shelves += len(added)
            before = self._recent.get(external_id)
            self._recent[external_id] = _packed(added) if before is None else _packed([*_unpack(before), *added])
        if len(self._recent) > self._most_in_memory:
            self._spill()

    def of_products(self, external_ids: Sequence[str]) -> dict[str, bytes]:
        """What the report says of these products, packed; those that it does not name are left out. Called when all has come."""
        if self._spilled is None:
            return {external_id: packed for external_id in external_ids if (packed := self._recent.get(external_id)) is not None}
        if self._recent:
            self._spill()
        found: dict[str, bytes] = {}
        wanted = msgspec.json.encode(external_ids).decode()
        for external_id, packed in self._spilled.execute(
            "SELECT product, shelves FROM gathered WHERE product IN (SELECT value FROM json_each(?)) ORDER BY rowid", (wanted,)
        ):
            before = found.get(external_id)
            found[external_id] = packed if before is None else _packed([*_unpack(before), *_unpack(packed)])
        return found

    def _spill(self) -> None:
        if self._spilled is None:
            # The empty name is a file of SQLite's own, which nobody else sees and which goes with the connection.
            self._spilled = sqlite3.connect("", isolation_level=None)
            self._spilled.execute("PRAGMA journal_mode = OFF")
            self._spilled.execute("CREATE TABLE gathered (product TEXT NOT NULL, shelves BLOB NOT NULL)")
            self._spilled.execute("CREATE INDEX gathered_by_product ON gathered (product)")
        self._spilled.execute("BEGIN")
        self._spilled.executemany("INSERT INTO gathered VALUES (?, ?)", self._recent.items())
        self._spilled.execute("COMMIT")
        self._recent = {}


def _packed(shelves: list[FetchedStock]) -> bytes:
    # In one order, so that the same shelves are the same bytes. The sort is stable: of two rows of a shelf the later one stays behind.
    if len(shelves) > 1:
        shelves.sort(key=_place)
    return _pack(shelves)
