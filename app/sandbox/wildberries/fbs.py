"""The seller's warehouses and what lies there, on the Marketplace host.

Source: the official description 02-items.yaml, state of 2026-08-18; barcodes (`skus`) are refused since May 2026 (release note 522).
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.sandbox.messages import Answer
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.problems import marketplace_rejected

MAX_SIZES = 1000


class StocksIn(msgspec.Struct, frozen=True, rename="camel"):
    chrt_ids: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1, max_length=MAX_SIZES)]


class WarehouseOut(msgspec.Struct, frozen=True, rename="camel"):
    """`cargo_type` 1 is small goods, `delivery_type` 1 is FBS."""

    id: int
    name: str
    office_id: int
    cargo_type: int = 1
    delivery_type: int = 1
    is_deleting: bool = False
    is_processing: bool = False


class Amount(msgspec.Struct, frozen=True, rename="camel"):
    chrt_id: int
    amount: int


_decoder = msgspec.json.Decoder(StocksIn)


def list_warehouses(call: Call) -> Answer:
    warehouses = [WarehouseOut(warehouse.id, warehouse.name, 15 + place) for place, warehouse in enumerate(call.shop.warehouses)]
    return Answer(200, msgspec.json.encode(warehouses))


def list_stocks(call: Call) -> Answer:
    """Units of the sizes that are asked for in one warehouse; sizes of which there are none are left out."""
    try:
        question: object = msgspec.json.decode(call.body)
        if isinstance(question, dict) and "skus" in question:
            return marketplace_rejected(400, "SKUUploadDisabled", "Методы с параметром skus отключены, используйте chrtIds")
        chrt_ids = _decoder.decode(call.body).chrt_ids
    except msgspec.ValidationError as error:
        return marketplace_rejected(400, "IncorrectParameter", f"Передан неверный параметр: {error}")
    except msgspec.DecodeError:
        return marketplace_rejected(400, "IncorrectRequestBody", "Некорректное тело запроса")
    if not call.place.isdecimal():
        return marketplace_rejected(400, "IncorrectParameter", "Передан неверный параметр")
    warehouse_id = int(call.place)
    if warehouse_id not in (warehouse.id for warehouse in call.shop.warehouses):
        return marketplace_rejected(404, "NotFound", "Склад не найден")
    amounts = (Amount(chrt_id, call.shop.quantity_at(chrt_id, warehouse_id, call.now)) for chrt_id in dict.fromkeys(chrt_ids))
    return Answer(200, msgspec.json.encode({"stocks": [amount for amount in amounts if amount.amount]}))
