"""`POST /content/v2/get/cards/list`: the seller's product cards in the order in which they changed.

Source: the official description 02-items.yaml, state of 2026-08-18.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from app.sandbox.goods import Product
from app.sandbox.messages import Answer
from app.sandbox.shop import Shop
from app.sandbox.wildberries.problems import content_rejected, content_undecodable
from app.sandbox.wildberries.spelling import capital_ids

DEFAULT_LIMIT = 10
MAX_LIMIT = 100

WITH_PHOTO, WITHOUT_PHOTO = 1, 2
_PHOTO_FILTERS = (-1, 0, WITH_PHOTO, WITHOUT_PHOTO)

Unsigned = Annotated[int, Meta(ge=0)]


class Sort(msgspec.Struct, frozen=True):
    ascending: bool = False


class Filter(msgspec.Struct, frozen=True, rename=capital_ids):
    """Empty lists and texts filter nothing. Tags and allowed categories are accepted, and all shops' cards pass them."""

    with_photo: int = 0
    text_search: str = ""
    subject_ids: list[int] = msgspec.field(default_factory=list[int], name="objectIDs")
    brands: list[str] = []
    group_id: int | None = msgspec.field(default=None, name="imtID")


class CursorIn(msgspec.Struct, frozen=True, rename=capital_ids):
    limit: int = DEFAULT_LIMIT
    updated_at: str | None = None
    nm_id: int | None = None


class ListSettings(msgspec.Struct, frozen=True):
    sort: Sort = Sort()
    filter: Filter = Filter()
    cursor: CursorIn = CursorIn()


class CardsListRequest(msgspec.Struct, frozen=True):
    settings: ListSettings = ListSettings()


class Photo(msgspec.Struct, frozen=True):
    big: str
    c246x328: str
    c516x688: str
    square: str
    tm: str


class Wholesale(msgspec.Struct, frozen=True):
    enabled: bool
    quantum: int


class Dimensions(msgspec.Struct, frozen=True, rename=capital_ids):
    """Centimetres and kilograms, packed."""

    length: int
    width: int
    height: int
    weight_brutto: float
    is_valid: bool = True


class Characteristic(msgspec.Struct, frozen=True):
    id: int
    name: str
    value: list[str] | int


class CardSize(msgspec.Struct, frozen=True, rename=capital_ids):
    chrt_id: int
    tech_size: str
    wb_size: str
    skus: tuple[str, ...]


class Tag(msgspec.Struct, frozen=True):
    id: int
    name: str
    color: str


class Card(msgspec.Struct, frozen=True, rename=capital_ids):
    nm_id: int
    imt_id: int
    nm_uuid: str
    subject_id: int
    subject_name: str
    vendor_code: str
    brand: str
    title: str
    description: str
    need_kiz: bool
    kiz_marked: bool
    photos: list[Photo]
    wholesale: Wholesale
    dimensions: Dimensions
    characteristics: list[Characteristic]
    sizes: list[CardSize]
    tags: list[Tag]
    created_at: str
    updated_at: str


_decoder = msgspec.json.Decoder(CardsListRequest)
_NOT_WHOLESALE = Wholesale(enabled=False, quantum=0)
_HIT = Tag(7001, "Хит", "D1CFD7")


def list_cards(shop: Shop, body: bytes) -> Answer:
    """One page of cards behind the cursor. Its `total` counts the page, and a page that isn't full is the last."""
    try:
        settings = _decoder.decode(body).settings
    except msgspec.MsgspecError:
        return content_undecodable()
    if not 1 <= settings.cursor.limit <= MAX_LIMIT:
        return content_rejected(f"Invalid request: cursor.limit must be between 1 and {MAX_LIMIT}")
    if settings.filter.with_photo not in _PHOTO_FILTERS:
        return content_rejected("Invalid request: filter.withPhoto must be one of -1, 0, 1, 2")
    try:
        products = list(islice(_products(shop, settings), settings.cursor.limit))
    except ValueError:
        return content_rejected("Invalid request: cursor.updatedAt is not a date and time")
    cursor: dict[str, object] = {"total": len(products)}
    if products:
        cursor = {"updatedAt": timestamp(products[-1].updated_at), "nmID": products[-1].nm_id, **cursor}
    return Answer(200, msgspec.json.encode({"cards": [describe_card(product) for product in products], "cursor": cursor}))


def _products(shop: Shop, settings: ListSettings) -> Iterator[Product]:
    ascending = settings.sort.ascending
    updated_at = read_instant(settings.cursor.updated_at)
    nm_id = settings.cursor.nm_id
    if nm_id is None:
        # Without an id the instant itself still belongs to the page, whichever way it is read.
        nm_id = 0 if ascending else 2**63
    products = shop.changed_after(updated_at, nm_id, ascending=ascending)
    return (product for product in products if _passes(product, settings.filter))


def _passes(product: Product, wanted: Filter) -> bool:
    if wanted.with_photo in (WITH_PHOTO, WITHOUT_PHOTO) and (product.photos > 0) != (wanted.with_photo == WITH_PHOTO):
        return False
    if wanted.subject_ids and product.kind.subject_id not in wanted.subject_ids:
        return False
    if wanted.brands and product.brand not in wanted.brands:
        return False
    if wanted.group_id is not None and product.group_id != wanted.group_id:
        return False
    texts = (product.article, str(product.nm_id), *(barcode for size in product.sizes for barcode in size.barcodes))
    return wanted.text_search in texts if wanted.text_search else True


def describe_card(product: Product) -> Card:
    kind = product.kind
    return Card(
        nm_id=product.nm_id,
        imt_id=product.group_id,
        nm_uuid=f"0192f4c6-0c11-7a3e-8f00-{product.nm_id:012x}",
        subject_id=kind.subject_id,
        subject_name=kind.subject,
        vendor_code=product.article,
        brand=product.brand,
        title=product.title,
        description=f"{product.title}. Материал: {kind.material}. Упаковано бережно, отправим в день заказа.",
        need_kiz=kind.needs_marking,
        kiz_marked=kind.needs_marking,
        photos=[_photo(product.nm_id, number) for number in range(1, product.photos + 1)],
        wholesale=_NOT_WHOLESALE,
        dimensions=Dimensions(kind.length_cm, kind.width_cm, kind.height_cm, kind.weight_kg),
        characteristics=[
            Characteristic(14177449, "Цвет", [product.colour]),
            Characteristic(14177450, "Материал изделия", [kind.material]),
            Characteristic(88952, "Вес товара с упаковкой (г)", round(kind.weight_kg * 1000)),
        ],
        sizes=[CardSize(size.chrt_id, size.name, size.russian_name, size.barcodes) for size in product.sizes],
        tags=[_HIT] if product.nm_id % 11 == 0 else [],
        created_at=timestamp(product.created_at),
        updated_at=timestamp(product.updated_at),
    )


def _photo(nm_id: int, number: int) -> Photo:
    folder = f"https://images.example.invalid/vol{nm_id // 100_000}/{nm_id}/images"
    return Photo(*(f"{folder}/{size}/{number}.webp" for size in Photo.__struct_fields__))


def read_instant(text: str | None) -> datetime | None:
    """The cursor's instant; one without a time zone is in UTC.

    Raises:
        ValueError: it is no date and time.
    """
    if not text:
        return None
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def timestamp(instant: datetime) -> str:
    """RFC 3339 in UTC as Wildberries writes it: without the zeros at the end of the fraction, so the length varies."""
    seconds, _, fraction = instant.isoformat().removesuffix("+00:00").partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}.{fraction}Z" if fraction else f"{seconds}Z"
