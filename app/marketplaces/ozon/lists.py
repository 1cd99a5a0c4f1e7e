"""Reading a page of one of Ozon's lists, item by item only where that must be."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from app.marketplaces.contract import Rejected
from app.marketplaces.exchange import Answer
from app.marketplaces.items import one_by_one, translated
from app.marketplaces.ozon.wire import Listed

Item = TypeVar("Item")
Made = TypeVar("Made")


class ListPage(msgspec.Struct, Generic[Item], frozen=True):
    """What came of a page. `has_next` is None where Ozon doesn't tell."""

    items: list[Item]
    rejected: tuple[Rejected, ...]
    cursor: str | None
    has_next: bool | None

    @property
    def count(self) -> int:
        return len(self.items) + len(self.rejected)

    def translated(self, translate: Callable[[Item], Made], id_of: Callable[[Item], str]) -> "ListPage[Made]":
        """The page in our words. Raises what app.marketplaces.items does, so belongs into the reading of an answer."""
        items, rejected = translated((self.items, self.rejected), translate, id_of)
        return ListPage(items, rejected, self.cursor, self.has_next)


class ListReader(Generic[Item]):
    """`decode` reads a whole page; `decode_raw` the same with its items left undecoded, for a page of which one is malformed, each `item` of which is told by
    its `item_id`."""

    def __init__(
        self,
        decode: Callable[[bytes | bytearray], Listed[Item]],
        decode_raw: Callable[[bytes | bytearray], Listed[msgspec.Raw]],
        item: type[Item],
        item_id: type[Any],
    ) -> None:
        self._decode = decode
        self._decode_raw = decode_raw
        self._item = msgspec.json.Decoder(item, strict=False)
        self._item_id = msgspec.json.Decoder(item_id)

    def read(self, answer: Answer) -> ListPage[Item]:
        """Raises what app.marketplaces.items does, where nothing can be understood."""
        try:
            page = self._decode(answer.body)
            return ListPage(page.items, (), page.cursor, page.has_next)
        except (msgspec.ValidationError, UnicodeDecodeError):
            raw = self._decode_raw(answer.body)
            items, rejected = one_by_one(raw.items, self._item.decode, self._item_id.decode)
            return ListPage(items, rejected, raw.cursor, raw.has_next)


def list_reader(page: type[Listed[Item]], raw_page: type[Listed[msgspec.Raw]], item: type[Item], item_id: type[Any]) -> ListReader[Item]:
    """For a page that is the whole answer."""
    return ListReader(msgspec.json.Decoder(page, strict=False).decode, msgspec.json.Decoder(raw_page, strict=False).decode, item, item_id)
