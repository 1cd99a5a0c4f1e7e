"""`POST /v2/warehouse/list`: the seller's warehouses, and `POST /v1/warehouse/ozon/list`: Ozon's.

Sources: docs.ozon.ru/api/seller, the first as of 2026-10-01, the second as of 2026-04-16; that it wants a type named was seen live.
"""

from typing import Literal

import msgspec

from app.sandbox.goods import Warehouse
from app.sandbox.messages import Answer
from app.sandbox.ozon.call import Call, end_of_page, limited, read_cursor
from app.sandbox.ozon.refusals import Invalid
from app.sandbox.ozon.storage import OZON_WAREHOUSES, seller_warehouse_id

_LIST = "WarehouseListV2Request"
_MAX_WAREHOUSES = 200

WarehouseType = Literal[
    "FULL_FILLMENT",
    "FULL_FILLMENT_RETURNS",
    "FULL_FILLMENT_DEFECT",
    "EXPRESS_DARK_STORE",
    "CROSS_DOCK",
    "SORTING_CENTER",
    "PHARMACY",
    "DISTRIBUTION_CENTER",
    "ORDERS_RECEIVING_POINT",
    "OUTSOURCE_FF",
    "B2B",
    "EXTERNAL_FF",
]


class WarehousesQuestion(msgspec.Struct, frozen=True):
    warehouse_ids: list[int] = []
    cursor: str = ""
    limit: int | None = None


class OzonWarehousesQuestion(msgspec.Struct, frozen=True):
    warehouse_types: list[WarehouseType] = []


_decoder = msgspec.json.Decoder(WarehousesQuestion, strict=False)
_ozon_decoder = msgspec.json.Decoder(OzonWarehousesQuestion)


def list_seller_warehouses(call: Call) -> Answer:
    question = call.read(_decoder)
    limit = limited(_LIST, question.limit, _MAX_WAREHOUSES)
    if len(question.warehouse_ids) > _MAX_WAREHOUSES:
        raise Invalid(f"Request validation error: invalid {_LIST}.WarehouseIds: value must contain no more than {_MAX_WAREHOUSES} item(s)")
    after = read_cursor(question.cursor, int) or 0
    behind = [
        warehouse
        for warehouse in call.catalogue.shop.warehouses
        if warehouse.id > after and (not question.warehouse_ids or seller_warehouse_id(warehouse.id) in question.warehouse_ids)
    ]
    page = behind[:limit]
    cursor, has_next = end_of_page(call, page[-1].id if page else None, more=len(behind) > limit)
    return Answer(200, msgspec.json.encode({"cursor": cursor, "has_next": has_next, "warehouses": [_describe(one) for one in page]}))


def list_ozon_warehouses(call: Call) -> Answer:
    question = call.read(_ozon_decoder)
    if not question.warehouse_types:
        raise Invalid("Request validation error: invalid WarehouseOZONListRequest.WarehouseTypes: value must contain at least 1 item(s)")
    warehouses = [
        {
            "warehouse_id": warehouse.id,
            "name": warehouse.name,
            "short_name": warehouse.name.partition("_")[0],
            "address": f"Россия, {warehouse.cluster}",
            "timezone": "Europe/Moscow",
            "is_active": True,
            "warehouse_type": "FULL_FILLMENT",
            "country_iso_numeric": 643,
            "is_cross_dock": False,
            "is_distribution_center": False,
            "is_edo": True,
            "is_express": False,
            "is_for_supply": True,
        }
        for warehouse in OZON_WAREHOUSES
        if "FULL_FILLMENT" in question.warehouse_types
    ]
    return Answer(200, msgspec.json.encode({"warehouses": warehouses}))


def _describe(warehouse: Warehouse) -> dict[str, object]:
    return {
        "warehouse_id": seller_warehouse_id(warehouse.id),
        "name": warehouse.name,
        "status": "created",
        "warehouse_type": "fbs",
        "is_rfbs": False,
        "is_kgt": False,
        "is_express": False,
        "is_comfort": False,
        "is_auto_assembly": False,
        "is_waybill_enabled": False,
        "has_entrusted_acceptance": False,
        "has_postings_limit": False,
        "postings_limit": -1,
        "min_postings_limit": 0,
        "with_item_list": False,
        "carriage_label_type": "BIG",
        "courier_comment": "",
        "courier_phones": list[str](),
        "phone": "",
        "cut_in_time": 0,
        "sla_cut_in": 0,
        "created_at": "2025-03-11T11:57:51.811Z",
        "updated_at": "2026-03-11T11:57:51.811Z",
        "pause_at": None,
        "address_info": {"address": f"{warehouse.region} федеральный округ", "latitude": 55.7, "longitude": 37.6, "utc": "UTC+03:00"},
        "first_mile": {
            "type": "DROP_OFF",
            "dropoff_point_id": "1020002075314000",
            "first_mile_is_changing": False,
            "timeslot_id": 1,
            "timeslot_from": "09:00",
            "timeslot_to": "21:00",
        },
        "timetable": None,
        "working_days": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"],
    }
