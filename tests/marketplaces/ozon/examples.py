"""Answers of Ozon, made for this project after its documentation."""

from typing import Any

ROLES: dict[str, Any] = {
    "expires_at": "2027-01-15T09:54:23.296Z",
    "roles": [
        {
            "name": "Admin read only",
            "methods": [
                "/v3/product/list",
                "/v3/product/info/list",
                "/v5/product/info/prices",
                "/v1/product/info/stocks-by-warehouse/fbo",
                "/v2/product/info/stocks-by-warehouse/fbs",
                "/v4/posting/fbs/list",
                "/v3/posting/fbo/list",
            ],
        }
    ],
}

INFO: dict[str, Any] = {
    "id": 1000001,
    "name": "T-shirt, black, M",
    "offer_id": "TSHIRT-BLK-M",
    "sku": 900000001,
    "barcodes": ["4600000000017"],
    "description_category_id": 17028922,
    "type_id": 94765,
    "created_at": "2026-05-02T10:00:00Z",
    "updated_at": "2026-11-20T07:30:00Z",
    "currency_code": "RUB",
    "price": "1299.00",
    "old_price": "1999.00",
    "min_price": "999.00",
    "vat": "0.05",
    "images": ["https://cdn.example.test/1.jpg"],
    "primary_image": ["https://cdn.example.test/0.jpg"],
    "color_image": [],
    "is_archived": False,
    "is_autoarchived": False,
}

PRICED: dict[str, Any] = {
    "product_id": 1000001,
    "offer_id": "TSHIRT-BLK-M",
    "acquiring": 19.5,
    "volume_weight": 0.4,
    "price": {"price": 1299, "old_price": 1999, "min_price": 999, "marketing_seller_price": 1199.5, "vat": 0.05, "currency_code": "RUB"},
    "marketing_actions": None,
}

FBO_ROW: dict[str, Any] = {
    "product_id": 1000001,
    "offer_id": "TSHIRT-BLK-M",
    "sku": 900000001,
    "warehouse_id": 1020000000001,
    "present": 40,
    "reserved": 3,
}

FBS_ROW: dict[str, Any] = {
    **FBO_ROW,
    "warehouse_id": 22000000000001,
    "warehouse_name": "Main FBS",
    "present": 12,
    "reserved": 1,
    "free_stock": 11,
}

WAREHOUSES: dict[str, Any] = {
    "warehouses": [{"warehouse_id": 1020000000001, "name": "ХОРУГВИНО_РФЦ", "is_active": True, "warehouse_type": "FULL_FILLMENT"}]
}

FBS_POSTING: dict[str, Any] = {
    "posting_number": "0100000001-0001-1",
    "order_id": 33000000001,
    "order_number": "0100000001-0001",
    "status": "awaiting_packaging",
    "substatus": "posting_created",
    "in_process_at": "2026-11-21T08:00:00Z",
    "shipment_date": "2026-11-22T10:00:00Z",
    "delivery_method": {"id": 22000000000001, "name": "Доставка Ozon", "warehouse_id": 22000000000001, "warehouse": "Main FBS"},
    "customer": None,
    "products": [
        {
            "sku": 900000001,
            "offer_id": "TSHIRT-BLK-M",
            "name": "T-shirt, black, M",
            "quantity": 2,
            "price": {"amount": "1299.00", "currency": "RUB"},
        }
    ],
    "analytics_data": {"city": "", "region": "", "warehouse": "Main FBS", "warehouse_id": 22000000000001},
    "financial_data": {"cluster_from": "Москва, МО и Дальние регионы", "cluster_to": "Казань", "products": [{"product_id": 900000001}]},
}

FBO_POSTING: dict[str, Any] = {
    "posting_number": "0200000002-0007-1",
    "order_id": 34000000002,
    "order_number": "0200000002-0007",
    "status": "delivering",
    "substatus": "posting_on_way_to_city",
    "created_at": "2026-11-20T23:59:51.653736Z",
    "in_process_at": "2026-11-21T00:00:07.716614Z",
    "cancellation": None,
    "products": [
        {"sku": 900000001, "offer_id": "TSHIRT-BLK-M", "name": "T-shirt", "quantity": 1, "price": {"amount": "1299", "currency": "RUB"}}
    ],
    "analytics_data": {"city": "Новосибирск", "warehouse_id": 1020000000001, "warehouse_name": "ХОРУГВИНО_РФЦ"},
    "financial_data": None,
}

WRONG_KEY = {"code": 5, "message": "Invalid Api-Key, please check the key and try again", "details": []}
DEACTIVATED = {"code": 7, "message": "Api-key is deactivated, use another one or generate a new one", "details": []}
NO_ROLE = {"code": 7, "message": "Api-Key is missing a required role for a method", "details": []}
NOT_FOUND = {"code": 5, "message": "Not Found", "details": []}
TOO_OFTEN = {"code": 8, "message": "You have reached request rate limit per second"}
CIRCLE_OPEN = {"code": 14, "message": "Circle is open", "details": []}


def product_list(*ids: int, last_id: str = "") -> dict[str, Any]:
    items = [{"product_id": product_id, "offer_id": f"article {product_id}", "archived": False, "quants": []} for product_id in ids]
    return {"result": {"items": items, "last_id": last_id, "total_items": len(items)}}


def infos(*ids: int) -> dict[str, Any]:
    return {"items": [{**INFO, "id": product_id, "sku": product_id + 9000} for product_id in ids]}


def rows(*stock: dict[str, Any], cursor: str = "", has_next: bool = False) -> dict[str, Any]:
    return {"products": list(stock), "cursor": cursor, "has_next": has_next}


def postings(*orders: dict[str, Any], cursor: str = "", has_next: bool = False) -> dict[str, Any]:
    return {"postings": list(orders), "cursor": cursor, "has_next": has_next}


NO_POSTINGS = postings()
