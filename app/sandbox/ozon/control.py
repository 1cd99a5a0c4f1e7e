"""What tests, demos and bot developers arrange in the shops that Ozon shows: JSON under `/sandbox/ozon`, part of the controls.

    POST   /sandbox/ozon/keys                              KeyIn → {"client_id": …, "api_key": …}
    POST   /sandbox/ozon/tokens                            KeyIn → {"access_token": …}
    PUT    /sandbox/ozon/shops/{client_id}                 {"products": n, "seed": s}: a new shop in place of the old
    GET    /sandbox/ozon/shops/{client_id}                 the truth: OzonTotals, of the postings ordered in the last ?order_days=30
    PATCH  …/products/{product_id}                         {"archived": …} of this one; {"title": …} and {"price": …, "discount": …, "club_discount": …}
                                                           of all sizes of its card
    PUT    …/stocks                                        {"product_id": …, "quantity": n, "warehouse_id": default Ozon's own}
    PUT    …/postings/{posting_number}                     {"status": …, "cancel_type": …}, in the words of the shop, of all parcels of the order

The shop of a client id is that of the seller whose UUID has this number, so that all of `/sandbox/shops/{seller_id}` works on it too.
"""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.sandbox.goods import Price
from app.sandbox.messages import Request
from app.sandbox.orders import WB_WAREHOUSE_ID, CancelType, NoSuchItem, OrderStatus
from app.sandbox.ozon.catalogue import Catalogue, chrt_id_of
from app.sandbox.ozon.catalogues import Catalogues
from app.sandbox.ozon.keys import MAX_CLIENT_ID, issue_ozon_key, issue_ozon_token, seller_of
from app.sandbox.ozon.money import after_promotions
from app.sandbox.ozon.parcels import Parcels
from app.sandbox.ozon.roles import READ_ONLY
from app.sandbox.ozon.storage import shop_warehouse_id
from app.sandbox.shop import MAX_PRODUCTS
from app.sandbox.state import State

ProductCount = Annotated[int, Meta(ge=0, le=MAX_PRODUCTS)]
Percent = Annotated[int, Meta(ge=0, le=99)]


class KeyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `app.sandbox.ozon.keys.issue_ozon_key`."""

    client_id: Annotated[int, Meta(ge=1, le=MAX_CLIENT_ID)]
    products: ProductCount | None = None
    roles: tuple[str, ...] = (READ_ONLY,)
    closed: tuple[str, ...] = ()
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class ShopIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    products: ProductCount
    seed: int | None = None


class ProductPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    archived: bool | UnsetType = UNSET
    title: str | UnsetType = UNSET
    price: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    discount: Percent | UnsetType = UNSET
    club_discount: Percent | UnsetType = UNSET


class StockIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`quantity` is what is for sale: `present` is that and what buyers ordered."""

    product_id: int
    quantity: Annotated[int, Meta(ge=0)]
    warehouse_id: int | None = None


class PostingPut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status: OrderStatus
    cancel_type: CancelType = "other"


class OzonTotals(msgspec.Struct, frozen=True):
    """The truth to compare a sync with. Units are those for sale, in Ozon's warehouses and in the seller's; sums are over products outside the archive, of
    what is crossed out (or asked, where nothing is) and of what is asked after the seller's promotions. Postings are counted by status."""

    active: int
    archived: int
    fbo_units: int
    fbs_units: int
    price_sum: Decimal
    discounted_price_sum: Decimal
    fbo_postings: dict[str, int]
    fbs_postings: dict[str, int]
    posting_units: int


def carry_out(state: State, catalogues: Catalogues, verb: str, rest: list[str], request: Request, order_days: int) -> object | None:
    """
    Raises:
        NoSuchItem: there is no such path, product, warehouse or posting.
        ValueError: the input is wrong.
    """
    match (verb, *rest):
        case ("POST", "keys"):
            wanted = msgspec.json.decode(request.body, type=KeyIn)
            return {"client_id": str(wanted.client_id), "api_key": issue_ozon_key(**msgspec.structs.asdict(wanted))}
        case ("POST", "tokens"):
            return {"access_token": issue_ozon_token(**msgspec.structs.asdict(msgspec.json.decode(request.body, type=KeyIn)))}
        case (verb, "shops", client_id, *place):
            return _shop(state, catalogues, verb, int(client_id), place, request, order_days)
        case _:
            raise NoSuchItem(f"The sandbox knows no {verb} {request.path}.")


def _shop(
    state: State, catalogues: Catalogues, verb: str, client_id: int, place: list[str], request: Request, order_days: int
) -> object | None:
    now = state.clock.now()
    if (verb, *place) == ("PUT",):
        wanted = msgspec.json.decode(request.body, type=ShopIn)
        state.open_shop(seller_of(client_id), wanted.products, wanted.seed)
        return None
    catalogue = catalogues.of(seller_of(client_id))
    match (verb, *place):
        case ("GET",):
            return totals(catalogue, now, order_days)
        case ("PATCH", "products", product_id):
            return _patch(catalogue, int(product_id), msgspec.json.decode(request.body, type=ProductPatch), now)
        case ("PUT", "stocks"):
            stock = msgspec.json.decode(request.body, type=StockIn)
            warehouse_id = WB_WAREHOUSE_ID if stock.warehouse_id is None else shop_warehouse_id(stock.warehouse_id)
            return catalogue.shop.set_quantity(chrt_id_of(stock.product_id), stock.quantity, warehouse_id)
        case ("PUT", "postings", posting_number):
            posting = msgspec.json.decode(request.body, type=PostingPut)
            number = Parcels(catalogue.shop, now).order_of(posting_number)
            return catalogue.shop.set_order_status(number, posting.status, now, posting.cancel_type)
        case _:
            raise NoSuchItem(f"The sandbox knows no {verb} {request.path}.")


def totals(catalogue: Catalogue, now: datetime, order_days: int) -> OzonTotals:
    active = catalogue.chrt_ids("ALL", now)
    prices = [offer.price for offer in catalogue.describe(active)]
    fbo, fbs = catalogue.fbo(active, now), catalogue.fbs(active, now)
    postings: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    units = 0
    for parcel in Parcels(catalogue.shop, now).ordered(now - timedelta(days=order_days), now + timedelta(microseconds=1)):
        postings[parcel.order.from_marketplace][parcel.status] += 1
        units += sum(line.units for line in parcel.lines)
    return OzonTotals(
        active=len(active),
        archived=len(catalogue.chrt_ids("ARCHIVED", now)),
        fbo_units=sum(stock.present - stock.reserved for stocks in fbo.values() for stock in stocks),
        fbs_units=sum(stock.present - stock.reserved for stocks in fbs.values() for stock in stocks),
        price_sum=Decimal(sum(price.price for price in prices)),
        discounted_price_sum=sum((after_promotions(price) for price in prices), Decimal(0)),
        fbo_postings=dict(postings[True]),
        fbs_postings=dict(postings[False]),
        posting_units=units,
    )


def _patch(catalogue: Catalogue, product_id: int, patch: ProductPatch, now: datetime) -> None:
    nm_id = catalogue.nm_id(product_id)
    if patch.archived is not UNSET:
        catalogue.archive(product_id, archived=patch.archived, now=now)
    price = {name: value for name in Price.__struct_fields__ if (value := getattr(patch, name)) is not UNSET}
    if price:
        catalogue.shop.set_price(nm_id, msgspec.structs.replace(catalogue.shop.price(nm_id), **price), now)
    if patch.title is not UNSET:
        catalogue.shop.rename(nm_id, patch.title, now)
