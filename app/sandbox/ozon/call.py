"""A request that Ozon's gateway let through to the method behind it, and what the lists have in common."""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from app.sandbox.dice import mix
from app.sandbox.ozon.catalogue import Catalogue, Visibility, chrt_id_of, product_id_of
from app.sandbox.ozon.keys import Key
from app.sandbox.ozon.refusals import Invalid

MAX_IDS = 1000

Question = TypeVar("Question")
Place = TypeVar("Place")


class Call(msgspec.Struct, frozen=True):
    """`totals`: whether the lists still tell `total`. `promises`: whether the end of a list says that more follows."""

    key: Key
    catalogue: Catalogue
    body: bytes
    now: datetime
    totals: bool
    promises: bool

    def read(self, decoder: msgspec.json.Decoder[Question]) -> Question:
        """
        Raises:
            Invalid: it isn't JSON, or a field has not its type.
        """
        try:
            return decoder.decode(self.body or b"{}")
        except msgspec.ValidationError as error:
            raise Invalid(f"Request validation error: {error}") from error
        except msgspec.DecodeError as error:
            raise Invalid(f"proto: syntax error: {error}") from error

    def counted(self, total: int) -> dict[str, int]:
        return {"total": total, "total_items": total} if self.totals else {"total_items": total}


class Filter(msgspec.Struct, frozen=True):
    """Which products: those of one group of ids, else by visibility. `skus` are known to the list of products only."""

    offer_id: list[str] = []
    product_id: list[int] = []
    skus: list[int] = []
    visibility: Visibility | None = None

    def __bool__(self) -> bool:
        return bool(self.offer_id or self.product_id or self.skus or self.visibility)


class Selected(NamedTuple):
    """A page of products; `cursor` is empty at the end, mostly."""

    chrt_ids: Sequence[int]
    cursor: str
    total: int


def select(call: Call, request: str, wanted: Filter | None, cursor: str, limit: int | None) -> Selected:
    """One page of the products that pass the filter.

    Raises:
        Invalid: no filter, a limit out of range, too many ids or two groups of them, or a cursor that isn't ours. `request` is Ozon's name of it.
    """
    if not wanted:
        raise Invalid(f"Request validation error: invalid {request}.Filter: value is required")
    size = limited(request, limit, 1000)
    check_ids(request, OfferId=wanted.offer_id, ProductId=wanted.product_id, Skus=wanted.skus)
    catalogue = call.catalogue
    if wanted.offer_id:
        chosen: Sequence[int] = catalogue.of_offer_ids(wanted.offer_id)
    elif wanted.product_id:
        chosen = catalogue.of_product_ids(wanted.product_id)
    elif wanted.skus:
        chosen = catalogue.of_skus(wanted.skus)
    else:
        chosen = catalogue.chrt_ids(wanted.visibility or "ALL", call.now)
    after = read_cursor(cursor, int)
    first = 0 if after is None else bisect_right(chosen, chrt_id_of(after))
    page = chosen[first : first + size]
    more = first + size < len(chosen)
    last = product_id_of(page[-1]) if page else None
    return Selected(page, end_of_page(call, last, more=more)[0], len(chosen))


def limited(request: str, limit: int | None, most: int) -> int:
    """
    Raises:
        Invalid: it is out of range, or missing.
    """
    if limit is None or not 1 <= limit <= most:
        raise Invalid(f"Request validation error: invalid {request}.Limit: value must be inside range (0, {most}]")
    return limit


def check_ids(request: str, *, one_group: bool = True, required: bool = False, **groups: Sequence[object]) -> None:
    """Hold groups of ids, by their names, to the rules: at most 1,000 in sum, and of one group only.

    Raises:
        Invalid: they break them.
    """
    given = [name for name, ids in groups.items() if ids]
    if required and not given:
        raise Invalid(f"Request validation error: invalid {request}.{next(iter(groups))}: value is required")
    if one_group and len(given) > 1:
        raise Invalid(f"Request validation error: invalid {request}: use only one of {', '.join(given)}")
    if sum(map(len, groups.values())) > MAX_IDS:
        raise Invalid(f"Request validation error: invalid {request}.{given[0]}: value must contain no more than {MAX_IDS} item(s)")


def end_of_page(call: Call, last: int | tuple[int, int] | None, *, more: bool) -> tuple[str, bool]:
    """The cursor that stands at the end of a page, and whether there is another page; `last` is the place of its last item."""
    if last is None:
        return "", False
    cursor = base64.b64encode(msgspec.json.encode({"last": last})).decode()
    if more or call.promises:
        return cursor, True
    # Ozon's last pages come with a cursor, and come without.
    return cursor if mix(last if isinstance(last, int) else sum(last)) & 1 else "", False


def read_cursor(cursor: str, place: type[Place]) -> Place | None:
    """The place that a cursor of ours stands for; None is the beginning.

    Raises:
        Invalid: it is none of ours. How Ozon words this is not published.
    """
    if not cursor:
        return None
    try:
        return msgspec.convert(msgspec.json.decode(base64.b64decode(cursor, validate=True))["last"], place)
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise Invalid("Request validation error: invalid cursor") from error
